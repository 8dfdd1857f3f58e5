"""The scores of a detector of anomalies, computed by scikit-learn."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from maas.metrics._details import anomaly_details
from maas.metrics._scores import Scores

_Array = np.ndarray[Any, Any]
_LABELS = ["normal", "anomalous"]


def anomaly_scores(truth: _Array, scores: _Array, answer: _Array) -> Scores:
    """Scores of a detector of anomalies; of rows of one kind only the share of wrong alarms, or of those found.

    What each row adds to ROC AUC is its linear part, which is where DeLong's variance comes from, so that intervals
    hold for many rows of both kinds. Where every anomaly is ranked above every normal row there is no variance: the
    interval is then that of a share of the rows of the rarer kind.

    Args:
        truth: whether each row is an anomaly, bool of shape (rows,).
        scores: how unusual each row is, float64 of shape (rows,); the greater, the more.
        answer: whether an alarm was given, bool of shape (rows,).

    Source: DeLong, DeLong and Clarke-Pearson 1988 (doi 10.2307/2531595).
    """
    from sklearn import metrics

    both = bool(truth.any() and not truth.all())
    values: dict[str, float | None] = {
        "roc_auc": float(metrics.roc_auc_score(truth, scores)) if both else None,
        "average_precision": float(metrics.average_precision_score(truth, scores)) if truth.any() else None,
        "precision": float(metrics.precision_score(truth, answer, zero_division=0.0)),
        "recall": float(answer[truth].mean()) if truth.any() else None,
        "f1": float(metrics.f1_score(truth, answer, zero_division=0.0)),
        "false_alarm_rate": float(answer[~truth].mean()) if not truth.all() else None,
    }
    if both:
        primary, per_row = "roc_auc", _linear_parts(truth, scores)
    else:
        primary, per_row = "recall" if truth.any() else "false_alarm_rate", answer.astype(np.float64)
    return Scores(
        values=values,
        primary=primary,
        greater_is_better=primary != "false_alarm_rate",
        per_row=per_row,
        is_portion=True,
        num_counted=int(min(truth.sum(), (~truth).sum())) if both else None,
        labels=_LABELS,
        confusion=metrics.confusion_matrix(truth, answer, labels=[False, True]),
        details=partial(anomaly_details, truth.astype(np.intp), scores, answer.astype(np.intp), _LABELS),
    )


def _linear_parts(truth: _Array, scores: _Array) -> _Array:
    """One number a row, whose mean is ROC AUC and whose variance over the number of rows is that of DeLong."""
    parts = np.empty(len(truth))
    for mine in (truth, ~truth):
        others = np.sort(scores[~mine])
        below = (np.searchsorted(others, scores[mine]) + np.searchsorted(others, scores[mine], "right")) / 2
        share = below / len(others)  # of the other kind, ranked below
        parts[mine] = share if mine is truth else 1 - share
    area = parts[truth].mean()
    for mine in (truth, ~truth):
        parts[mine] = area + (parts[mine] - area) * len(truth) / mine.sum()
    return parts
