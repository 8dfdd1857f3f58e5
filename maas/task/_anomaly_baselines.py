"""Simple detectors of anomalies, by scikit-learn, taught by normal rows."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from maas.schema import Columns, Schema
from maas.task._baseline_matrices import as_seen, for_linear
from maas.task._text_baselines import has_text
from maas.task._threshold import alternate

_Matrix = np.ndarray[Any, Any]
_Method = Callable[[_Matrix, _Matrix], _Matrix]
_LEAST_ROWS = 10
_VARIANCE = 0.95


def anomaly_baselines(schema: Schema, train: Columns, test: Columns) -> dict[str, tuple[_Matrix, _Matrix]]:
    """How unusual rows are, the greater the more, by method: distance to the mean, Mahalanobis distance, PCA, trees.

    Numbers are standardised and categories one-hot; of sequences the methods see simple statistics of each channel, of
    images small grey pixels. There are none for texts, nor where fewer than 10 rows teach.

    Args:
        schema: the fields of the rows.
        train: normal rows. Four of five teach.
        test: the rows to answer.

    Returns:
        Of the fifth training rows, which choose a threshold, and of the test rows: float64 of shape (rows,).
    """
    length = len(next(iter(train.values())))
    if has_text(schema) or length < _LEAST_ROWS:
        return {}
    shown, hidden = alternate(np.zeros(length))
    both = {name: np.concatenate([train[name][hidden], test[name]]) for name in schema.names}
    taught = {name: train[name][shown] for name in schema.names}
    schema, taught, _, both, seen = as_seen(schema, taught, np.zeros(len(shown)), both)
    known, asked = for_linear(schema, taught, both)
    found = {}
    for name, method in _METHODS.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # constant columns and the like do a baseline no harm
            errors = np.asarray(method(known, asked), np.float64)
        found[name + seen] = errors[: len(hidden)], errors[len(hidden) :]
    return found


def _to_mean(known: _Matrix, asked: _Matrix) -> _Matrix:
    distances: _Matrix = np.linalg.norm(asked - known.mean(axis=0), axis=1)
    return distances


def _mahalanobis(known: _Matrix, asked: _Matrix) -> _Matrix:
    from sklearn.covariance import LedoitWolf

    distances: _Matrix = LedoitWolf().fit(known).mahalanobis(asked)  # squared
    return distances


def _principal(known: _Matrix, asked: _Matrix) -> _Matrix:
    """Squared error of the reconstruction from as many components as hold 95 % of the variance."""
    from sklearn.decomposition import PCA

    fitted = PCA(_VARIANCE, svd_solver="full").fit(known)
    errors: _Matrix = np.square(asked - fitted.inverse_transform(fitted.transform(asked))).sum(axis=1)
    return errors


def _forest(known: _Matrix, asked: _Matrix) -> _Matrix:
    from sklearn.ensemble import IsolationForest

    # scikit-learn's score is below 0, and the lower the more unusual.
    scores: _Matrix = -IsolationForest(random_state=0).fit(known).score_samples(asked)
    return scores


_METHODS: dict[str, _Method] = {
    "distance to the mean": _to_mean,
    "Mahalanobis distance": _mahalanobis,
    "PCA reconstruction": _principal,
    "isolation forest": _forest,
}
