"""The search: a small grid of compressions, each measured beside the model as it is."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from maas import data as sources
from maas.compress._found import Candidate, Search, Unseen
from maas.compress._fuse import is_fusible
from maas.compress._grid import ANY_DROP, AS_IT_IS, Step, grid
from maas.compress._measure import machine, measure
from maas.compress._prune import is_portion
from maas.data import Rows
from maas.errors import CompressionError, DataError, DivergedError, RecipeError, show
from maas.metrics import Scores, check_max_drop
from maas.model import Model

_TIMED_ROWS = 32
_SHARES = (0.25, 0.5, 0.75)


def search(
    model: Model,
    data: Any,
    *,
    train: Any = None,
    test: Any = None,
    optimize: str = "latency",
    max_drop: float = 0.005,
    shares: Sequence[float] = _SHARES,
    epochs: int = 10,
    rounds: int = 20,
    imports: Sequence[str] = (),
    progress: Callable[[str], None] = lambda text: None,
    **fit_options: Any,
) -> Search:
    """Try a small grid of compressions and measure each beside the model as it is, in one run.

    Tried are bfloat16 weights, int8 weights, int8 kernels and, of networks over images, fused convolutions; with
    `train` also pruned networks and a distilled one of half the width, each alone and with int8 or fusing on top. What
    a model cannot have is skipped and says why; what costs too much stays in the table as such. Each candidate is
    saved, loaded in a process of its own and asked there for one row and for eight, in turns, in the precision that it
    was scored in.

    The table is of this machine. `data` chooses the best, so the best's score on it is a little optimistic: `test`
    gives one that is not.

    Args:
        model: a trained model that nothing was done to yet. It stays as it is.
        data: rows with their target that judge, not those that it was trained on.
        train: rows to go on training with.
        test: rows with their target that have no say.
        optimize: "latency" wants the least p50 of one row within the budget, "size" the fewest bytes of weights.
        max_drop: by how much the primary score may be worse: a score by this much, an error by this share of itself.
        shares: of the hidden units or channels to prune, until one is over budget.
        epochs: of training, for each network that is pruned; one that is distilled begins anew and takes twice as many.
        rounds: how often the candidates are measured in turn.
        imports: modules that register a user's own networks, for the processes.
        progress: is told what is done, a line at a time.
        fit_options: of `maas.fit`, such as learning_rate, for pruning and distilling.

    Returns:
        The table; `search(...).model` is the best candidate's model, whose card holds the table too.

    Raises:
        DataError: an argument is out of its range, or rows cannot be scored.
        CompressionError: the model is compressed already.
    """
    check_max_drop(max_drop)
    if optimize not in ("latency", "size"):
        raise DataError(f"`optimize` must be 'latency' or 'size', got {show(optimize)}")
    if type(rounds) is not int or not 1 <= rounds <= 100:
        raise DataError(f"`rounds` must be an integer from 1 to 100, got {show(rounds)}")
    if not isinstance(shares, (Sequence, np.ndarray)) or not all(is_portion(share) for share in shares):
        raise DataError(f"`shares` must be numbers above 0 and below 1, got {show(str(shares))}")
    if train is None and fit_options:
        raise DataError(f"`{next(iter(fit_options))}` is for training: give rows to go on with as `train`")
    check_uncompressed(model)
    judging = sources.as_rows(data, task=model.task.kind)
    scores = model.score(judging)
    fusible = is_fusible(model.network)
    steps = grid(judging, train, shares=shares, epochs=epochs, fit_options=fit_options, fusible=fusible)
    made, candidates = _try(model, scores, steps, max_drop, progress)
    with tempfile.TemporaryDirectory(prefix="maas-search-") as scratch:
        folders = {name: Path(scratch, str(place)) for place, name in enumerate(made)}
        for name, one in made.items():
            one.save(folders[name])
        progress(f"measuring {len(folders)} models in turns, {rounds} rounds")
        measured = measure(
            folders,
            _to_time(model, judging),
            rounds=rounds,
            imports=imports,
            precisions={name: one.precision for name, one in made.items()},
        )
    candidates = [replace(one, measured=measured.get(one.name)) for one in candidates]
    found = Search(
        primary=scores.primary,
        greater_is_better=scores.greater_is_better,
        max_drop=float(max_drop),
        optimize=optimize,
        num_rows=len(judging),
        fingerprint=judging.fingerprint(),
        machine=machine(),
        candidates=tuple(candidates),
    )
    best = made[found.best.name]
    if test is not None:
        found = replace(found, tested=_tested(model, best, test))
    if best is model:
        return found
    # Each step was let pass, and the search judged.
    best.card["compression"] = [{**outcome, "max_drop": float(max_drop)} for outcome in best.card["compression"]]
    best.card["compression_search"] = found.to_json()
    return replace(found, made=best)


def check_uncompressed(model: Model) -> None:
    """Raise CompressionError for a model that something was done to."""
    if model.recipe.transforms:
        done = ", ".join(one.kind for one in model.recipe.transforms)
        parent = model.card.get("lineage", {}).get("parent")
        raise CompressionError(
            f"the model is compressed already ({done}); search from the model that it was made of"
            + (f", whose digest is {parent}" if isinstance(parent, str) else "")
        )


def _try(
    model: Model, scores: Scores, steps: Sequence[Step], max_drop: float, progress: Callable[[str], None]
) -> tuple[dict[str, Model], list[Candidate]]:
    """The models that could be made, by name, and the lines of the table, not measured yet.

    What goes on from a model that could not be made is left out.
    """
    made = {AS_IT_IS: model}
    tried = {AS_IT_IS: Candidate(AS_IT_IS, scores.values[scores.primary], scores.drop_to(scores))}
    for step in steps:
        if step.after not in made:
            continue
        cost = tried[step.after].drop or 0.0
        if cost > max_drop:
            tried[step.name] = Candidate(step.name, skipped=f"{step.after} is over budget by itself")
            continue
        if step.beyond is not None and (step.beyond not in made or (tried[step.beyond].drop or 0.0) > max_drop):
            tried[step.name] = Candidate(step.name, skipped=f"{step.beyond} is over budget, or could not be made")
            continue
        progress(step.name)
        left = max_drop - cost if scores.greater_is_better else (1 + max_drop) / (1 + cost) - 1
        try:
            one = step.make(made[step.after], min(left, ANY_DROP))
        except (CompressionError, RecipeError, DivergedError) as error:
            reason = str(error).partition(f", and may cost {ANY_DROP:g}")[0]  # that is not the search's own budget
            tried[step.name] = Candidate(step.name, skipped=reason)
            continue
        alike = [other.name for other in steps if other.after == step.after and other.name in made]
        same = (one.recipe, one.precision)
        if twins := [name for name in alike if (made[name].recipe, made[name].precision) == same]:
            tried[step.name] = Candidate(step.name, skipped=f"comes to the same as {twins[0]}")
            continue
        after = float(one.card["compression"][-1]["after"])
        drop = scores.drop_to(replace(scores, values={**scores.values, scores.primary: after}))
        made[step.name], tried[step.name] = one, Candidate(step.name, after, drop)
    return made, list(tried.values())


def _to_time(model: Model, rows: Rows) -> list[dict[str, Any]]:
    """Rows from all over the data, as a client writes them."""
    chosen = np.unique(np.linspace(0, len(rows) - 1, min(_TIMED_ROWS, len(rows))).astype(int))
    names = model.schema.names
    return [{name: row[name] for name in names if name in row} for row in rows.take(chosen).to_dicts()]


def _tested(model: Model, best: Model, test: Any) -> Unseen:
    rows = sources.as_rows(test, task=model.task.kind)
    before, after = model.score(rows), best.score(rows)
    before.drop_to(after)  # or says why there is no score
    values = [float(one.values[one.primary] or 0.0) for one in (before, after)]
    return Unseen(values[0], values[1], len(rows), rows.fingerprint())
