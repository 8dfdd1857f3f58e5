"""A column as it was found, before anything is made of it."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from maas.errors import DataError, show
from maas.schema import label_text

_TRUTHS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_EXACT = 2.0**53
Kind = Literal["number", "boolean", "date", "text", "category", "bytes", "lists", "empty"]


@dataclass(frozen=True)
class Cells:
    """One column as it was found.

    Args:
        kind: what all its cells can be read as.
        values: for "number" float64 with NaN where a cell is missing; for "date" datetime64[us], or an object array of
            texts where they are not ISO 8601; else an object array of bool, str, bytes or lists, None where missing.
        texts: each cell as text, None where missing; called when they are wanted. What a CSV says is kept as it stands
            there: "01" is not "1".
    """

    kind: Kind
    values: np.ndarray[Any, Any]
    texts: Callable[[], Iterable[str | None]]

    @cached_property
    def labels(self) -> np.ndarray[Any, Any]:
        """Each cell as a category, object, None where missing."""
        return as_objects(None if text is None else label_text(text) for text in self.texts())

    @cached_property
    def strings(self) -> np.ndarray[Any, Any]:
        """Each cell as text, object, None where missing: letter for letter, where it is text."""
        return as_objects(self.values if self.kind in ("text", "category") else self.texts())

    @cached_property
    def holds_identifiers(self) -> bool:
        """Whether a number is an integer so large that float64 takes it for its neighbour."""
        if self.kind != "number" or not (np.abs(self.values) > _EXACT).any():
            return False
        large = as_objects(self.texts())[np.abs(self.values) > _EXACT]
        return any(text.strip().lstrip("+-").isdecimal() for text in large)

    @cached_property
    def missing(self) -> np.ndarray[Any, Any]:
        """Whether each cell is missing, bool."""
        cells = self.values if self.kind in ("number", "bytes", "lists") else self.labels
        return np.isnan(cells) if self.kind == "number" else np.array([one is None for one in cells], bool)


def as_objects(values: Iterable[Any]) -> np.ndarray[Any, Any]:
    """An object array of one axis, whatever the values are."""
    listed = list(values)
    return np.fromiter(listed, object, len(listed))  # an assignment would take lists of one length for further axes


def parse_number(text: str) -> float | None:
    """A number as a CSV writes it, or None."""
    try:
        return float(text) if "_" not in text else None
    except ValueError:
        return None


def parse_truth(text: str) -> bool | None:
    """True or false as a table writes it, or None."""
    return _TRUTHS.get(text.strip().lower())


def dates_of(texts: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """ISO 8601 texts as datetime64[us]; other texts as they are, for there is more than one way to read them."""
    try:
        moments = [None if one is None else datetime.datetime.fromisoformat(one) for one in texts]
    except ValueError:
        return texts
    utc = [
        None if one is None else one.astimezone(datetime.UTC).replace(tzinfo=None) if one.tzinfo else one
        for one in moments
    ]
    return np.array(utc, "datetime64[us]")


def plain_column(name: str, cells: Sequence[Any], *, categorical: bool = False) -> Cells:
    """A column of Python values, None where missing.

    Raises:
        DataError: the values are of several types, or of none that a column can have.
    """

    def texts() -> Iterable[str | None]:
        return (None if cell is None else label_text(cell) for cell in cells)

    kinds = {type(cell) for cell in cells} - {type(None)}
    if not kinds:
        return Cells("empty", as_objects(cells), texts)
    if categorical:
        return Cells("category", as_objects(texts()), texts)
    if all(issubclass(kind, datetime.date) for kind in kinds):  # a datetime is a date
        moments = [np.datetime64("NaT", "us") if cell is None else _moment(cell) for cell in cells]
        return Cells("date", np.array(moments, "datetime64[us]"), texts)
    if kinds <= {datetime.time, datetime.timedelta}:
        return Cells("date", as_objects(texts()), texts)
    if kinds <= {bool, np.bool_}:
        return Cells("boolean", as_objects(None if cell is None else bool(cell) for cell in cells), texts)
    if kinds <= {int, float}:
        return Cells("number", np.array([math.nan if cell is None else float(cell) for cell in cells]), texts)
    if kinds <= {str}:
        return Cells("text", as_objects(cells), texts)
    kind: Kind
    for kind, wanted in (("bytes", {bytes}), ("lists", {list, tuple, set, frozenset, np.ndarray})):
        if kinds <= wanted:
            return Cells(kind, as_objects(cells), _no_texts(name, kind))
    listed = ", ".join(sorted(kind.__name__ for kind in kinds))
    raise DataError(f"column {show(name)} mixes {listed}; give it one type, or leave it out with drop=[{name!r}]")


def _no_texts(name: str, kind: str) -> Callable[[], Iterable[str | None]]:
    def refuse() -> Iterable[str | None]:
        raise DataError(f"column {show(name)} holds {kind}, and no text; decode it first, or leave it out")

    return refuse


def _moment(cell: datetime.date) -> np.datetime64:
    if isinstance(cell, datetime.datetime) and cell.tzinfo is not None:
        cell = cell.astimezone(datetime.UTC).replace(tzinfo=None)
    return np.datetime64(cell.isoformat(), "us")
