"""What a row is: named fields, how each travels, and the checks that turn raw rows into columns.

A schema knows how values travel (a number, a label, bytes; of which shape), not what a modality makes of them:
that is `preprocess`. So a new modality adds nothing here.
"""

from __future__ import annotations

import base64
import difflib
import itertools
import math
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from maas.errors import DataError, FormatError, RowError, show

Columns = dict[str, np.ndarray[Any, Any]]
"""Named columns of equal length: the first axis of each array counts rows.

A "number" or "boolean" field is float64 with NaN where a value is missing, of shape (rows, *field.shape); where the
first size of its shape is None, an object array of one float64 array a row. A "label" or "string" field is an object
array of str, None where missing. A "bytes" field is an object array of bytes.
"""

DType = Literal["number", "boolean", "label", "string", "bytes"]


@dataclass(frozen=True)
class TensorSpec:
    """Shape and dtype of one input of a network, without the batch axis.

    Args:
        shape: sizes after the batch axis; None where a size differs from batch to batch.
        dtype: name of the torch dtype, such as "float32".
        limit: for integers that stand for things, such as tokens: each is from 0 to below this.
    """

    shape: tuple[int | None, ...]
    dtype: str
    limit: int | None = None


@dataclass(frozen=True)
class Field:
    """One named value of a row.

    Args:
        name: as clients write it.
        kind: what it means ("numeric", "categorical", "boolean", ...); decides which preprocessing takes it.
        dtype: how it travels. A "label" is a string, a number or a boolean that stands for a category.
        shape: () for a single value, (k,) for a list of k numbers, (None, k) for any number of lists of k numbers.
        nullable: whether null is accepted: only where training rows had missing values too.
        range: least and greatest value seen in training. Informs; values outside are answered.
        values: categories seen in training. Informs; how others are answered is up to the preprocessing.
        longest: most bytes, characters or, where the shape begins with None, steps that a value may have.
        unit: unit of measurement, for people.
    """

    name: str
    kind: str
    dtype: DType
    shape: tuple[int | None, ...] = ()
    nullable: bool = False
    range: tuple[float, float] | None = None
    values: tuple[str, ...] | None = None
    longest: int = 20_000_000
    unit: str = ""

    @property
    def sizes(self) -> tuple[int, ...]:
        """The shape without a leading None: that of a value, or of one step of it."""
        return tuple(size for size in self.shape if size is not None)

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "kind": self.kind,
            "dtype": self.dtype,
            "shape": list(self.shape),
            "nullable": self.nullable,
            "range": None if self.range is None else list(self.range),
            "values": None if self.values is None else list(self.values),
            "longest": self.longest,
            "unit": self.unit,
        }

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> Field:
        field = cls(
            name=_of(state, "name", str),
            kind=_of(state, "kind", str),
            dtype=_of(state, "dtype", str),
            shape=tuple(_of(state, "shape", list)),
            nullable=_of(state, "nullable", bool),
            range=None if state["range"] is None else _range(_of(state, "name", str), _of(state, "range", list)),
            values=None if state["values"] is None else tuple(_of(state, "values", list)),
            longest=_of(state, "longest", int),
            unit=_of(state, "unit", str),
        )
        if field.dtype not in _CHECKS:
            raise FormatError(f"field {show(field.name)} has the unknown dtype {show(field.dtype)}")
        sizes = [size for size in field.shape[:1] if size is not None] + list(field.shape[1:])
        possible = all(type(size) is int and 0 < size <= 1 << 24 for size in sizes) and len(field.shape) <= 8
        if not possible or math.prod(sizes) > 1 << 24:  # type: ignore[arg-type]
            raise FormatError(f"field {show(field.name)} has the impossible shape {field.shape}")
        if field.values is not None and not all(type(value) is str for value in field.values):
            raise FormatError(f"field {show(field.name)} has values that are not strings")
        if field.shape and field.dtype != "number":
            raise FormatError(f"field {show(field.name)} has a shape, which only numbers have")
        return field

    def json_schema(self) -> dict[str, Any]:
        """This field as JSON Schema (draft 2020-12)."""
        types = {"number": ["number"], "boolean": ["boolean"], "label": ["string", "number", "boolean"]}
        schema: dict[str, Any] = {"type": [*types.get(self.dtype, ["string"]), *["null"] * self.nullable]}
        if len(schema["type"]) == 1:
            schema["type"] = schema["type"][0]
        if self.dtype == "bytes":
            schema["contentEncoding"] = "base64"
        if self.values is not None:
            schema["examples"] = list(self.values)
        if self.dtype in ("string", "bytes"):
            schema["maxLength"] = self.longest if self.dtype == "string" else -(-self.longest // 3) * 4
        for size in reversed(self.shape):
            least, most = (1, self.longest) if size is None else (size, size)
            schema = {"type": "array", "items": schema, "minItems": least, "maxItems": most}
        notes = [f"in {self.unit}"] * bool(self.unit)
        if self.range is not None:
            notes.append(f"{self.range[0]:g} to {self.range[1]:g} in training")
        if notes:
            schema["description"] = "; ".join(notes)
        return schema

    def to_python(self, value: Any) -> Any:
        """One cell of this field's column as JSON writes it."""
        if isinstance(value, np.ndarray):
            return [self.to_python(item) for item in value]
        if isinstance(value, bytes):
            return base64.b64encode(value).decode("ascii")
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return None
        if self.dtype == "boolean":
            return bool(value)
        return float(value) if self.dtype == "number" else value


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

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(field.name for field in self.fields)

    def to_json(self) -> list[dict[str, Any]]:
        return [field.to_json() for field in self.fields]

    @classmethod
    def from_json(cls, state: Sequence[Mapping[str, Any]]) -> Schema:
        return cls(tuple(Field.from_json(field) for field in state))

    def json_schema(self) -> dict[str, Any]:
        """One row as JSON Schema (draft 2020-12): every field required, no other accepted."""
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": {field.name: field.json_schema() for field in self.fields},
            "required": list(self.names),
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
        expected = frozenset(names)
        for index, row in enumerate(rows):
            if not isinstance(row, Mapping):
                errors[index] = RowError(index, None, f"a row must be an object of fields, got {show(row)}")
            elif row.keys() != expected:
                errors[index] = self._wrong_names(index, row, expected)
        blank = dict.fromkeys(names)
        usable = [blank if index in errors else row for index, row in enumerate(rows)]
        columns, wrong = self.check({name: [row[name] for row in usable] for name in names}, len(rows), set(errors))
        return columns, {**wrong, **errors}

    def check(
        self, raw: Mapping[str, Sequence[Any] | np.ndarray[Any, Any]], length: int, skip: Iterable[int] = ()
    ) -> tuple[Columns, dict[int, RowError]]:
        """Check raw columns, value by value where need be, and give them their canonical dtype.

        Args:
            raw: every field's values, `length` of each.
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
        for field in self.fields:
            if field.name not in raw:
                raise DataError(f"column {show(field.name)} is missing" + suggestion(field.name, raw))
            columns[field.name], details = _CHECKS[field.dtype](field, raw[field.name], length)
            for row, detail in details.items():
                if row not in skipped:
                    errors.setdefault(row, RowError(row, field.name, detail))
        return columns, errors

    def _wrong_names(self, index: int, row: Mapping[str, Any], expected: frozenset[str]) -> RowError:
        for name in self.names:
            if name not in row:
                return RowError(index, name, f"field {show(name)} is missing{suggestion(name, row)}")
        name = next(name for name in row if name not in expected)
        return RowError(index, str(name)[:80], f"there is no field {show(name)}{suggestion(name, self.names)}")


def label_text(value: object) -> str:
    """The one way a category is written as text, whether it came from a CSV, a data frame or JSON.

    A number with a point is written without needless zeros, and truth in lower case, so that a CSV's "1.0" and "True"
    are a data frame's 1.0 and True and JSON's 1 and true. "01" stays what it is.

    >>> label_text(3), label_text(3.0), label_text("3.0"), label_text(True), label_text("True"), label_text("01")
    ('3', '3', '3', 'true', 'true', '01')
    """
    if isinstance(value, str):
        if _DECIMAL.fullmatch(value):
            return value.rstrip("0").removesuffix(".")
        return value.lower() if value in ("True", "False", "TRUE", "FALSE") else value
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if isinstance(value, (float, np.floating)):
        return str(int(value)) if float(value).is_integer() else repr(float(value))
    return str(value)


def _range(name: str, pair: list[Any]) -> tuple[float, float]:
    numbers = [float(one) for one in pair if type(one) in (int, float) and abs(one) <= sys.float_info.max]
    if len(pair) != 2 or len(numbers) != 2 or numbers[0] > numbers[1]:
        raise FormatError(f"field {show(name)} has a range that is not two finite numbers, the lesser first")
    return numbers[0], numbers[1]


_DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)\.[0-9]+", re.ASCII)
_MOST_LABEL = 10**100
_MOST_SUGGESTIONS = 200
_Checked = tuple[np.ndarray[Any, Any], dict[int, str]]


def _check_numbers(field: Field, values: Sequence[Any] | np.ndarray[Any, Any], length: int) -> _Checked:
    wrong: dict[int, str] = {}
    if field.shape[:1] == (None,):
        return _check_steps(field, values, length)
    if isinstance(values, np.ndarray) and values.dtype != object:
        array = _as_float(values)
        if array is None or array.shape != (length, *field.shape):
            found = f"dtype {values.dtype}, shape {values.shape}"
            raise DataError(f"column {show(field.name)} must be numbers of shape {(length, *field.shape)}, got {found}")
    elif not field.shape and not set(map(type, values)) - {float, int, type(None)}:
        array = np.array([math.nan if value is None else _float(value) for value in values], np.float64)
        array = array.reshape(length)
    else:
        array = np.zeros((length, *field.shape), np.float64)
        for row, value in enumerate(values):
            try:
                array[row] = _number(value, field.shape)
            except ValueError as problem:
                wrong[row] = f"field {show(field.name)} must be {_wanted(field)}, got {problem}"
                array[row] = 0.0
    if not np.isfinite(array).all():
        flat = array.reshape(length, -1)
        for row in np.flatnonzero(np.isinf(flat).any(axis=1)).tolist():
            wrong.setdefault(row, f"field {show(field.name)} must be finite, got infinity")
        if not field.nullable:
            for row in np.flatnonzero(np.isnan(flat).any(axis=1)).tolist():
                wrong.setdefault(row, f"field {show(field.name)} must be {_wanted(field)}, got null")
    return array, wrong


def _check_steps(field: Field, values: Sequence[Any] | np.ndarray[Any, Any], length: int) -> _Checked:
    """Sequences of different lengths: one float64 array a row, of shape (steps, *field.shape[1:])."""
    wrong: dict[int, str] = {}
    array = np.empty(length, object)
    blank = np.zeros((1, *field.sizes))
    for row, value in enumerate(values):
        array[row] = blank
        if isinstance(value, np.ndarray) and not value.ndim:
            value = value.item()
        if not isinstance(value, (list, tuple, np.ndarray)) or not 0 < len(value) <= field.longest:
            wanted = f"1 to {field.longest} steps of {_wanted(field)}"
            got = f"{len(value)} steps" if isinstance(value, (list, tuple, np.ndarray)) else show(value)
            wrong[row] = f"field {show(field.name)} must be {wanted}, got {got}"
            continue
        try:
            steps = _as_float(value) if isinstance(value, np.ndarray) else None
            if steps is None:
                steps = np.array([_number(step, field.sizes) for step in value], np.float64)
            if steps.shape[1:] != field.sizes:
                raise ValueError(f"steps of shape {steps.shape[1:]}")
        except ValueError as problem:
            wrong[row] = f"field {show(field.name)} must have steps of {_wanted(field)}, got {problem}"
            continue
        if np.isinf(steps).any() or (not field.nullable and np.isnan(steps).any()):
            wrong[row] = f"field {show(field.name)} must be finite" + ("" if field.nullable else ", without null")
        else:
            array[row] = steps
    return array, wrong


def _check_booleans(field: Field, values: Sequence[Any] | np.ndarray[Any, Any], length: int) -> _Checked:
    wrong: dict[int, str] = {}
    array = np.zeros(length, np.float64)
    for row, value in enumerate(values):
        if isinstance(value, (bool, np.bool_)):
            array[row] = value
        elif isinstance(values, np.ndarray) and values.dtype == np.float64 and value in (0.0, 1.0):
            array[row] = value  # our own canonical form
        elif _is_missing(value) and field.nullable:
            array[row] = math.nan
        else:
            got = "null" if _is_missing(value) else show(value)
            wrong[row] = f"field {show(field.name)} must be true or false, got {got}"
    return array, wrong


def _check_labels(field: Field, values: Sequence[Any] | np.ndarray[Any, Any], length: int) -> _Checked:
    wrong: dict[int, str] = {}
    array = np.empty(length, object)
    for row, value in enumerate(values):
        if type(value) is str:
            array[row] = label_text(value)
        elif _is_missing(value) and field.nullable:
            array[row] = None
        elif isinstance(value, (bool, np.bool_)) or (
            isinstance(value, (int, float, np.integer, np.floating)) and abs(value) < _MOST_LABEL  # type: ignore[operator]
        ):
            array[row] = label_text(value)
        else:
            got = "null" if _is_missing(value) else show(value)
            wrong[row] = f"field {show(field.name)} must be a label (string, number or boolean), got {got}"
            array[row] = ""
    return array, wrong


def _check_strings(field: Field, values: Sequence[Any] | np.ndarray[Any, Any], length: int) -> _Checked:
    wrong: dict[int, str] = {}
    array = np.empty(length, object)
    for row, value in enumerate(values):
        if value is None and field.nullable:
            continue
        array[row] = ""
        if not isinstance(value, str):
            wrong[row] = f"field {show(field.name)} must be a string, got {'null' if value is None else show(value)}"
        elif len(value) > field.longest:
            wrong[row] = f"field {show(field.name)} must have at most {field.longest} characters, got {len(value)}"
        else:
            array[row] = value
    return array, wrong


def _check_bytes(field: Field, values: Sequence[Any] | np.ndarray[Any, Any], length: int) -> _Checked:
    """Bytes as they are, or as JSON carries them: base64."""
    wrong: dict[int, str] = {}
    array = np.empty(length, object)
    for row, value in enumerate(values):
        if value is None and field.nullable:
            continue
        array[row] = b""
        if isinstance(value, str):
            try:
                value = base64.b64decode(value, validate=True)
            except ValueError:
                wrong[row] = f"field {show(field.name)} must be bytes written as base64, got {show(value)}"
                continue
        if not isinstance(value, (bytes, bytearray, memoryview)):
            wrong[row] = f"field {show(field.name)} must be bytes, got {'null' if value is None else show(value)}"
        elif not 0 < len(value) <= field.longest:
            wrong[row] = f"field {show(field.name)} must have 1 to {field.longest} bytes, got {len(value)}"
        else:
            array[row] = bytes(value)
    return array, wrong


_CHECKS: dict[str, Callable[[Field, Any, int], _Checked]] = {
    "number": _check_numbers,
    "boolean": _check_booleans,
    "label": _check_labels,
    "string": _check_strings,
    "bytes": _check_bytes,
}


def _number(value: Any, shape: tuple[int | None, ...]) -> float | list[Any]:
    """A number, or nested lists of them of the given shape. A ValueError says what was found instead."""
    if not shape:
        if isinstance(value, (bool, np.bool_)):
            raise ValueError(show(bool(value)))
        if isinstance(value, (int, float, np.integer, np.floating)):
            return _float(value)
        if value is None:
            return math.nan
        raise ValueError(show(value))
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if not isinstance(value, (list, tuple)) or len(value) != shape[0]:
        raise ValueError(show(value))
    return [_number(item, shape[1:]) for item in value]


def _wanted(field: Field) -> str:
    return f"{' x '.join(map(str, field.sizes))} numbers" if field.sizes else "a number"


def _float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:  # an integer beyond float64: reported as infinite
        return math.inf


def _as_float(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any] | None:
    return values.astype(np.float64) if values.dtype.kind in "fiu" else None


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, (float, np.floating)) and math.isnan(value))


def suggestion(name: object, known: Iterable[Any]) -> str:
    """The known name that is closest to a misspelt one, as the end of an error message; else nothing."""
    names = [str(one)[:80] for one in itertools.islice(known, _MOST_SUGGESTIONS + 1)]
    if len(names) > _MOST_SUGGESTIONS:  # comparing takes time, and a client could ask for much of it
        return ""
    close = difflib.get_close_matches(str(name)[:80], names, n=1)
    return f"; did you mean {show(close[0])}?" if close else ""


def _of(state: Mapping[str, Any], key: str, kind: type) -> Any:
    value = state[key]
    if type(value) is not kind:
        raise FormatError(f"{show(key)} must be {kind.__name__}, got {show(value)}")
    return value
