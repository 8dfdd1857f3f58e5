"""What charts are drawn from, and the rows answered worst: held in memory, never stored."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

_Array = np.ndarray[Any, Any]
_MOST_POINTS = 200
_MOST_PAIRS = 500
_MOST_CURVES = 10
_NUM_WORST = 12
_NUM_RESIDUAL_BINS = 25


@dataclass(frozen=True)
class WorstRow:
    """A test row that was answered badly.

    Args:
        position: of the row among the test rows, counted from 0.
        truth, answer: a class as text, a number, labels joined by commas, or for a forecast float64 of shape (horizon,)
            or (horizon, channels).
        loss: what the rows are ordered by: for a classification the cross entropy in nats, for several labels its mean
            over them, for an anomaly the score of a normal row and 1 / score of another, for a regression the absolute
            error, for a forecast the row's RMSE.
        right: whether the class, or each label, is the true one all the same; None where the answer is none.
        confidence: probability given to the answer, where there is one.
    """

    position: int
    truth: Any
    answer: Any
    loss: float
    right: bool | None = None
    confidence: float | None = None


@dataclass(frozen=True)
class Curve:
    """The ROC and the precision-recall curve of one class against the rest, of 200 points each at the most.

    Args:
        label: the class.
        share: of the rows that are of it: the precision of guessing.
        area: under the ROC curve, of all its points.
        average_precision: of all points of the other.
        roc: false and true positive rate, float64 of shape (points, 2).
        precision_recall: recall and precision, float64 of shape (points, 2).
    """

    label: str
    share: float
    area: float
    average_precision: float
    roc: _Array
    precision_recall: _Array


@dataclass(frozen=True)
class Details:
    """What charts are drawn from.

    Args:
        worst: the rows answered worst, the worst first.
        curves: of the second class where there are two, of each class where there are up to ten.
        pairs: true and predicted value of up to 500 rows, float64 of shape (rows, 2).
        residuals: counts of predicted less true value, int64 of shape (bins,), and the bins' edges.
        steps: RMSE of each step of a forecast, by method, float64 of shape (horizon,).
    """

    worst: tuple[WorstRow, ...] = ()
    curves: tuple[Curve, ...] = ()
    pairs: _Array | None = None
    residuals: tuple[_Array, _Array] | None = None
    steps: Mapping[str, _Array] = field(default_factory=dict)


def classification_details(truth: _Array, probabilities: _Array, answer: _Array, labels: Sequence[str]) -> Details:
    """Curves and worst rows of a classification.

    Args:
        truth, answer: places of the classes, int64 of shape (rows,).
        probabilities: float of shape (rows, classes).
        labels: the classes as text.
    """
    rows = np.arange(len(truth))
    given = probabilities[rows, truth].astype(np.float64)
    loss = -np.log(np.clip(given, 1e-15, 1.0))
    confidence = probabilities[rows, answer]
    worst = tuple(
        WorstRow(row, labels[truth[row]], labels[answer[row]], float(loss[row]), bool(truth[row] == answer[row]),
                 float(confidence[row]))
        for row in _worst(loss)
    )  # fmt: skip
    places = [1] if len(labels) == 2 else list(range(len(labels) if len(labels) <= _MOST_CURVES else 0))
    curves = [
        _curve(labels[place], truth == place, probabilities[:, place])
        for place in places
        if 0 < np.count_nonzero(truth == place) < len(truth)
    ]
    return Details(worst, tuple(curves))


def multilabel_details(truth: _Array, answer: _Array, probabilities: _Array, labels: Sequence[str]) -> Details:
    """Curves and worst rows of several labels a row.

    Args:
        truth, answer: bool of shape (rows, labels).
        probabilities: float of shape (rows, labels).
        labels: what the second axis is called.
    """
    given = np.where(truth, probabilities, 1 - probabilities.astype(np.float64))
    loss = -np.log(np.clip(given, 1e-15, 1.0)).mean(axis=1)

    def joined(has: _Array) -> str:
        return ", ".join(labels[place] for place in np.flatnonzero(has).tolist()) or "none"

    right = (truth == answer).all(axis=1)
    worst = tuple(
        WorstRow(row, joined(truth[row]), joined(answer[row]), float(loss[row]), bool(right[row]))
        for row in _worst(loss)
    )
    curves = [
        _curve(label, truth[:, place], probabilities[:, place])
        for place, label in enumerate(labels if len(labels) <= _MOST_CURVES else ())
        if 0 < np.count_nonzero(truth[:, place]) < len(truth)
    ]
    return Details(worst, tuple(curves))


def anomaly_details(truth: _Array, scores: _Array, answer: _Array, labels: Sequence[str]) -> Details:
    """The curve and the worst rows of a detector of anomalies.

    Args:
        truth, answer: whether each row is an anomaly, and whether an alarm was given: 1 or 0, int of shape (rows,).
        scores: how unusual each row is, in units of the threshold, float64 of shape (rows,).
        labels: what to call a normal row and an anomaly.
    """
    loss = np.where(truth, 1 / np.maximum(scores, 1e-30), scores)
    worst = tuple(
        WorstRow(row, labels[truth[row]], labels[answer[row]], float(loss[row]), bool(truth[row] == answer[row]))
        for row in _worst(loss)
    )
    both = 0 < np.count_nonzero(truth) < len(truth)
    return Details(worst, (_curve(labels[1], truth, scores),) if both else ())


def regression_details(truth: _Array, values: _Array) -> Details:
    """Pairs, residuals and worst rows of a regression; both float64 of shape (rows,)."""
    error = values - truth
    worst = tuple(
        WorstRow(row, float(truth[row]), float(values[row]), float(abs(error[row]))) for row in _worst(abs(error))
    )
    kept = np.sort(np.random.default_rng(0).permutation(len(truth))[:_MOST_PAIRS])
    return Details(
        worst,
        pairs=np.stack([truth[kept], values[kept]], axis=1),
        residuals=_histogram(error),
    )


def forecast_details(truth: _Array, values: _Array) -> Details:
    """Worst rows of a forecast; both float64 of shape (rows, horizon) or (rows, horizon, channels)."""
    loss = np.sqrt(np.square(values - truth).reshape(len(truth), -1).mean(axis=1))
    return Details(tuple(WorstRow(row, truth[row], values[row], float(loss[row])) for row in _worst(loss)))


def thinned(points: _Array, most: int = _MOST_POINTS) -> _Array:
    """Points of a curve, evenly along its way, both ends among them; shape (points, 2)."""
    if len(points) <= most:
        return points
    way = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(points, axis=0)).sum(axis=1))])
    places = np.searchsorted(way, np.linspace(0.0, way[-1], most))
    places[-1] = len(points) - 1
    kept: _Array = points[np.unique(places)]
    return kept


def _histogram(values: _Array) -> tuple[_Array, _Array] | None:
    low, high = float(values.min()), float(values.max())
    least = 1e-9 * max(abs(low), abs(high), 1e-300)  # numpy makes no bins within the spacing of its floats
    low, high = (low - least, high + least) if high - low < least else (low, high)
    if not math.isfinite(high - low):
        return None
    counts, edges = np.histogram(values, bins=min(_NUM_RESIDUAL_BINS, max(3, len(values) // 4)), range=(low, high))
    return counts, edges


def _curve(label: str, is_class: _Array, score: _Array) -> Curve:
    from sklearn import metrics

    false, true, _ = metrics.roc_curve(is_class, score)
    precision, recall, _ = metrics.precision_recall_curve(is_class, score)
    return Curve(
        label,
        share=float(is_class.mean()),
        area=float(metrics.auc(false, true)),
        average_precision=float(metrics.average_precision_score(is_class, score)),
        roc=thinned(np.stack([false, true], axis=1)),
        precision_recall=thinned(np.stack([recall, precision], axis=1)[::-1]),
    )


def _worst(loss: _Array) -> list[int]:
    found: list[int] = np.argsort(-loss, kind="stable")[:_NUM_WORST].tolist()
    return found
