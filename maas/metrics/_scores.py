"""The scores of a classification and of a regression, computed by scikit-learn, and of a forecast."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from maas.errors import DataError, show
from maas.metrics._calibration import Calibration, calibration
from maas.metrics._details import Details, classification_details, forecast_details, regression_details
from maas.metrics._intervals import Aggregate

_Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Scores:
    """How good a set of answers is.

    Args:
        values: score by name; None where it is not defined for these rows.
        primary: the name of the one that methods are compared by.
        greater_is_better: whether that one is a score to raise, or an error to lower.
        per_row: what each row adds to the primary score, float64 of shape (rows,).
        aggregate: how the primary score comes from `per_row`: their mean, or the root of it.
        is_portion: whether the primary score lies from 0 to 1, whatever single rows add to it.
        num_counted: rows that the primary score's uncertainty rests on, where these are fewer than all: of an area
            under a curve those of the rarer kind.
        labels: the classes, for a classification or an anomaly.
        confusion: counts of shape (classes, classes): truth by row, answer by column.
        reference: the baseline that a `skill` among the values is measured against. It is None until an evaluation
            knows that baseline's scores on the same rows: 1 minus the quotient of the two errors.
        calibration: of a classification.
        steps: the error of each step of a forecast, float64 of shape (horizon,).
        details: computes what charts are drawn from; called for the model, not for its baselines.
    """

    values: dict[str, float | None]
    primary: str
    greater_is_better: bool
    per_row: _Array = field(repr=False)
    aggregate: Aggregate = "mean"
    is_portion: bool = False
    num_counted: int | None = None
    labels: Sequence[str] | None = None
    confusion: _Array | None = None
    reference: str | None = None
    calibration: Calibration | None = None
    steps: _Array | None = field(default=None, repr=False)
    details: Callable[[], Details] | None = field(default=None, repr=False)

    def drop_to(self, other: Scores) -> float:
        """By how much another's primary score is worse: a score by the difference, an error by its share of this one.

        Negative where it is better.

        Raises:
            DataError: the score is not defined for the rows.
        """
        before, after = self.values[self.primary], other.values[self.primary]
        if before is None or after is None:
            raise DataError(f"the score {show(self.primary)} is not defined for these rows; give rows of every class")
        return before - after if self.greater_is_better else (after - before) / max(before, 1e-12)


def check_max_drop(max_drop: Any) -> None:
    """Raise DataError for what is no share that a primary score may drop by."""
    if isinstance(max_drop, bool) or not isinstance(max_drop, (int, float)) or not 0 <= max_drop < 1:
        raise DataError(f"`max_drop` must be from 0 to below 1, got {show(max_drop)}")


def classification_scores(
    truth: _Array, probabilities: _Array, labels: Sequence[str], answer: _Array | None = None
) -> Scores:
    """Scores of a classification.

    Precision, recall and F1 are those of the second class where there are two, else the plain mean over the classes
    that stand in the truth. ROC AUC of more than two classes is the mean of each against the rest; None when the
    truth lacks a class. `ece` is the expected calibration error of the class answered, in 15 bins of equal width.

    Args:
        truth: places of the true classes, int64 of shape (rows,).
        probabilities: float of shape (rows, classes).
        labels: the classes as text.
        answer: places of the classes answered, int64 of shape (rows,); by default the likeliest.
    """
    from sklearn import metrics

    answer = probabilities.argmax(axis=1) if answer is None else answer
    places = np.arange(len(labels))
    if len(labels) == 2:
        which: dict[str, Any] = {"average": "binary", "pos_label": 1}
    else:
        which = {"average": "macro", "labels": np.unique(truth)}
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(truth, answer, zero_division=0.0, **which)
    auc: float | None = None
    if len(np.unique(truth)) == len(labels):
        ranked = probabilities.astype(np.float64)
        if len(labels) == 2:
            auc = float(metrics.roc_auc_score(truth, ranked[:, 1]))
        else:
            ranked /= ranked.sum(axis=1, keepdims=True)  # float32 rows sum to 1 within 1e-7, scikit-learn wants 1e-8
            auc = float(metrics.roc_auc_score(truth, ranked, multi_class="ovr", labels=places))
    likelihood = np.clip(probabilities[np.arange(len(truth)), truth].astype(np.float64), 1e-15, 1.0)
    right = (answer == truth).astype(np.float64)
    calibrated = calibration(probabilities[np.arange(len(truth)), answer], right)
    return Scores(
        values={
            "accuracy": float(right.mean()),
            "precision": float(precision),
            "recall": float(recall),
            "f1": float(f1),
            "roc_auc": auc,
            "log_loss": float(-np.log(likelihood).mean()),
            "ece": calibrated.error,
        },
        primary="accuracy",
        greater_is_better=True,
        per_row=right,
        labels=list(labels),
        confusion=metrics.confusion_matrix(truth, answer, labels=places),
        calibration=calibrated,
        details=partial(classification_details, truth, probabilities, answer, list(labels)),
    )


def regression_scores(truth: _Array, values: _Array) -> Scores:
    """Scores of a regression: MAE and RMSE in the target's unit, R2 (None for fewer than two rows).

    Args:
        truth, values: float64 of shape (rows,).
    """
    from sklearn import metrics

    squared = np.square(values - truth)
    return Scores(
        values={
            "mae": float(metrics.mean_absolute_error(truth, values)),
            "rmse": math.sqrt(float(squared.mean())),
            "r2": float(metrics.r2_score(truth, values)) if len(truth) > 1 else None,
        },
        primary="rmse",
        greater_is_better=False,
        per_row=squared,
        aggregate="root_mean",
        details=partial(regression_details, truth, values),
    )


def forecast_scores(truth: _Array, values: _Array) -> Scores:
    """Scores of a forecast over all steps and channels: MAE and RMSE in the target's unit, skill over the last value.

    Args:
        truth, values: float64 of shape (rows, horizon) or (rows, horizon, channels).

    Source: the skill score of Murphy 1988 (doi 10.1175/1520-0493(1988)116), with the root of the mean squared error.
    """
    error = (values - truth).reshape(len(truth), -1)
    squared = np.square(error).mean(axis=1)
    return Scores(
        values={"mae": float(np.abs(error).mean()), "rmse": math.sqrt(float(squared.mean())), "skill": None},
        primary="rmse",
        greater_is_better=False,
        per_row=squared,
        aggregate="root_mean",
        reference="last value",
        steps=np.sqrt(np.square(values - truth).reshape(*truth.shape[:2], -1).mean(axis=(0, 2))),
        details=partial(forecast_details, truth, values),
    )
