"""One named value of a row, and how it is written."""

from __future__ import annotations

import base64
import math
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from maas.errors import FormatError, show

DType = Literal["number", "boolean", "label", "string", "bytes", "messages"]
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)\.[0-9]+", re.ASCII)
_MOST_EXAMPLES = 100


@dataclass(frozen=True)
class TensorSpec:
    """Shape and dtype of one input of a network, without the batch axis.

    Args:
        shape: sizes after the batch axis; None where a size differs from batch to batch.
        dtype: name of the torch dtype, such as "float32".
        limit: for integers that stand for things, such as tokens: each is from 0 to below this.
        longest: where a size is None, the greatest it can have; None where that is not known.
    """

    shape: tuple[int | None, ...]
    dtype: str
    limit: int | None = None
    longest: int | None = None


@dataclass(frozen=True)
class Field:
    """One named value of a row.

    Args:
        name: as clients write it.
        kind: what it means ("numeric", "categorical", "boolean", ...); decides which preprocessing takes it.
        dtype: how it travels. A "label" is a string, a number or a boolean that stands for a category; "messages" are a
            conversation, a list of `{"role": ..., "content": ...}`, both strings.
        shape: () for a single value, (k,) for a list of k numbers, (None, k) for any number of lists of k numbers. For
            labels and strings () or (None,), a list of them.
        nullable: whether null is accepted: only where the table had missing values, or where the field is optional.
        range: least and greatest value seen in training. Informs; values outside are answered.
        values: categories seen in training. Informs; how others are answered is up to the preprocessing.
        longest: most bytes, characters or, where the shape begins with None, steps that a value may have.
        unit: unit of measurement, for people.
        optional: whether a row may leave the field out, which means null.
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
    optional: bool = False

    @property
    def sizes(self) -> tuple[int, ...]:
        """The shape without a leading None: that of a value, or of one step of it."""
        return tuple(size for size in self.shape if size is not None)

    def to_json(self) -> dict[str, Any]:
        """The field as JSON, as an artifact holds it."""
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
            "optional": self.optional,
        }

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> Field:
        """The field that `to_json` wrote."""
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
            optional=_of({"optional": False, **state}, "optional", bool),  # older artifacts have no such key
        )
        if field.dtype not in get_args(DType):
            raise FormatError(f"field {show(field.name)} has the unknown dtype {show(field.dtype)}")
        sizes = [size for size in field.shape[:1] if size is not None] + list(field.shape[1:])
        possible = all(type(size) is int and 0 < size <= 1 << 24 for size in sizes) and len(field.shape) <= 8
        if not possible or math.prod(sizes) > 1 << 24:  # type: ignore[arg-type]
            raise FormatError(f"field {show(field.name)} has the impossible shape {field.shape}")
        if field.values is not None and not all(type(value) is str for value in field.values):
            raise FormatError(f"field {show(field.name)} has values that are not strings")
        listed = field.dtype in ("label", "string") and field.shape == (None,)
        if field.shape and field.dtype != "number" and not listed:
            raise FormatError(
                f"field {show(field.name)} has a shape, which only numbers have, and lists of labels and of strings"
            )
        if field.optional and not field.nullable:
            raise FormatError(f"field {show(field.name)} may be left out but must not be null, which is the same")
        return field

    def json_schema(self) -> dict[str, Any]:
        """This field as JSON Schema (draft 2020-12)."""
        if self.dtype == "messages":
            return self._messages_schema()
        types = {"number": ["number"], "boolean": ["boolean"], "label": ["string", "number", "boolean"]}
        listed = self.dtype in ("label", "string") and bool(self.shape)  # null stands for the whole list
        schema: dict[str, Any] = {
            "type": [*types.get(self.dtype, ["string"]), *["null"] * (self.nullable and not listed)]
        }
        if len(schema["type"]) == 1:
            schema["type"] = schema["type"][0]
        if self.dtype == "bytes":
            schema["contentEncoding"] = "base64"
        if self.values is not None:
            schema["examples"] = list(self.values[:_MOST_EXAMPLES])
        if self.dtype in ("string", "bytes"):
            schema["maxLength"] = self.longest if self.dtype == "string" else -(-self.longest // 3) * 4
        for size in reversed(self.shape):
            least, most = (1, self.longest) if size is None else (size, size)
            kind = ["array", "null"] if listed and self.nullable else "array"
            schema = {"type": kind, "items": schema, "minItems": least, "maxItems": most}
        notes = [f"in {self.unit}"] * bool(self.unit)
        if self.range is not None:
            notes.append(f"{self.range[0]:g} to {self.range[1]:g} in training")
        if notes:
            schema["description"] = "; ".join(notes)
        return schema

    def _messages_schema(self) -> dict[str, Any]:
        text = {"type": "string", "maxLength": self.longest}
        message = {"type": "object", "properties": {"role": text, "content": text}, "required": ["role", "content"]}
        return {"type": ["array", "null"] if self.nullable else "array", "items": message, "minItems": 1}

    def to_python(self, value: Any) -> Any:
        """One cell of this field's column as JSON writes it."""
        if self.dtype == "messages" and value is not None:
            return [{"role": role, "content": content} for role, content in value]
        if isinstance(value, (np.ndarray, tuple)):
            return [self.to_python(item) for item in value]
        if isinstance(value, bytes):
            return base64.b64encode(value).decode("ascii")
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return None
        if self.dtype == "boolean":
            return bool(value)
        return float(value) if self.dtype == "number" else value


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


def _of(state: Mapping[str, Any], key: str, kind: type) -> Any:
    value = state[key]
    if type(value) is not kind:
        raise FormatError(f"{show(key)} must be {kind.__name__}, got {show(value)}")
    return value
