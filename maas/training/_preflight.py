"""Before a long run: what in the rows, the target or the network would waste it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import repeat
from typing import Any

import numpy as np
import torch

from maas.data import Rows, duplicates
from maas.errors import DataError, RecipeError, show
from maas.nn import Recipe
from maas.preprocess import Learner
from maas.task import Batch, TaskLearner
from maas.training._feed import Portion
from maas.training._plan import batches, epoch_order
from maas.training._settings import Settings
from maas.training._setup import Setup, check_recipe, device_of, set_up
from maas.training._start import Start
from maas.training._trial import try_steps

_STEPS = 300
_LEARNT = 0.2  # of the first loss: what a network that can learn gets below on one batch
_FEW = 10
_SHOWN = 5


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Args:
        check: "target", "data", "duplicates" or "overfit".
        level: "fine", "warning", or "error": a run would be wasted.
        message: what was found, and the remedy.
    """

    check: str
    level: str
    message: str


@dataclass(frozen=True)
class Preflight:
    """All that was looked at; `print` shows it."""

    findings: tuple[Finding, ...]

    @property
    def is_fine(self) -> bool:
        """Whether nothing found would waste a run."""
        return all(one.level != "error" for one in self.findings)

    def __str__(self) -> str:
        return "\n".join(f"{one.level:<8} {one.check:<11} {one.message}" for one in self.findings)

    def to_json(self) -> dict[str, Any]:
        """What was found, as JSON."""
        return {"is_fine": self.is_fine, "findings": [vars(one) for one in self.findings]}


def preflight(
    recipe: Recipe,
    train: Any,
    validation: Any = None,
    *,
    task: str | TaskLearner | None = None,
    preprocess: Learner | None = None,
    start: Start | None = None,
    batch_size: int = 32,
    learning_rate: float = 1e-3,
    seed: int = 0,
    device: str | torch.device | None = None,
) -> Preflight:
    """Look for what would waste a run: seconds now for hours later.

    - target: one that cannot be learned (a single class, say), classes of few rows;
    - data: rows that cannot be used, fields that are mostly missing or always the same, numbers that are not finite
      once they are prepared;
    - duplicates: rows that stand in the training part and the validation part, copies whose targets differ;
    - overfit: whether the network can learn one batch by heart, as one that is put together rightly can.

    Args: as in `maas.fit`, of which a run with the same ones is to follow.

    Raises:
        DataError: an argument is none, or the rows are no rows.
    """
    check_recipe(recipe)
    settings = Settings(batch_size=batch_size, learning_rate=learning_rate, seed=seed)
    where = device_of(device)
    try:
        made = set_up(
            recipe,
            train,
            validation,
            task=task,
            preprocess=preprocess,
            start=start,
            seed=seed,
            device=where,
            chooses=False,
        )
        found = [*_target(made.learning), *_fields(made.learning), *_duplicates(made.learning, made.held_out)]
        if recipe.learns == "gradient":
            batch = _one_batch(made, batch_size)
            found += [*_numbers(batch), *_overfit(made, batch, settings)]
    except (DataError, RecipeError) as error:
        found = [Finding("target" if "target" in str(error) else "data", "error", str(error))]
    return Preflight(tuple(found))


def _target(rows: Rows) -> Iterator[Finding]:
    if rows.target is None or rows.task not in ("classification", "regression"):
        yield Finding("target", "fine", f"{rows.target_name}: {rows.task}")
    elif rows.task == "classification":
        counts = Counter(rows.target.tolist())
        few = [f"{show(label)} ({count})" for label, count in counts.items() if count < _FEW]
        if few:
            text = f"{', '.join(few[:_SHOWN])} of {len(counts)} classes have fewer than {_FEW} rows to learn from"
            yield Finding("target", "warning", f"{text}; collect more, or join them")
        else:
            yield Finding("target", "fine", f"{len(counts)} classes, the rarest of {min(counts.values())} rows")
    elif np.ptp(rows.target.astype(float)) == 0:
        text = f"{show(rows.target_name)} is {rows.target[0]:g} in every row: there is nothing to learn"
        yield Finding("target", "error", text)
    else:
        yield Finding("target", "fine", f"from {rows.target.min():g} to {rows.target.max():g}")


