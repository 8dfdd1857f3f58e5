"""Tables: numbers imputed and standardised, categories one-hot, all into one vector `x`."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from maas.errors import DataError, FormatError, RowError, show
from maas.preprocess._base import Arrays, preprocess
from maas.preprocess._examples import example_number
from maas.preprocess._standard import check_statistics, mean_and_scale
from maas.schema import Columns, Field, Schema, TensorSpec

KINDS = {"numeric", "boolean", "categorical"}
_MOST_CATEGORIES = 256
_FEWEST_ROWS = 2


@preprocess("table")
@dataclass(frozen=True)
class Table:
    """One float32 vector `x` of shape (batch, width) for each row.

    - numeric: a missing value is filled with the training median, then mean and deviation of the training rows are
      taken out. A field that had missing values in training adds a column saying so.
    - boolean: as a number, 0 or 1, treated alike.
    - categorical: one column a category. Categories of fewer than 2 training rows, and those after the 256
      commonest, share a column with whatever was never seen. Where training rows gave no such column, an unknown
      category is all zeros. A missing value has a column of its own where training rows had missing values, and
      counts as an unknown category elsewhere.

    Use `Table.learn`; or write one by hand for a network trained elsewhere.

    Args:
        schema: the fields, in order.
        fill, mean, scale: float64 of shape (numbers,): one entry for each number of the numeric and boolean
            fields, in order.
        gaps: bool of shape (numbers,): whether a number has a column that says it was missing.
        categories: by categorical field, the categories that have a column, in order.
        others: the categorical fields that have a column for rare and unknown categories.
        absents: the categorical fields that have a column for missing values.
    """

    kind = "table"

    schema: Schema
    fill: np.ndarray[Any, Any]
    mean: np.ndarray[Any, Any]
    scale: np.ndarray[Any, Any]
    gaps: np.ndarray[Any, Any]
    categories: Mapping[str, tuple[str, ...]]
    others: frozenset[str]
    absents: frozenset[str]

    @classmethod
    def takes(cls, schema: Schema) -> bool:
        return all(field.kind in KINDS for field in schema.fields)

    @classmethod
    def identity(cls, schema: Schema) -> Table:
        """Numbers as they are: for a network that was trained on raw or already prepared numbers."""
        if labels := [field.name for field in schema.fields if field.kind == "categorical"]:
            raise DataError(f"categories are no numbers as they are: {', '.join(map(show, labels))}; use Table.learn")
        count = sum(map(_count, schema.fields))
        zeros = np.zeros(count)
        return cls(schema, zeros, zeros, np.ones(count), np.zeros(count, bool), {}, frozenset(), frozenset())

    @classmethod
    def learn(cls, schema: Schema, columns: Columns) -> Table:
        numbers = _numbers(schema, columns)  # (rows, numbers)
        gaps, names = np.isnan(numbers), _names(schema)
        counts = (~gaps).sum(axis=0)
        fill = np.zeros(numbers.shape[1])
        mean, scale = fill.copy(), np.ones(numbers.shape[1])
        for index in np.flatnonzero(counts):
            present = numbers[~gaps[:, index], index]
            mean[index], scale[index] = mean_and_scale(present, f"field {show(names[index])}")
            fill[index] = np.median(present)
        categories: dict[str, tuple[str, ...]] = {}
        others, absents = set(), set()
        for field in schema.fields:
            if field.kind == "categorical":
                tally = Counter(value for value in columns[field.name] if value is not None)
                kept = [value for value, count in tally.most_common(_MOST_CATEGORIES) if count >= _FEWEST_ROWS]
                categories[field.name] = tuple(sorted(kept))
                if len(kept) < len(tally):
                    others.add(field.name)
                if any(value is None for value in columns[field.name]):
                    absents.add(field.name)
        return cls(schema, fill, mean, scale, gaps.any(axis=0), categories, frozenset(others), frozenset(absents))

    @property
    def outputs(self) -> Mapping[str, TensorSpec]:
        return {"x": TensorSpec((self._num_columns,), "float32")}

    def apply(self, columns: Columns) -> tuple[dict[str, torch.Tensor], dict[int, RowError]]:
        numbers = _numbers(self.schema, columns)
        count = len(self.fill)
        x = np.zeros((len(numbers), self._num_columns), np.float32)
        missing = np.isnan(numbers)
        if missing.any():
            numbers = np.where(missing, self.fill, numbers)
            x[:, count : count + int(self.gaps.sum())] = missing[:, self.gaps]
        with np.errstate(over="ignore"):  # what is too large for float32 is told below
            np.divide(numbers - self.mean, self.scale, out=x[:, :count], casting="same_kind")
        if self._hot:
            places = [[known.get(value, other) for value in columns[name]] for name, known, other in self._hot]
            hot = np.array(places, np.intp)  # (fields, rows)
            x[np.nonzero(hot >= 0)[1], hot[hot >= 0]] = 1.0
        return {"x": torch.from_numpy(x)}, self._overflown(x)

    def baselines(self) -> Mapping[str, torch.Tensor]:
        """The training means, with no category and nothing missing."""
        return {"x": torch.zeros(self._num_columns)}

    def attribute(self, columns: Columns, parts: Mapping[str, np.ndarray[Any, Any]]) -> list[dict[str, Any]]:
        """A number a field, all its columns added up; of a field that is a list of numbers, a list."""
        x, count = parts["x"].astype(np.float64), len(self.fill)
        numbers = x[:, :count].copy()
        numbers[:, self.gaps] += x[:, count : count + int(self.gaps.sum())]
        fields: dict[str, list[Any]] = {}
        start, hot = 0, count + int(self.gaps.sum())
        for field in self.schema.fields:
            if field.kind == "categorical":
                fields[field.name] = x[:, hot : hot + self._width(field)].sum(axis=1).tolist()
                hot += self._width(field)
            else:
                fields[field.name] = numbers[:, start : start + _count(field)].reshape(-1, *field.sizes).tolist()
                start += _count(field)
        return [dict(zip(fields, row, strict=True)) for row in zip(*fields.values(), strict=True)]

    def examples(self, count: int) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        for index in range(count):
            row: dict[str, Any] = {}
            start = 0
            for place, field in enumerate(self.schema.fields):
                size = _count(field)
                if field.nullable and index == count - 1:
                    row[field.name] = _filled(field.sizes, [None] * size)
                elif field.kind == "categorical":
                    known = field.values or self.categories[field.name] or ("other",)
                    row[field.name] = known[(index + place) % len(known)]
                elif field.kind == "boolean":
                    row[field.name] = (index + place) % 2 == 0
                else:
                    numbers = [
                        example_number(self.mean[number], self.scale[number], field.range, number + 1, index + 1)
                        for number in range(start, start + size)
                    ]
                    row[field.name] = _filled(field.sizes, numbers)
                start += size
            rows.append(row)
        return rows

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray[Any, Any]]]:
        state = {
            "categories": {name: list(values) for name, values in self.categories.items()},
            "others": sorted(self.others),
            "absents": sorted(self.absents),
        }
        return state, {"fill": self.fill, "mean": self.mean, "scale": self.scale, "gaps": self.gaps}

    @classmethod
    def from_state(cls, schema: Schema, state: Mapping[str, Any], arrays: Arrays) -> Table:
        count = sum(map(_count, schema.fields))
        check_statistics(arrays, (count,), ("fill", "mean", "scale"))
        gaps = arrays["gaps"]
        if gaps.shape != (count,) or gaps.dtype != "bool":
            raise FormatError(
                f"preprocessing array 'gaps' must be bool of shape ({count},), got {gaps.dtype} of shape {gaps.shape}"
            )
        wanted = {field.name for field in schema.fields if field.kind == "categorical"}
        if not all(type(values) is list for values in state["categories"].values()):
            raise FormatError("categories must be lists of strings")
        categories = {name: tuple(values) for name, values in state["categories"].items()}
        if set(categories) != wanted or not {*state["others"], *state["absents"]} <= wanted:
            raise FormatError(f"categories must be given for the fields {sorted(wanted)}, got {sorted(categories)}")
        for name, values in categories.items():
            if len(set(values)) != len(values) or not all(type(value) is str for value in values):
                raise FormatError(f"categories of field {show(name)} must be different strings")
        if not cls.takes(schema):
            raise FormatError("a table's fields are numeric, boolean or categorical")
        return cls(
            schema,
            arrays["fill"],
            arrays["mean"],
            arrays["scale"],
            gaps,
            categories,
            frozenset(state["others"]),
            frozenset(state["absents"]),
        )

    def _width(self, field: Field) -> int:
        return len(self.categories[field.name]) + (field.name in self.others) + (field.name in self.absents)

    def _overflown(self, x: np.ndarray[Any, Any]) -> dict[int, RowError]:
        """Errors of the rows in which a number does not fit into float32 once it is standardised."""
        errors: dict[int, RowError] = {}
        if np.isfinite(x).all():
            return errors
        names = _names(self.schema)
        for row, column in np.argwhere(~np.isfinite(x))[::-1].tolist():
            errors[row] = RowError(row, names[column], f"field {show(names[column])} is too large for the model")
        return errors

    @cached_property
    def _num_columns(self) -> int:
        labels = [field for field in self.schema.fields if field.kind == "categorical"]
        return len(self.fill) + int(self.gaps.sum()) + sum(map(self._width, labels))

    @cached_property
    def _hot(self) -> tuple[tuple[str, Mapping[str | None, int], int], ...]:
        """Each categorical field with the column of each of its categories and of any other; -1 stands for none."""
        found = []
        start = len(self.fill) + int(self.gaps.sum())
        for field in self.schema.fields:
            if field.kind != "categorical":
                continue
            known: dict[str | None, int] = {value: start + at for at, value in enumerate(self.categories[field.name])}
            other = start + len(known) if field.name in self.others else -1
            start += self._width(field)
            known[None] = start - 1 if field.name in self.absents else other
            found.append((field.name, known, other))
        return tuple(found)


def _count(field: Field) -> int:
    """How many numbers a field holds."""
    return 0 if field.kind == "categorical" else math.prod(field.sizes)


def _names(schema: Schema) -> list[str]:
    """For each number of a row the field it belongs to."""
    return [field.name for field in schema.fields for _ in range(_count(field))]


def _filled(shape: tuple[int, ...], values: list[Any]) -> Any:
    """Nested lists of a shape, the last axis innermost."""
    if not shape:
        return values[0] if values else None
    step = math.prod(shape[1:])
    return [_filled(shape[1:], values[place : place + step]) for place in range(0, len(values), step)]


def _numbers(schema: Schema, columns: Columns) -> np.ndarray[Any, Any]:
    """All numbers of the rows side by side: (rows, numbers)."""
    length = len(columns[schema.names[0]])
    numeric = [field for field in schema.fields if field.kind != "categorical"]
    parts = [columns[field.name].reshape(length, _count(field)) for field in numeric]
    if len(parts) == 1:
        return parts[0]
    return np.concatenate(parts, axis=1) if parts else np.zeros((length, 0))
