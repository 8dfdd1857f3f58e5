"""The checks that turn the raw values of a field into its column, value by value where need be."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from maas.errors import DataError, show
from maas.schema._field import Field, label_text
from maas.schema._values import (
    as_floats,
    is_missing,
    read_bytes,
    read_label,
    read_label_list,
    read_messages,
    read_number,
    read_string,
    read_string_list,
    show_or_null,
    stack_numbers,
    wanted_numbers,
)

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
    array = stack_numbers(lists, (length,))
    if array is None or np.isinf(array).any():
        return {}
    missing = np.isnan(array).any(axis=1)
    if any(gap and not field.nullable for field, gap in zip(fields, missing.tolist(), strict=True)):
        return {}
    return {field.name: column for field, column in zip(fields, array, strict=True)}


def _check_numbers(field: Field, values: Sequence[Any] | np.ndarray[Any, Any], length: int) -> Checked:
    if field.shape[:1] == (None,):
        return _check_steps(field, values, length)
    wrong: dict[int, str] = {}
    if isinstance(values, np.ndarray) and values.dtype != object:
        array = as_floats(values)
        if array is None or array.shape != (length, *field.shape):
            found = f"dtype {values.dtype}, shape {values.shape}"
            raise DataError(f"column {show(field.name)} must be numbers of shape {(length, *field.shape)}, got {found}")
    elif (stacked := stack_numbers(values, field.sizes)) is not None:
        array = stacked
    else:
        array = np.zeros((length, *field.shape), np.float64)
        for row, value in enumerate(values):
            try:
                plain = stack_numbers([value], field.sizes)
                array[row] = read_number(value, field.shape) if plain is None else plain[0]
            except ValueError as problem:
                wrong[row] = f"field {show(field.name)} must be {wanted_numbers(field)}, got {problem}"
                array[row] = 0.0
    if not np.isfinite(array).all():
        flat = array.reshape(length, -1)
        for row in np.flatnonzero(np.isinf(flat).any(axis=1)).tolist():
            wrong.setdefault(row, f"field {show(field.name)} must be finite, got infinity")
        if not field.nullable:
            for row in np.flatnonzero(np.isnan(flat).any(axis=1)).tolist():
                wrong.setdefault(row, f"field {show(field.name)} must be {wanted_numbers(field)}, got null")
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
            wanted = f"1 to {field.longest} steps of {wanted_numbers(field)}"
            got = f"{len(value)} steps" if isinstance(value, (list, tuple, np.ndarray)) else show(value)
            wrong[row] = f"field {show(field.name)} must be {wanted}, got {got}"
            continue
        try:
            steps = as_floats(value) if isinstance(value, np.ndarray) else None
            if steps is None:
                steps = stack_numbers(value, field.sizes)
            if steps is None:
                steps = np.array([read_number(step, field.sizes) for step in value], np.float64)
            if steps.shape[1:] != field.sizes:
                raise ValueError(f"steps of shape {steps.shape[1:]}")
        except ValueError as problem:
            wrong[row] = f"field {show(field.name)} must have steps of {wanted_numbers(field)}, got {problem}"
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
        elif is_missing(value) and field.nullable:
            array[row] = math.nan
        else:
            wrong[row] = f"field {show(field.name)} must be true or false, got {show_or_null(value)}"
    return array, wrong


def _check_labels(field: Field, values: Sequence[Any] | np.ndarray[Any, Any], length: int) -> Checked:
    if field.shape:
        return _check_each(field, values, length, read_label_list, ("",))
    wrong: dict[int, str] = {}
    array = np.empty(length, object)
    if set(map(type, values)) == {str}:  # few different ones as a rule, and each is written once
        texts = {value: label_text(value) for value in set(values)}
        array[:] = [texts[value] for value in values]
        return array, wrong
    for row, value in enumerate(values):
        if (label := read_label(value)) is not None:
            array[row] = label
        elif is_missing(value) and field.nullable:
            array[row] = None
        else:
            wrong[row] = (
                f"field {show(field.name)} must be a label (string, number or boolean), got {show_or_null(value)}"
            )
            array[row] = ""
    return array, wrong


def _check_strings(field: Field, values: Sequence[Any] | np.ndarray[Any, Any], length: int) -> Checked:
    if field.shape:
        return _check_each(field, values, length, read_string_list, ())
    return _check_each(field, values, length, read_string, "")


def _check_messages(field: Field, values: Sequence[Any] | np.ndarray[Any, Any], length: int) -> Checked:
    return _check_each(field, values, length, read_messages, (("user", ""),))


def _check_bytes(field: Field, values: Sequence[Any] | np.ndarray[Any, Any], length: int) -> Checked:
    return _check_each(field, values, length, read_bytes, b"")


_CHECKS: dict[str, Callable[[Field, Any, int], Checked]] = {
    "number": _check_numbers,
    "boolean": _check_booleans,
    "label": _check_labels,
    "string": _check_strings,
    "bytes": _check_bytes,
    "messages": _check_messages,
}


def _check_each(
    field: Field,
    values: Sequence[Any] | np.ndarray[Any, Any],
    length: int,
    read: Callable[[Field, Any], Any],
    placeholder: Any,
) -> Checked:
    """Values read one by one; a ValueError of `read` says what is wrong with one, behind the name of the field."""
    wrong: dict[int, str] = {}
    array = np.empty(length, object)
    for row, value in enumerate(values):
        if value is None and field.nullable:
            continue
        try:
            array[row] = read(field, value)
        except ValueError as problem:
            wrong[row] = f"field {show(field.name)} {problem}"
            array[row] = placeholder
    return array, wrong
