"""One value of a field, as clients write it, to what a column holds: a ValueError says what is wrong with it."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from itertools import chain
from typing import Any

import numpy as np

from maas.errors import show
from maas.schema._field import Field, label_text

_MOST_LABEL = 10**100
_PLAIN = {float, int, type(None)}  # the very types: a bool is an int, and no number


def read_label_list(field: Field, value: Any) -> tuple[str | None, ...]:
    """Labels as texts, at least one."""
    if isinstance(value, np.ndarray) and value.ndim == 1:
        value = value.tolist()
    if not isinstance(value, (list, tuple)) or not 0 < len(value) <= field.longest:
        got = f"{len(value)} of them" if isinstance(value, (list, tuple)) else show(value)
        raise ValueError(f"must be a list of 1 to {field.longest} labels, got {got}")
    labels = tuple(map(read_label, value))
    if None in labels:
        got = show_or_null(value[labels.index(None)])
        raise ValueError(f"must be a list of labels (string, number or boolean), got {got} in it")
    return labels


def read_string(field: Field, value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"must be a string, got {show_or_null(value)}")
    if len(value) > field.longest:
        raise ValueError(f"must have at most {field.longest} characters, got {len(value)}")
    return value


def read_string_list(field: Field, value: Any) -> tuple[str, ...]:
    """Texts, together of at most so many characters."""
    if not isinstance(value, (list, tuple)) or not all(isinstance(one, str) for one in value):
        raise ValueError(f"must be a list of strings, got {show(value)}")
    if sum(map(len, value)) > field.longest:
        raise ValueError(f"must have at most {field.longest} characters in all")
    return tuple(value)


def read_messages(field: Field, value: Any) -> tuple[tuple[str, str], ...]:
    """A conversation as pairs (role, content), together of at most so many characters."""
    if not isinstance(value, (list, tuple)) or not value:
        raise ValueError(f"must be a list of messages, each with role and content, got {show(value)}")
    pairs = []
    for place, one in enumerate(value):
        if isinstance(one, tuple) and len(one) == 2:  # our own canonical form
            one = {"role": one[0], "content": one[1]}
        if not isinstance(one, Mapping) or one.keys() != {"role", "content"}:
            raise ValueError(f"must hold messages of role and content and nothing else, message {place} is {show(one)}")
        for name in ("role", "content"):
            if not isinstance(one[name], str):
                raise ValueError(f"must hold strings, the {name} of message {place} is {show(one[name])}")
        pairs.append((one["role"], one["content"]))
    if sum(len(content) for _, content in pairs) > field.longest:
        raise ValueError(f"must have at most {field.longest} characters in all")
    return tuple(pairs)


def read_bytes(field: Field, value: Any) -> bytes:
    """Bytes as they are, or as JSON carries them: base64."""
    if isinstance(value, str):
        try:
            value = base64.b64decode(value, validate=True)
        except ValueError:
            raise ValueError(f"must be bytes written as base64, got {show(value)}") from None
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise ValueError(f"must be bytes, got {show_or_null(value)}")
    if not 0 < len(value) <= field.longest:
        raise ValueError(f"must have 1 to {field.longest} bytes, got {len(value)}")
    return bytes(value)


def stack_numbers(values: Any, sizes: tuple[int, ...]) -> np.ndarray[Any, Any] | None:
    """Plain numbers, or nested lists of them, as float64 of shape (rows, *sizes); None where one needs a closer look.

    This is `read_number` without its words, many times faster: it looks at the types that there are, not at each value.
    """
    flat, length = list(values), len(values)
    for size in sizes:
        if not set(map(type, flat)) <= {list, tuple} or set(map(len, flat)) - {size}:
            return None
        flat = list(chain.from_iterable(flat))
    if not set(map(type, flat)) <= _PLAIN:
        return None
    try:
        return np.array(flat, np.float64).reshape(length, *sizes)  # null becomes NaN
    except OverflowError:  # an integer beyond float64
        return None


def read_number(value: Any, shape: tuple[int | None, ...]) -> float | list[Any]:
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
    return [read_number(item, shape[1:]) for item in value]


def wanted_numbers(field: Field) -> str:
    """What a value of a field of numbers, or a step of it, must be, in words."""
    return f"{' x '.join(map(str, field.sizes))} numbers" if field.sizes else "a number"


def read_label(value: Any) -> str | None:
    """A label as text; None for what is no label."""
    if isinstance(value, str):
        return label_text(str(value))  # of numpy's texts too, one of which is no plain str
    if isinstance(value, (bool, np.bool_)):
        return label_text(value)
    if isinstance(value, (int, float, np.integer, np.floating)) and abs(value) < _MOST_LABEL:  # type: ignore[operator]
        return label_text(value)
    return None


def _float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:  # an integer beyond float64: reported as infinite
        return math.inf


def as_floats(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any] | None:
    """An array of numbers as float64; None where it holds something else."""
    return values.astype(np.float64) if values.dtype.kind in "fiu" else None


def show_or_null(value: Any) -> str:
    """A value as a message shows it."""
    return "null" if is_missing(value) else show(value)


def is_missing(value: Any) -> bool:
    """Whether a single value is null; NaN is, in a data frame."""
    return value is None or (isinstance(value, (float, np.floating)) and math.isnan(value))
