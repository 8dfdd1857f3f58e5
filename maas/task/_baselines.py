"""Simple methods that a network must beat to earn its keep, by scikit-learn, on the same rows."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from maas.schema import Columns, Schema
from maas.task._text_baselines import has_text, tfidf

_Matrix = np.ndarray[Any, Any]


def classification_baselines(
    schema: Schema, train: Columns, places: _Matrix, test: Columns, num_classes: int
) -> dict[str, _Matrix]:
    """Probabilities of shape (test rows, classes) by method: majority class, logistic regression, boosted trees.

    Texts: majority class, and logistic regression on TF-IDF.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression

    shares = np.bincount(places, minlength=num_classes) / len(places)
    found = {"majority class": np.tile(shares, (len(next(iter(test.values()))), 1))}
    methods: list[tuple[str, Any, tuple[Any, Any]]]
    if has_text(schema):
        methods = [("TF-IDF + logistic regression", LogisticRegression(max_iter=2000, C=3), tfidf(schema, train, test))]
    else:
        methods = [
            ("logistic regression", LogisticRegression(max_iter=2000), _linear(schema, train, test)),
            ("boosted trees", HistGradientBoostingClassifier(random_state=0), _trees(schema, train, test)),
        ]
    for name, estimator, matrices in methods:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a baseline that stops before it converges is still a baseline
            estimator.fit(matrices[0], places)
            known = estimator.predict_proba(matrices[1])
        probabilities = np.zeros((len(known), num_classes))
        probabilities[:, estimator.classes_] = known
        found[name] = probabilities
    return found


def regression_baselines(schema: Schema, train: Columns, target: _Matrix, test: Columns) -> dict[str, _Matrix]:
    """Values of shape (test rows,) by method: mean, linear regression with a ridge, boosted trees.

    Texts: mean, and a ridge on TF-IDF.
    """
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.linear_model import Ridge, RidgeCV

    found = {"mean": np.full(len(next(iter(test.values()))), target.mean())}
    methods: list[tuple[str, Any, tuple[Any, Any]]]
    if has_text(schema):
        methods = [("TF-IDF + ridge regression", Ridge(), tfidf(schema, train, test))]
    else:
        methods = [
            ("ridge regression", RidgeCV(np.logspace(-3, 3, 13)), _linear(schema, train, test)),
            ("boosted trees", HistGradientBoostingRegressor(random_state=0), _trees(schema, train, test)),
        ]
    for name, estimator, matrices in methods:
        estimator.fit(matrices[0], target)
        found[name] = estimator.predict(matrices[1])
    return found


def _linear(schema: Schema, train: Columns, test: Columns) -> tuple[_Matrix, _Matrix]:
    """Numbers imputed and standardised, categories one-hot: what a linear model wants."""
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    parts: list[tuple[_Matrix, _Matrix]] = []
    numbers = _numbers(schema, train), _numbers(schema, test)
    if numbers[0].shape[1]:
        scaler = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
        parts.append((scaler.fit_transform(numbers[0]), scaler.transform(numbers[1])))
    labels = _labels(schema, train), _labels(schema, test)
    if labels[0].shape[1]:
        encoder = OneHotEncoder(
            handle_unknown="infrequent_if_exist", min_frequency=2, max_categories=256, sparse_output=False
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # unknown categories of the test rows are expected
            parts.append((encoder.fit_transform(labels[0]), encoder.transform(labels[1])))
    return tuple(np.concatenate(side, axis=1) for side in zip(*parts, strict=True))  # type: ignore[return-value]


def _trees(schema: Schema, train: Columns, test: Columns) -> tuple[_Matrix, _Matrix]:
    """Numbers as they are, missing ones too, categories by number: what boosted trees want."""
    from sklearn.preprocessing import OrdinalEncoder

    parts = [(_numbers(schema, train), _numbers(schema, test))]
    labels = _labels(schema, train), _labels(schema, test)
    if labels[0].shape[1]:
        encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=math.nan)
        parts.append((encoder.fit_transform(labels[0]), encoder.transform(labels[1])))
    return tuple(np.concatenate(side, axis=1) for side in zip(*parts, strict=True))  # type: ignore[return-value]


def _numbers(schema: Schema, columns: Columns) -> _Matrix:
    length = len(columns[schema.names[0]])
    parts = [columns[one.name].reshape(length, -1) for one in schema.fields if one.dtype in ("number", "boolean")]
    return np.concatenate(parts, axis=1) if parts else np.zeros((length, 0))


def _labels(schema: Schema, columns: Columns) -> _Matrix:
    length = len(columns[schema.names[0]])
    parts = [columns[one.name] for one in schema.fields if one.dtype == "label"]
    matrix = np.empty((length, len(parts)), object)
    for place, column in enumerate(parts):
        matrix[:, place] = ["\0missing" if cell is None else cell for cell in column]
    return matrix
