"""Simple methods that a network must beat to earn its keep, by scikit-learn, on the same rows."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace
from typing import Any

import numpy as np

from maas.preprocess import Image
from maas.schema import Columns, Field, Schema
from maas.task._audio_baselines import summaries
from maas.task._rating_baselines import has_ids, rating_baselines
from maas.task._text_baselines import has_text, tfidf

_Matrix = np.ndarray[Any, Any]
_IMAGE_SIDE = 16
_PLAIN = ("number", "boolean", "label")
_MOST_ENCODED = 10_000


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
    schema, train, places, test, seen = _seen(schema, train, places, test)
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
    schema, train, target, test, seen = _seen(schema, train, target, test)
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


def _seen(
    schema: Schema, train: Columns, target: _Matrix, test: Columns
) -> tuple[Schema, Columns, _Matrix, Columns, str]:
    """The rows as these methods can take them, images and sounds as numbers; and what to add to a method's name."""
    encoded = [field for field in schema.fields if field.kind in ("image", "audio")]
    if not encoded:
        return schema, train, target, test, ""
    others = " fields and" if any(field.dtype in _PLAIN for field in schema.fields) else ""
    length = len(target)
    # Evenly over all rows, for those of a folder are sorted by class.
    chosen = np.linspace(0, length - 1, min(length, _MOST_ENCODED)).astype(np.intp)
    train = {name: column[chosen] for name, column in train.items()}
    test = dict(test)
    fields = {field.name: field for field in schema.fields}
    for field in encoded:
        of = _pixels if field.kind == "image" else summaries
        (train[field.name], test[field.name]), what = of(field, train, test)
        fields[field.name] = replace(field, kind="numeric", dtype="number", shape=train[field.name].shape[1:])
        seen = f" on{others} {what}"
    seen += f" of {_MOST_ENCODED:,} rows" * (length > _MOST_ENCODED)
    return Schema(tuple(fields.values())), train, target[chosen], test, seen


def _pixels(field: Field, train: Columns, test: Columns) -> tuple[list[_Matrix], str]:
    """Of training and test rows a matrix each, float64 of shape (rows, pixels), and what its columns are."""
    learned = Image.with_options(channels=1).learn(Schema((field,)), train)
    sides = min(_IMAGE_SIDE, learned.height), min(_IMAGE_SIDE, learned.width)
    small = replace(learned, height=sides[0], width=sides[1])
    found = [small.apply(columns)[0]["image"].double().flatten(1).numpy() for columns in (train, test)]
    return found, f"{sides[0]} x {sides[1]} grey pixels"


def _methods(
    linear: tuple[str, Any], trees: tuple[str, Any], schema: Schema, train: Columns, test: Columns
) -> list[tuple[str, Any, tuple[Any, Any]]]:
    """A linear model and trees, each with the matrices of what it can see; the linear one sees texts too."""
    texts = tuple(field for field in schema.fields if field.kind == "text")
    rest = tuple(field for field in schema.fields if field.dtype in _PLAIN)
    if not rest:  # nothing that these methods take
        return [(f"{linear[0]} on TF-IDF", linear[1], tfidf(Schema(texts), train, test))] if texts else []
    plain = Schema(rest)
    dense = _linear(plain, train, test)
    methods = [(*trees, _trees(plain, train, test))]
    if not texts:
        return [(*linear, dense), *methods]
    from scipy.sparse import csr_matrix, hstack

    words = tfidf(Schema(texts), train, test)
    beside = tuple(hstack([csr_matrix(one), two], "csr") for one, two in zip(dense, words, strict=True))
    return [(f"{linear[0]} with TF-IDF", linear[1], beside), (f"{trees[0]} without texts", *methods[0][1:])]


def forecast_baselines(schema: Schema, train: Columns, target: _Matrix, test: Columns) -> dict[str, _Matrix]:
    """Values of shape (test rows, horizon[, channels]) by method: last value, mean, ridge on the flattened window.

    The last value is that of the channel which moves most like the target's first step: the columns do not say which
    channels of the window are the ones to forecast.
    """
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    name = schema.names[0]
    known, asked = (_unbroken(columns[name]) for columns in (train, test))  # (rows, window, channels)
    first = target[:, 0].reshape(len(target), -1)  # (rows, targets)
    gaps = np.abs(known[:, -1, :, None] - first[:, None, :]).mean(axis=0)  # (channels, targets)
    last = asked[:, -1, gaps.argmin(axis=0)].reshape(len(asked), 1, *target.shape[2:])
    ridge = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-3, 3, 13)))
    ridge.fit(known.reshape(len(known), -1), target.reshape(len(target), -1))
    return {
        "last value": np.broadcast_to(last, (len(asked), *target.shape[1:])),
        "mean": np.broadcast_to(target.mean(axis=(0, 1)), (len(asked), *target.shape[1:])),
        "ridge regression": ridge.predict(asked.reshape(len(asked), -1)).reshape(len(asked), *target.shape[1:]),
    }


def _unbroken(windows: _Matrix) -> _Matrix:
    """Windows of shape (rows, steps, channels), each gap filled with the step before it, or with 0."""
    last = np.maximum.accumulate(np.where(np.isnan(windows), 0, np.arange(windows.shape[1])[:, None]), axis=1)
    filled = np.take_along_axis(windows, last, axis=1)
    return np.where(np.isnan(filled), 0.0, filled)


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
    numeric = [one for one in schema.fields if one.dtype in ("number", "boolean")]
    parts = [
        _summaries(columns[one.name]) if one.kind == "sequence" else columns[one.name].reshape(length, -1)
        for one in numeric
    ]
    return np.concatenate(parts, axis=1) if parts else np.zeros((length, 0))


def _summaries(column: _Matrix) -> _Matrix:
    """What a sequence comes to: mean, deviation, least, greatest, first and last of each channel, and its length.

    NaN where a channel of a row is missing throughout.
    """
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numpy warns of means of nothing
        for steps in column:  # (steps, channels)
            parts = [np.nanmean(steps, 0), np.nanstd(steps, 0), np.nanmin(steps, 0), np.nanmax(steps, 0)]
            found.append(np.concatenate([*parts, steps[0], steps[-1], [len(steps)]]))
    return np.array(found)


def _labels(schema: Schema, columns: Columns) -> _Matrix:
    length = len(columns[schema.names[0]])
    parts = [columns[one.name] for one in schema.fields if one.dtype == "label"]
    matrix = np.empty((length, len(parts)), object)
    for place, column in enumerate(parts):
        matrix[:, place] = ["\0missing" if cell is None else cell for cell in column]
    return matrix
