"""Simple methods that a network must beat to earn its keep, by scikit-learn, on the same rows."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from maas.schema import Columns, Schema
from maas.task._baseline_matrices import PLAIN, as_seen, for_linear, for_trees
from maas.task._rating_baselines import has_ids, rating_baselines
from maas.task._text_baselines import has_text, tfidf

_Matrix = np.ndarray[Any, Any]


def classification_baselines(
    schema: Schema, train: Columns, places: _Matrix, test: Columns, num_classes: int
) -> dict[str, _Matrix]:
    """Probabilities of shape (test rows, classes) by method: majority class, logistic regression, boosted trees.

    Of images the methods see small grey pixels, of sounds summaries of their bands, and learn from 10,000 at the most;
    their names say so.
    Texts: majority class, and logistic regression on TF-IDF. Mixed rows: all of that beside each other, but for boosted
    trees, which do not see texts; the names say what each sees.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression

    # Stopping early would split off rows of each class, which one row cannot be.
    early: Any = "auto" if min(np.bincount(places)[np.unique(places)]) > 1 else False
    shares = np.bincount(places, minlength=num_classes) / len(places)
    found = {"majority class": np.tile(shares, (len(next(iter(test.values()))), 1))}
    schema, train, places, test, seen = as_seen(schema, train, places, test)
    methods: list[tuple[str, Any, tuple[Any, Any]]]
    if has_text(schema):
        methods = [("TF-IDF + logistic regression", LogisticRegression(max_iter=2000, C=3), tfidf(schema, train, test))]
    else:
        methods = _methods(
            ("logistic regression", LogisticRegression(max_iter=2000)),
            ("boosted trees", HistGradientBoostingClassifier(random_state=0, early_stopping=early)),
            *(schema, train, test),
        )
    for name, estimator, matrices in methods:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a baseline that stops before it converges is still a baseline
            estimator.fit(matrices[0], places)
            known = estimator.predict_proba(matrices[1])
        probabilities = np.zeros((len(known), num_classes))
        probabilities[:, estimator.classes_] = known
        found[name + seen] = probabilities
    return found


def regression_baselines(schema: Schema, train: Columns, target: _Matrix, test: Columns) -> dict[str, _Matrix]:
    """Values of shape (test rows,) by method: mean, linear regression with a ridge, boosted trees.

    Texts: mean, and a ridge on TF-IDF. Mixed rows as in a classification. Ratings of items by users: mean, and biases.
    """
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.linear_model import Ridge, RidgeCV

    if has_ids(schema):
        return rating_baselines(schema, train, target, test)
    found = {"mean": np.full(len(next(iter(test.values()))), target.mean())}
    schema, train, target, test, seen = as_seen(schema, train, target, test)
    methods: list[tuple[str, Any, tuple[Any, Any]]]
    if has_text(schema):
        methods = [("TF-IDF + ridge regression", Ridge(), tfidf(schema, train, test))]
    else:
        texts = any(field.kind == "text" for field in schema.fields)
        methods = _methods(
            ("ridge regression", Ridge() if texts else RidgeCV(np.logspace(-3, 3, 13))),
            ("boosted trees", HistGradientBoostingRegressor(random_state=0)),
            *(schema, train, test),
        )
    for name, estimator, matrices in methods:
        estimator.fit(matrices[0], target)
        found[name + seen] = estimator.predict(matrices[1])
    return found


def _methods(
    linear: tuple[str, Any], trees: tuple[str, Any], schema: Schema, train: Columns, test: Columns
) -> list[tuple[str, Any, tuple[Any, Any]]]:
    """A linear model and trees, each with the matrices of what it can see; the linear one sees texts too."""
    texts = tuple(field for field in schema.fields if field.kind == "text")
    rest = tuple(field for field in schema.fields if field.dtype in PLAIN)
    if not rest:  # nothing that these methods take
        return [(f"{linear[0]} on TF-IDF", linear[1], tfidf(Schema(texts), train, test))] if texts else []
    plain = Schema(rest)
    dense = for_linear(plain, train, test)
    methods = [(*trees, for_trees(plain, train, test))]
    if not texts:
        return [(*linear, dense), *methods]
    from scipy.sparse import csr_matrix, hstack

    words = tfidf(Schema(texts), train, test)
    beside = tuple(hstack([csr_matrix(one), two], "csr") for one, two in zip(dense, words, strict=True))
    return [(f"{linear[0]} with TF-IDF", linear[1], beside), (f"{trees[0]} without texts", *methods[0][1:])]
