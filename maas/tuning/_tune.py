"""`maas.tune`: a search for the settings that suit rows."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from tqdm import tqdm

from maas.errors import DataError, MaasError, show
from maas.nn import Recipe
from maas.tuning._given import check_settings, kind_of, rows_to_learn, settings_of_fit
from maas.tuning._judge import Parts, measure, parts_of
from maas.tuning._space import Space, json_of
from maas.tuning._study import Study, check_optuna, quiet
from maas.tuning._trials import Tuning

if TYPE_CHECKING:
    import optuna


def tune(
    recipe: Recipe,
    train: Any,
    space: Any,
    validation: Any = None,
    *,
    trials: int = 20,
    seconds: float | None = None,
    score: str | None = None,
    folds: int | None = None,
    seed: int = 0,
    storage: str | Path | None = None,
    progress: bool | None = None,
    **settings: Any,
) -> Tuning:
    """Search settings of `maas.fit` and arguments of a network, with Optuna (`pip install 'maas-torch[tune]'`).

    Each trial fits a model on a part of `train` and is judged on rows that it has not seen, the same for all. From its
    own part `maas.fit` carves a tenth out to choose the epoch, as always. A trial that diverges, cannot be built or
    takes more memory than there is has failed: the result says why, and the search goes on.

    Args:
        recipe: the network, with the arguments that are not searched.
        train: rows with their target, as `maas.fit` takes them. Test rows stay out of it.
        space: what to try by name: a list of choices, or a `maas.tuning.Range`:
            `{"learning_rate": maas.tuning.Range(1e-4, 1e-1, log=True), "hidden": [(32,), (64, 64)]}`.
        validation: the rows that judge; or the share of `train` that does, split off as `train` was (by class, by
            group, by time), by default a fifth.
        trials: how many, at most. Where `space` holds no more choices than that, each is tried once.
        seconds: begin no further trial after so many.
        score: the name of the score to judge by, as evaluations print it, or "validation_loss", the one that chose the
            epoch; by default the score that methods are compared by, and the loss for rows without a target.
        folds: judge by so many folds of `train`, cut as by `maas.cross_validate`, and their mean score: steadier, and
            as many times the work.
        seed: of the search, the parts and each fit: on one device, with the same versions, the same seed tries the
            same settings, unless `seconds` cuts it short.
        storage: a file to keep the trials in; the same call goes on where an interrupted one stopped, and tries what
            that one would have tried.
        progress: show a bar; by default when standard error is a terminal.
        **settings: of `maas.fit`, the same for all trials, such as `epochs=30`.

    Returns:
        The trials and the best settings: `maas.fit(tuning.recipe, train, **tuning.settings)`.

    Raises:
        DataError: Optuna is not installed, the space or a setting is none, the rows have no target, or all trials
            failed.
    """
    check_optuna()
    if type(trials) is not int or trials < 1:
        raise DataError(f"`trials` must be a positive integer, got {show(trials)}")
    if seconds is not None and (type(seconds) not in (int, float) or not seconds > 0):
        raise DataError(f"`seconds` must be positive, got {show(seconds)}")
    known = settings_of_fit()
    check_settings(settings, known)
    given = rows_to_learn(recipe, train, seed, settings)
    searched = Space.of(space, recipe, known)
    if both := sorted({*settings} & {*space}):
        raise DataError(f"`{both[0]}` is given both in `space` and as a setting; leave one out")
    parts = parts_of(given, validation, folds, seed, kind_of(settings))
    search = {
        "recipe": recipe.to_json(),
        "space": searched.to_json(),
        "rows": [part.fingerprint() for pair in parts for part in pair if part is not None],
        "settings": {name: json_of(value) for name, value in settings.items()},
        "score": score,
        "seed": seed,
    }
    with quiet():
        study, end = Study(searched, seed, storage, search), time.monotonic() + (seconds or math.inf)
        with tqdm(total=trials, unit="trial", disable=None if progress is None else not progress, leave=False) as bar:
            while (done := len(study.trials)) < trials and time.monotonic() < end:
                bar.update(done - bar.n)
                if (trial := study.ask(trials)) is None:
                    break
                _try(study, trial, searched, settings, parts, score, seed)
        tried, best = study.trials, study.best
        if best is None:
            raise DataError(f"all {len(tried)} trials failed; the first: {tried[0].error}")
        name, greater_is_better = study.judged_by
    chosen, of_fit = searched.apply(tried[best].chosen)
    return Tuning(name, greater_is_better, tried[best], chosen, {**settings, **of_fit, "seed": seed}, tried)


def _try(
    study: Study,
    trial: optuna.Trial,
    space: Space,
    settings: Mapping[str, Any],
    parts: Parts,
    score: str | None,
    seed: int,
) -> None:
    start = time.monotonic()
    try:
        recipe, chosen = space.apply(space.settings(trial.params))
        measured = [measure(recipe, {**settings, **chosen}, *part, seed) for part in parts]
    except (MaasError, torch.OutOfMemoryError) as error:
        study.tell_failure(trial, str(error), seconds=time.monotonic() - start)
        return
    name = score or measured[0].primary
    greater_is_better = measured[0].is_to_raise(name)
    scores = [one.values.get(name) for one in measured]
    took = time.monotonic() - start
    if (good := [value for value in scores if value is not None and math.isfinite(value)]) != scores:
        study.tell_failure(trial, f"{name} is {scores}, and a finite number is wanted", seconds=took)
    else:
        study.tell(trial, name, good, greater_is_better=greater_is_better, seconds=took)