def _fields(rows: Rows) -> Iterator[Finding]:
    empty, same = [], []
    for field in rows.schema.fields:
        column = rows.columns[field.name]
        if column.ndim > 1 or field.optional:
            continue
        if column.dtype.kind == "f":
            missing = np.isnan(column)
            if not missing.all() and np.nanmin(column) == np.nanmax(column):
                same.append(field.name)
        else:
            missing = np.array([cell is None for cell in column])
            if field.kind in ("categorical", "boolean") and len({cell for cell in column if cell is not None}) == 1:
                same.append(field.name)
        if missing.mean() > 0.5:
            empty.append(f"{field.name} ({missing.mean():.0%})")
    if empty:
        yield Finding("data", "warning", f"mostly missing: {', '.join(empty[:_SHOWN])}; drop them, or find the values")
    if same:
        yield Finding("data", "warning", f"the same in every row: {', '.join(same[:_SHOWN])}; drop them")
    if not empty and not same:
        yield Finding("data", "fine", f"{len(rows):,} rows of {len(rows.schema.fields)} fields")


def _duplicates(learning: Rows, held_out: Rows | None) -> Iterator[Finding]:
    alike, torn = (0, 0) if held_out is None else duplicates(learning, held_out)
    if alike:
        text = f"{alike} validation rows stand among the training rows, {torn} of them with another target"
        yield Finding("duplicates", "warning", f"{text}: they measure memory; use rows.drop_duplicates()")
    if learning.task != "ranking":
        try:
            kept = len(learning.drop_duplicates())
        except DataError:
            kept = 0
        if kept < len(learning):
            text = f"{len(learning) - kept} training rows repeat others, or contradict them"
            yield Finding("duplicates", "warning", f"{text}; see rows.drop_duplicates()")
        elif not alike:
            yield Finding("duplicates", "fine", "no row stands twice")


def _one_batch(made: Setup, batch_size: int) -> Batch:
    index = batches(epoch_order(len(made.learning), 0, 1), batch_size)[0]
    few = made.learning.take(index.numpy())
    return next(replace(made, learning=few).batches())[:batch_size]


def _numbers(batch: Batch) -> Iterator[Finding]:
    for name, tensor in batch.inputs.items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            yield Finding("data", "error", f"the prepared input {show(name)} has numbers that are not finite")


def _overfit(made: Setup, batch: Batch, settings: Settings) -> Iterator[Finding]:
    """Whether the network learns one batch by heart, with nothing dropped at random."""
    windows = repeat([Portion(batch, torch.arange(len(batch)))], _STEPS)
    losses: list[float] = []
    still: list[str] = []
    for loss, state in try_steps(made, settings, windows, repeat(settings.learning_rate), drops=False):
        losses.append(loss)
        if len(losses) == 1:
            parts = [(piece, piece.gradient) for piece in state.weights.pieces if piece.gradient is not None]
            views = [view for piece, gradient in parts for view in piece.views(gradient)]
            still = [name for name, gradient in views if not bool(gradient.any())]
    first, last = losses[0], losses[-1]
    text = f"{len(batch)} rows, {_STEPS} steps at {settings.learning_rate:g}: loss {first:.4g} to {last:.4g}"
    if not np.isfinite(losses).all():
        yield Finding("overfit", "error", f"{text}; try a lower learning_rate, or clip_norm")
    elif last > _LEARNT * first:
        remedy = "try a higher learning_rate or a larger network, and look for contradicting targets"
        yield Finding("overfit", "warning", f"{text}: one batch was not learned by heart; {remedy}")
    else:
        yield Finding("overfit", "fine", text)
    if still:
        yield Finding("overfit", "warning", f"nothing reaches {', '.join(still[:_SHOWN])}: these weights do not learn")
