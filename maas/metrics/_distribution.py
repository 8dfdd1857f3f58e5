"""What training rows looked like, field by field, in numbers that name no row: for the card, and to see drift by."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np

from maas.schema import Columns, Field, Schema

NUM_BINS = 10
FEWEST_ROWS = 5  # of a bin, or of a category that is named: fewer could be one person
_MOST_CATEGORIES = 50
_MOST_NUMBERS = 256
_MOST_FIELDS = 1000
_LONGEST_CATEGORY = 200

_Array = np.ndarray[Any, Any]


def distribution(schema: Schema, columns: Columns) -> dict[str, Any]:
    """How the values of each field are spread, in JSON values.

    Numbers and booleans lie in ten bins between quantiles of the training rows; of a list of at most 256 numbers it is
    their mean, of texts and sequences the length, of encoded sounds the number of bytes. Of categories there are the
    shares of the 50 commonest. Nothing is told of images, lists of labels, users and items; no category of fewer than 5
    rows is named, no bin is made for fewer, and no text is kept.

    Args:
        schema: the fields; of more than 1,000 the first ones.
        columns: training rows.

    Returns:
        By field either `edges`, at most 9 and rising, with `shares` of the bins below, between and above them (an edge
        belongs to the bin below it), or `categories` with their shares and that of the `rest`; and the share `missing`.
    """
    found: dict[str, Any] = {}
    for field in schema.fields[:_MOST_FIELDS]:
        column = columns[field.name]
        if not len(column) or field.kind == "option":  # how to answer is each client's own
            continue
        if is_categorical(field):
            found[field.name] = _of_categories(column)
        elif (values := measure(field, column)) is not None:
            found[field.name] = _of_numbers(values)
    return found


def is_categorical(field: Field) -> bool:
    """Whether a field's values may be named: those of users and items may not."""
    return field.kind == "categorical" and field.dtype == "label" and not field.shape


def measure(field: Field, column: _Array) -> _Array | None:
    """One number a row, float64 of shape (rows,), NaN where the value is missing; None for a field without one."""
    if field.dtype in ("number", "boolean") and field.shape[:1] != (None,):
        if not field.shape:
            return column
        if math.prod(field.sizes) > _MOST_NUMBERS:
            return None
        mean: _Array = column.reshape(len(column), -1).mean(axis=1)
        return mean
    if field.dtype in ("number", "string") or (field.dtype, field.kind) == ("bytes", "audio"):
        return np.array([math.nan if one is None else len(one) for one in column], np.float64)
    return None


def bins_of(values: _Array, edges: _Array) -> _Array:
    """The place of each value's bin: how many edges lie below it, and the last place of all where it is missing.

    Args:
        values: float64 of shape (rows, fields).
        edges: float64 of shape (fields, NUM_BINS - 1), rising, infinite where there are fewer.
    """
    places: _Array = (values[:, :, None] > edges).sum(axis=2)
    places[np.isnan(values)] = NUM_BINS
    return places


def _of_numbers(values: _Array) -> dict[str, Any]:
    present = values[~np.isnan(values)]
    missing = 1 - len(present) / len(values)
    num_bins = min(NUM_BINS, len(present) // FEWEST_ROWS)
    edges = np.quantile(present, np.arange(1, num_bins) / num_bins) if num_bins > 1 else np.zeros(0)
    edges = np.unique([float(f"{edge:.6g}") for edge in edges])  # equal ones where a value is common
    places = bins_of(values[:, None], edges[None])[:, 0]
    counts = np.bincount(places, minlength=NUM_BINS + 1)[: len(edges) + 1]
    return {"edges": edges.tolist(), "shares": _shares(counts, len(values)), "missing": round(missing, 6)}


def _of_categories(column: _Array) -> dict[str, Any]:
    tally = Counter(value for value in column if value is not None)
    named = {
        value: count
        for value, count in sorted(tally.most_common(_MOST_CATEGORIES))
        if count >= FEWEST_ROWS and len(value) <= _LONGEST_CATEGORY
    }
    rest = sum(tally.values()) - sum(named.values())
    shares = _shares(np.array([*named.values(), rest, len(column) - sum(tally.values())]), len(column))
    return {"categories": dict(zip(named, shares, strict=False)), "rest": shares[-2], "missing": shares[-1]}


def _shares(counts: _Array, total: int) -> list[float]:
    return [round(share, 6) for share in (counts / total).tolist()]
