"""The checks that turn the raw values of a field into its column, value by value where need be."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np

from maas.errors import DataError, show
from maas.schema._field import Field, label_text

_MOST_LABEL = 10**100
_PLAIN = {float, int, type(None)}  # the very types: a bool is an int, and no number
Checked = tuple[np.ndarray[Any, Any], dict[int, str]]


def check_column(field: Field, values: Sequence[Any] | np.ndarray[Any, Any], length: int) -> Checked:
    """A field's column in canonical form, and what is wrong by row; the cells of such rows hold placeholders."""
    return _CHECKS[field.dtype](field, values, length)


def check_together(
    fields: Sequence[Field], raw: Mapping[str, Sequence[Any] | np.ndarray[Any, Any]], length: int
) -> dict[str, np.ndarray[Any, Any]]:
    """The columns of single numbers that came as lists, all in one go; empty where any of them needs a closer look."""
    lists = [raw.get(field.name) for field in fields]
    if not all(type(values) is list and len(values) == length for values in lists):
        return {}
    array = _stacked(lists, (length,))
    if array is None or np.isinf(array).any():
        return {}
    missing = np.isnan(array).any(axis=1)
    if any(gap and not field.nullable for field, gap in zip(fields, missing.tolist(), strict=True)):
        return {}
    return {field.name: column for field, column in zip(fields, array, strict=True)}


def _check_numbers(field: Field, values: Sequence[Any] | np.ndarray[Any, Any], length: int) -> Checked:
    wrong: dict[int, str] = {}
    if field.shape[:1] == (None,):
        return _check_steps(field, values, length)
    if isinstance(values, np.ndarray) and values.dtype != object:
        array = _as_float(values)
        if array is None or array.shape != (length, *field.shape):
            found = f"dtype {values.dtype}, shape {values.shape}"
            raise DataError(f"column {show(field.name)} must be numbers of shape {(length, *field.shape)}, got {found}")
    elif (stacked := _stacked(values, field.sizes)) is not None:
        array = stacked
    else:
        array = np.zeros((length, *field.shape), np.float64)
        for row, value in enumerate(values):
            try:
                plain = _stacked([value], field.sizes)
                array[row] = _number(value, field.shape) if plain is None else plain[0]
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


def _check_steps(field: Field, values: Sequence[Any] | np.ndarray[Any, Any], length: int) -> Checked:
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
                steps = _stacked(value, field.sizes)
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


def _check_booleans(field: Field, values: Sequence[Any] | np.ndarray[Any, Any], length: int) -> Checked:
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


def _check_labels(field: Field, values: Sequence[Any] | np.ndarray[Any, Any], length: int) -> Checked:
    wrong: dict[int, str] = {}
    if field.shape:
        return _check_label_lists(field, values, length)
    array = np.empty(length, object)
    if set(map(type, values)) == {str}:  # few different ones as a rule, and each is written once
        texts = {value: label_text(value) for value in set(values)}
        array[:] = [texts[value] for value in values]
        return array, wrong
    for row, value in enumerate(values):
        if (label := _label(value)) is not None:
            array[row] = label
        elif _is_missing(value) and field.nullable:
            array[row] = None
        else:
            got = "null" if _is_missing(value) else show(value)
            wrong[row] = f"field {show(field.name)} must be a label (string, number or boolean), got {got}"
            array[row] = ""
    return array, wrong


def _check_label_lists(field: Field, values: Sequence[Any] | np.ndarray[Any, Any], length: int) -> Checked:
    wrong: dict[int, str] = {}
    array = np.empty(length, object)
    for row, value in enumerate(values):
        if value is None and field.nullable:
            continue
        array[row] = ("",)
        if isinstance(value, np.ndarray) and value.ndim == 1:
            value = value.tolist()
        if not isinstance(value, (list, tuple)) or not 0 < len(value) <= field.longest:
            got = f"{len(value)} of them" if isinstance(value, (list, tuple)) else show(value)
            wrong[row] = f"field {show(field.name)} must be a list of 1 to {field.longest} labels, got {got}"
            continue
        labels = tuple(map(_label, value))
        if None in labels:
            odd = value[labels.index(None)]
            got = "null" if _is_missing(odd) else show(odd)
            wrong[row] = (
                f"field {show(field.name)} must be a list of labels (string, number or boolean), got {got} in it"
            )
        else:
            array[row] = labels
    return array, wrong


def _check_strings(field: Field, values: Sequence[Any] | np.ndarray[Any, Any], length: int) -> Checked:
    wrong: dict[int, str] = {}
    if field.shape:
        return _check_string_lists(field, values, length)
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


def _check_string_lists(field: Field, values: Sequence[Any] | np.ndarray[Any, Any], length: int) -> Checked:
    """Lists of strings: a tuple of them a row, together of at most so many characters."""
    wrong: dict[int, str] = {}
    array = np.empty(length, object)
    for row, value in enumerate(values):
        if value is None and field.nullable:
            continue
        array[row] = ()
        if not isinstance(value, (list, tuple)) or not all(isinstance(one, str) for one in value):
            wrong[row] = f"field {show(field.name)} must be a list of strings, got {show(value)}"
        elif sum(map(len, value)) > field.longest:
            wrong[row] = f"field {show(field.name)} must have at most {field.longest} characters in all"
        else:
            array[row] = tuple(value)
    return array, wrong


def _check_messages(field: Field, values: Sequence[Any] | np.ndarray[Any, Any], length: int) -> Checked:
    """Conversations: a tuple of pairs (role, content) a row, together of at most so many characters."""
    wrong: dict[int, str] = {}
    array = np.empty(length, object)
    for row, value in enumerate(values):
        if value is None and field.nullable:
            continue
        array[row] = (("user", ""),)
        try:
            array[row] = _messages(field, value)
        except ValueError as problem:
            wrong[row] = f"field {show(field.name)} {problem}"
    return array, wrong


def _messages(field: Field, value: Any) -> tuple[tuple[str, str], ...]:
    """A conversation as pairs. A ValueError says what is wrong with it."""
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


def _check_bytes(field: Field, values: Sequence[Any] | np.ndarray[Any, Any], length: int) -> Checked:
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


_CHECKS: dict[str, Callable[[Field, Any, int], Checked]] = {
    "number": _check_numbers,
    "boolean": _check_booleans,
    "label": _check_labels,
    "string": _check_strings,
    "bytes": _check_bytes,
    "messages": _check_messages,
}


def _stacked(values: Any, sizes: tuple[int, ...]) -> np.ndarray[Any, Any] | None:
    """Plain numbers, or nested lists of them, as float64 of shape (rows, *sizes); None where one needs a closer look.

    This is `_number` without its words, many times faster: it looks at the types that there are, not at each value.
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


def _label(value: Any) -> str | None:
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


def _as_float(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any] | None:
    return values.astype(np.float64) if values.dtype.kind in "fiu" else None


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, (float, np.floating)) and math.isnan(value))
