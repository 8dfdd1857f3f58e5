"""The scores of several labels a row, computed by scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from maas.metrics._details import multilabel_details
from maas.metrics._scores import Scores

_Array = np.ndarray[Any, Any]


def multilabel_scores(truth: _Array, answer: _Array, probabilities: _Array, labels: Sequence[str]) -> Scores:
    """Scores of several labels a row.

    Micro F1 counts the labels of all rows together, macro F1 is the plain mean of each label's. Hamming loss is the
    share of wrong cells, subset accuracy that of rows right in every label, mAP the mean of each label's average
    precision over the labels that stand in the truth. What each row adds to micro F1 is its linear part (the delta
    method), so that intervals hold for many rows.

    Args:
        truth, answer: bool of shape (rows, labels): which row has which label.
        probabilities: float of shape (rows, labels).
        labels: what the second axis is called.
    """
    from sklearn import metrics

    hits = 2.0 * (truth & answer).sum(axis=1)
    whole = (truth.sum(axis=1) + answer.sum(axis=1)).astype(np.float64)
    micro = float(hits.sum() / whole.sum()) if whole.any() else 0.0
    seen = truth.any(axis=0)
    precisions = [metrics.average_precision_score(truth[:, one], probabilities[:, one]) for one in np.flatnonzero(seen)]
    return Scores(
        values={
            "micro_f1": micro,
            "macro_f1": float(np.mean(_f1_by_label(truth, answer))),
            "hamming_loss": float((truth != answer).mean()),
            "subset_accuracy": float((truth == answer).all(axis=1).mean()),
            "mean_average_precision": float(np.mean(precisions)) if precisions else None,
        },
        primary="micro_f1",
        greater_is_better=True,
        per_row=micro + (hits - micro * whole) / (whole.mean() or 1.0),
        is_portion=True,
        details=partial(multilabel_details, truth, answer, probabilities, list(labels)),
    )


def scores_by_label(
    truth: _Array, answer: _Array, probabilities: _Array, labels: Sequence[str]
) -> dict[str, dict[str, float | None]]:
    """Precision, recall, F1, average precision (None where no row has the label) and rows of each label.

    Args:
        truth, answer, probabilities: as in `multilabel_scores`.
        labels: what the second axis is called.
    """
    from sklearn import metrics

    precision, recall, f1, support = metrics.precision_recall_fscore_support(truth, answer, zero_division=0.0)
    return {
        label: {
            "precision": float(precision[place]),
            "recall": float(recall[place]),
            "f1": float(f1[place]),
            "average_precision": float(metrics.average_precision_score(truth[:, place], probabilities[:, place]))
            if support[place]
            else None,
            "rows": float(support[place]),
        }
        for place, label in enumerate(labels)
    }


def _f1_by_label(truth: _Array, answer: _Array) -> _Array:
    both, either = 2.0 * (truth & answer).sum(axis=0), truth.sum(axis=0) + answer.sum(axis=0)
    scores: _Array = np.divide(both, either, out=np.zeros(len(both)), where=either > 0)
    return scores
