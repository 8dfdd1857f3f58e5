"""Rows as matrices of numbers, which is how scikit-learn's methods take them."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace
from typing import Any

import numpy as np

from maas.preprocess import Audio, Image
from maas.schema import Columns, Field, Schema

PLAIN = ("number", "boolean", "label")
"""The dtypes that these matrices are made of."""

_Matrix = np.ndarray[Any, Any]
_IMAGE_SIDE = 16
_MOST_ENCODED = 10_000


def as_seen(
    schema: Schema, train: Columns, target: _Matrix, test: Columns
) -> tuple[Schema, Columns, _Matrix, Columns, str]:
    """The rows as these methods can take them, images and sounds as numbers; and what to add to a method's name."""
    encoded = [field for field in schema.fields if field.kind in ("image", "audio")]
    if not encoded:
        return schema, train, target, test, ""
    others = " fields and" if any(field.dtype in PLAIN for field in schema.fields) else ""
    length = len(target)
    # Evenly over all rows, for those of a folder are sorted by class.
    chosen = np.linspace(0, length - 1, min(length, _MOST_ENCODED)).astype(np.intp)
    train = {name: column[chosen] for name, column in train.items()}
    test = dict(test)
    fields = {field.name: field for field in schema.fields}
    for field in encoded:
        of = _pixels if field.kind == "image" else _bands
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


def _bands(field: Field, train: Columns, test: Columns) -> tuple[list[_Matrix], str]:
    """Of training and test rows a matrix each, float64 of shape (rows, 2 * bands), and what its columns are."""
    learned = Audio.learn(Schema((field,)), train)
    sides = []
    for columns in (train, test):
        inputs, _ = learned.apply(columns)
        rows = zip(inputs["sequence"].double().numpy(), inputs["sequence_lengths"].tolist(), strict=True)
        sides.append(np.array([np.concatenate([one[:end].mean(0), one[:end].std(0)]) for one, end in rows]))
    return sides, "log-mel means and deviations"


def for_linear(schema: Schema, train: Columns, test: Columns) -> tuple[_Matrix, _Matrix]:
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


def for_trees(schema: Schema, train: Columns, test: Columns) -> tuple[_Matrix, _Matrix]:
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
