"""How good the models are that settings give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from maas.data import Rows, as_rows
from maas.errors import DataError, show
from maas.nn import Recipe
from maas.training import fit
from maas.training._parts import is_share, split_as_before

LOSS = "validation_loss"
_SHARE = 0.2
_ERRORS = (LOSS, "log_loss", "ece", "mae", "rmse", "hamming_loss", "false_alarm_rate")

Parts = Sequence[tuple[Rows, Rows | None]]


@dataclass(frozen=True)
class Measured:
    """The scores of one model.

    Args:
        values: by name.
        primary: the name of the one to judge by where none is asked for.
        greater_is_better: whether that one is a score to raise.
    """

    values: Mapping[str, float | None]
    primary: str
    greater_is_better: bool

    def is_to_raise(self, name: str) -> bool:
        """Whether a score is one to raise.

        Raises:
            DataError: there is none of that name.
        """
        if name not in self.values:
            raise DataError(f"`score` must be one of {', '.join(self.values)}, got {show(name)}")
        return self.greater_is_better if name == self.primary else name not in _ERRORS


def parts_of(given: Rows, validation: Any, folds: int | None, seed: int, task: str | None) -> Parts:
    """Pairs of rows to learn from and rows that judge; None in place of the latter where rows have no target.

    Raises:
        DataError: the rows cannot be used so.
    """
    if folds is not None and validation is not None:
        raise DataError("give `folds` or `validation`: folds judge by all rows")
    carved = validation is None or is_share(validation)
    if validation is not None and carved and (isinstance(validation, bool) or not 0 < validation < 1):
        raise DataError(f"`validation` is rows, or a share of `train` between 0 and 1, got {show(validation)}")
    if carved and given.target is None:
        if folds is not None:
            raise DataError("folds are scored by a target; name the column that says which rows are anomalies")
        return [(given, None)]
    if folds is not None:
        return [(train, test) for train, test in given.folds(folds, seed=seed)]
    if carved:
        return [split_as_before(given, _SHARE if validation is None else validation, seed)]
    judging = as_rows(validation, task=task)
    if judging.schema.names != given.schema.names or judging.target is None:
        raise DataError(
            f"`validation` must be rows with their target and the fields of `train`: want "
            f"{', '.join(given.schema.names)}, got {', '.join(judging.schema.names)}"
            + ("" if judging.target is not None else " without a target")
        )
    return [(given, judging)]


def measure(recipe: Recipe, settings: Mapping[str, Any], learning: Rows, judging: Rows | None, seed: int) -> Measured:
    """Fit a model, and score it on rows that it has not seen.

    Raises:
        MaasError: as `maas.fit` and `maas.Model.evaluate`.
    """
    model = fit(recipe, learning, seed=seed, progress=False, **settings)
    training = model.card["training"]
    loss = training["history"][training["best_epoch"] - 1]["validation_loss"] if training["history"] else None
    if judging is None or judging.target is None:
        return Measured({LOSS: loss}, LOSS, greater_is_better=False)
    model.task.check_test(judging.schema, judging.columns, judging.target)
    scores = model.task.score(model.predict(judging), judging.target)
    return Measured({**scores.values, LOSS: loss}, scores.primary, scores.greater_is_better)
