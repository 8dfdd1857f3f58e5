"""Simple methods for several labels a row: one model a label."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from maas.schema import Columns, Schema
from maas.task._baseline_matrices import as_seen, for_linear, for_trees
from maas.task._text_baselines import has_text, tfidf

_Matrix = np.ndarray[Any, Any]
_MOST_LABELS_FOR_TREES = 20


def multilabel_baselines(schema: Schema, train: Columns, hot: _Matrix, test: Columns) -> dict[str, _Matrix]:
    """Probabilities of shape (test rows, labels) by method: each label's share, and for each label a model of its own.

    The models are logistic regression and, for up to 20 labels, boosted trees; of texts logistic regression on TF-IDF.
    Images are seen as in a classification's baselines.

    Args:
        schema: the fields of the rows.
        train, hot: the rows to learn from, and bool of shape (rows, labels) that says which has which label.
        test: the rows to answer.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression

    found = {"share of each label": np.tile(hot.mean(axis=0), (len(next(iter(test.values()))), 1))}
    schema, train, hot, test, seen = as_seen(schema, train, hot, test)
    methods: list[tuple[str, Any, tuple[Any, Any]]]
    if has_text(schema):
        methods = [("TF-IDF + logistic regression", LogisticRegression(max_iter=2000, C=3), tfidf(schema, train, test))]
    else:
        methods = [("logistic regression", LogisticRegression(max_iter=2000), for_linear(schema, train, test))]
        if hot.shape[1] <= _MOST_LABELS_FOR_TREES:
            trees = HistGradientBoostingClassifier(random_state=0, early_stopping=False)
            methods.append(("boosted trees", trees, for_trees(schema, train, test)))
    for name, estimator, matrices in methods:
        found[name + seen] = np.stack(
            [_one(estimator, matrices, hot[:, place]) for place in range(hot.shape[1])], axis=1
        )
    return found


def _one(estimator: Any, matrices: tuple[Any, Any], has: _Matrix) -> _Matrix:
    """The probability of one label, float64 of shape (test rows,)."""
    if has.all() or not has.any():
        return np.full(matrices[1].shape[0], float(has[0]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a baseline that stops before it converges is still a baseline
        estimator.fit(matrices[0], has)
        probabilities: _Matrix = estimator.predict_proba(matrices[1])[:, 1]
    return probabilities
