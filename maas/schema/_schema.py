"""The fields of a row, and raw rows to checked columns."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from maas.errors import DataError, RowError, show
from maas.schema._checks import check_column, check_together
from maas.schema._field import Field

Columns = dict[str, np.ndarray[Any, Any]]
"""Named columns of equal length: the first axis of each array counts rows.

A "number" or "boolean" field is float64 with NaN where a value is missing, of shape (rows, *field.shape); where the
first size of its shape is None, an object array of one float64 array a row. A "label" or "string" field is an object
array of str, None where missing; a list of labels, of shape (None,), one of tuples of str. A "bytes" field is an object
array of bytes.
"""

_MOST_SUGGESTIONS = 200


@dataclass(frozen=True)
class Schema:
    """The fields of a row, in order.

    Raises:
        DataError: there is no field, or two share a name.
    """

    fields: tuple[Field, ...]

    def __post_init__(self) -> None:
        if not self.fields:
            raise DataError("a schema needs at least one field; no column is left to learn from")
        names = [field.name for field in self.fields]
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise DataError(f"field names must differ, got {', '.join(map(show, repeated))} more than once")

    def __getitem__(self, name: str) -> Field:
        return next(field for field in self.fields if field.name == name)

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(field.name for field in self.fields)

    def to_json(self) -> list[dict[str, Any]]:
        """The schema as JSON, as an artifact holds it."""
        return [field.to_json() for field in self.fields]

    @classmethod
    def from_json(cls, state: Sequence[Mapping[str, Any]]) -> Schema:
        """The schema that `to_json` wrote."""
        return cls(tuple(Field.from_json(field) for field in state))

    def json_schema(self) -> dict[str, Any]:
        """One row as JSON Schema (draft 2020-12): every field required but the optional ones, no other accepted."""
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": {field.name: field.json_schema() for field in self.fields},
            "required": [field.name for field in self.fields if not field.optional],
            "additionalProperties": False,
        }

    def rows_to_columns(self, rows: Sequence[Any]) -> tuple[Columns, dict[int, RowError]]:
        """Check rows as clients write them, and lay them out as columns.

        Args:
            rows: one mapping of field name to value for each row.

        Returns:
            Columns as long as `rows`, and the errors by row. A bad row's cells hold placeholders.
        """
        errors: dict[int, RowError] = {}
        names = self.names
        expected, needed = self._expected
        for index, row in enumerate(rows):
            if type(row) is dict and row.keys() == expected:
                continue
            if not isinstance(row, Mapping):
                errors[index] = RowError(index, None, f"a row must be an object of fields, got {show(row)}")
            elif row.keys() != expected and not needed <= row.keys() <= expected:
                errors[index] = self._wrong_names(index, row, expected)
        blank: dict[str, Any] = {}
        usable = [blank if index in errors else row for index, row in enumerate(rows)] if errors else rows
        raw = {name: [row.get(name) for row in usable] for name in names}
        columns, wrong = self.check(raw, len(rows), set(errors))
        return columns, {**wrong, **errors}

    def check(
        self, raw: Mapping[str, Sequence[Any] | np.ndarray[Any, Any]], length: int, skip: Iterable[int] = ()
    ) -> tuple[Columns, dict[int, RowError]]:
        """Check raw columns, value by value where need be, and give them their canonical dtype.

        Args:
            raw: every field's values, `length` of each; those of an optional field may be left out.
            length: number of rows.
            skip: rows already known to be bad; not looked at again.

        Returns:
            Canonical columns, and the first error of each bad row. A bad row's cells hold placeholders.

        Raises:
            DataError: a column is missing.
        """
        columns: Columns = {}
        errors: dict[int, RowError] = {}
        skipped = set(skip)
        together = check_together(self._single_numbers, raw, length) if len(self._single_numbers) > 1 else {}
        for field in self.fields:
            if field.name in together:
                columns[field.name] = together[field.name]
                continue
            if field.name not in raw and not field.optional:
                raise DataError(f"column {show(field.name)} is missing" + suggestion(field.name, raw))
            values = raw[field.name] if field.name in raw else [None] * length
            columns[field.name], details = check_column(field, values, length)
            for row, detail in details.items():
                if row not in skipped:
                    errors.setdefault(row, RowError(row, field.name, detail))
        return columns, errors

    @cached_property
    def _expected(self) -> tuple[frozenset[str], frozenset[str]]:
        """The names that a row may have, and those that it must have."""
        needed = frozenset(field.name for field in self.fields if not field.optional)
        return frozenset(self.names), needed

    @cached_property
    def _single_numbers(self) -> tuple[Field, ...]:
        return tuple(field for field in self.fields if field.dtype == "number" and not field.shape)

    def _wrong_names(self, index: int, row: Mapping[str, Any], expected: frozenset[str]) -> RowError:
        for name in self.names:
            if name not in row and not self[name].optional:
                return RowError(index, name, f"field {show(name)} is missing{suggestion(name, row)}")
        name = next(name for name in row if name not in expected)
        return RowError(index, str(name)[:80], f"there is no field {show(name)}{suggestion(name, self.names)}")


def suggestion(name: object, known: Iterable[Any]) -> str:
    """The known name that is closest to a misspelt one, as the end of an error message; else nothing."""
    names = [str(one)[:80] for one in itertools.islice(known, _MOST_SUGGESTIONS + 1)]
    if len(names) > _MOST_SUGGESTIONS:  # comparing takes time, and a client could ask for much of it
        return ""
    close = difflib.get_close_matches(str(name)[:80], names, n=1)
    return f"; did you mean {show(close[0])}?" if close else ""
