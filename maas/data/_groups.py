"""The groups of rows that scores are told apart by."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from maas.data._cells import as_objects
from maas.data._rows import Rows
from maas.data._split import column_of
from maas.errors import DataError, show
from maas.schema import label_text

_MOST_VALUES = 12  # of numbers that are taken as they are
_MOST_GROUPS = 50
_PARTS = 4


def group_values(rows: Rows, names: str | Sequence[str]) -> dict[str, np.ndarray[Any, Any]]:
    """The group of each row, as text, by column.

    A column of more than 12 different numbers is cut at its quartiles. Beyond 50 groups the smaller ones are one,
    "(other)". A missing value is a group of its own, "(missing)".

    Args:
        rows: of which a field or a side column is named.
        names: one column or several.

    Returns:
        Object arrays of shape (rows,) by name.

    Raises:
        DataError: there is no such column, or its values do not make groups.
    """
    listed = [names] if isinstance(names, str) else names
    if not isinstance(listed, (list, tuple)) or not all(isinstance(name, str) for name in listed):
        raise DataError(f"`groups` must name a column or several, such as 'region', got {show(names)}")
    return {name: _grouped(name, column_of(rows, name, "groups"), _dtype(rows, name)) for name in listed}


def _dtype(rows: Rows, name: str) -> str | None:
    return rows.schema[name].dtype if name in rows.schema.names else None


def _grouped(name: str, column: np.ndarray[Any, Any], dtype: str | None) -> np.ndarray[Any, Any]:
    kinds = {type(value) for value in column} if column.dtype == object else set()
    if column.ndim != 1 or column.dtype.kind == "M" or kinds & {np.ndarray, list, bytes} or dtype == "string":
        raise DataError(
            f"`groups` must name a column of categories or numbers; {show(name)} holds dates, texts, lists or files"
        )
    missing = np.array([value is None or value != value for value in column], bool)
    if dtype == "boolean":
        texts = ["true" if value == 1 else "false" for value in column]
    elif column.dtype.kind == "f" and len(np.unique(column[~missing])) > _MOST_VALUES:
        texts = _quarters(column)
    elif column.dtype.kind == "f":
        texts = _short(column)
    else:
        texts = [label_text(value) for value in column]
    texts = ["(missing)" if gone else text for text, gone in zip(texts, missing, strict=True)]
    counts = Counter(texts)
    if len(counts) > max(_MOST_VALUES, len(texts) // 2):
        raise DataError(
            f"`groups` names {show(name)}, whose {len(texts):,} rows have {len(counts):,} different values: an "
            f"identifier makes no groups"
        )
    named = {text for text, _ in sorted(counts.items(), key=lambda one: (-one[1], one[0]))[:_MOST_GROUPS]}
    return as_objects(text if text in named else "(other)" for text in texts)


def _quarters(column: np.ndarray[Any, Any]) -> list[str]:
    """The quarter of the rows that each number belongs to, by its bounds."""
    edges = np.unique(np.nanquantile(column, np.linspace(0, 1, _PARTS + 1)[1:-1]))
    bounds = _short(edges)
    names = [f"up to {bounds[0]}", *(f"over {low} to {high}" for low, high in itertools.pairwise(bounds))]
    names.append(f"over {bounds[-1]}")
    return [names[place] for place in np.searchsorted(edges, column)]


def _short(numbers: np.ndarray[Any, Any]) -> list[str]:
    """Numbers as text, of as few digits as tell them apart."""
    different = len(np.unique(numbers[~np.isnan(numbers)]))
    for digits in (4, 6, 9):
        texts = [f"{number:.{digits}g}" for number in numbers]
        if len(set(texts) - {"nan"}) == different:
            return texts
    return [repr(float(number)) for number in numbers]
