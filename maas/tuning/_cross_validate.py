"""`maas.cross_validate`: a recipe measured on every row, each time by a model that has not seen it."""

from __future__ import annotations

import warnings
from typing import Any

from maas.errors import DataError, show
from maas.nn import Recipe
from maas.training import fit
from maas.tuning._folds import CrossValidation
from maas.tuning._given import check_settings, rows_to_learn, settings_of_fit


def cross_validate(
    recipe: Recipe,
    rows: Any,
    *,
    folds: int = 5,
    repeats: int = 1,
    seed: int = 0,
    stratify: bool | None = None,
    group: str | None = None,
    time: str | None = None,
    baselines: bool = False,
    progress: bool | None = None,
    **settings: Any,
) -> CrossValidation:
    """Measure a recipe by k-fold cross-validation.

    Each fold is scored by a model that `maas.fit` taught the others: preprocessing, the target's encoding, the epoch
    and a threshold are all learned or chosen without the fold. The result measures the recipe with these settings. It
    gives no model: fit one on all rows. Settings that were chosen by such scores want other rows to be measured on.

    Args:
        recipe: what to train: `maas.recipe(maas.nn.MLP, hidden=(64, 64))`.
        rows: with their target, as `maas.fit` takes them.
        folds, stratify, group, time: as in `maas.data.Rows.folds`; by `time` each fold learns from its past only.
        repeats: how often to cut anew, with the next seed, and go through all folds again.
        seed: of the folds, and of each fit.
        baselines: score simple methods, taught by the same rows, beside each model.
        progress: as in `maas.fit`.
        **settings: of `maas.fit`, such as `epochs=30`; `validation` is the share that it carves out of the training
            rows of each fold.

    Returns:
        The evaluation of each fold, with mean and spread of each score: `print` it.

    Raises:
        DataError: the rows allow no such folds, have no target or are a ranking's; a setting is unknown; or as in
            `maas.fit`.
        RecipeError: the recipe does not fit the rows.
    """
    check_settings(settings, [*settings_of_fit(), "validation"])
    if not isinstance(share := settings.get("validation", 0.1), (int, float)):
        raise DataError(f"`validation` must be the share to carve out of each fold's training rows, got {show(share)}")
    if type(repeats) is not int or repeats < 1:
        raise DataError(f"`repeats` must be a positive integer, got {show(repeats)}")
    given = rows_to_learn(recipe, rows, seed, settings)
    if given.target is None:
        raise DataError("folds are scored by a target; name the column that says which rows are anomalies")
    evaluations, kind = [], ""
    for repeat in range(repeats):
        with warnings.catch_warnings():
            if repeat:
                warnings.simplefilter("ignore")  # the first time told of duplicates
            cut = given.folds(folds, seed=seed + repeat, stratify=stratify, group=group, time=time)
        kind = cut[0].report.kind
        if repeats > 1 and kind.startswith("by time"):
            raise DataError("folds by time are the same each time; leave `repeats` out")
        for train, test in cut:
            model = fit(recipe, train, seed=seed + repeat, progress=progress, **settings)
            evaluations.append(model.evaluate(test, baselines_from=train if baselines else None))
    return CrossValidation(kind, len(given), repeats, tuple(evaluations))
