"""Arrays in the .npy format: rows read from a request's body without trust, and answers."""

from __future__ import annotations

import io
import math
import re
from typing import Any

import numpy as np
from numpy.lib import format as npy

from maas.errors import show
from maas.schema import Columns, Schema
from maas.serving.protocols._accept import NPY
from maas.serving.protocols._outcome import Asked, Identity, Outcome, Writer, Written
from maas.serving.protocols._problems import Problem, printable
from maas.task import Answers

_ADDRESS = re.compile(" at 0x[0-9a-f]+")
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def read_npy(body: bytes) -> np.ndarray[Any, Any]:
    """The array that a body holds. It shares the body's memory: what the header claims costs nothing.

    Args:
        body: a .npy file, format version 1.0 or 2.0, of booleans, integers or floats.

    Raises:
        ValueError: it is none, or its header and its length disagree.

    Source: NEP 1 of numpy, "A simple file format for NumPy arrays".
    """
    file = io.BytesIO(body)
    try:
        version = npy.read_magic(file)
        if version not in _HEADERS:
            raise ValueError(f"format version {version[0]}.{version[1]}, known are 1.0 and 2.0")
        shape, fortran, dtype = _HEADERS[version](file)
    except Exception as error:  # numpy parses the header by Python's own parser, whose errors are many
        text = _ADDRESS.sub("", str(error).partition("\n")[0])  # or no two answers would be alike
        raise ValueError(f"its header cannot be read: {text[:160]}") from error
    if dtype.kind not in "fiub" or dtype.subdtype is not None:
        raise ValueError(f"an array must hold numbers, got dtype {show(str(dtype))}")
    start = file.tell()
    if (
        any(type(size) is not int or size < 0 for size in shape)
        or math.prod(shape) * dtype.itemsize != len(body) - start
    ):
        raise ValueError(f"its header says shape {show(str(shape))} of {dtype}, and {len(body) - start} bytes follow")
    return np.frombuffer(body, dtype, offset=start).reshape(shape, order="F" if fortran else "C")


def takes_npy(schema: Schema) -> bool:
    """Whether rows can come as one array: of the only field, or of several that are a number each."""
    fields = schema.fields
    if any(field.dtype != "number" for field in fields):
        return False
    return len(fields) == 1 or not any(field.shape for field in fields)


def read_npy_rows(body: bytes | bytearray, schema: Schema, one: Writer, many: Writer) -> Asked:
    """The rows of a .npy body, for a schema that `takes_npy`: a value, or one more axis in front that counts rows.

    Several fields are the last axis, in their order.

    Args:
        one, many: what writes the answer, to a bare row and to more.
    """
    fields = schema.fields
    axes = len(fields[0].shape) if len(fields) == 1 else 1
    try:
        array = read_npy(bytes(body))
        if array.ndim not in (axes, axes + 1) or not array.size:
            raise ValueError(
                f"an array must have {axes} axes for one row, or {axes + 1} of which the first counts rows, got shape "
                f"{array.shape}"
            )
    except ValueError as error:
        raise Problem("not-npy", f"the body must be a .npy file: {printable(str(error))}") from error
    single = array.ndim == axes
    rows = array[None] if single else array
    if array.dtype.kind == "b":
        raise Problem("bad-row", f"the array must hold numbers, got {array.dtype}; send them as float32", row=0)
    columns: Columns
    if len(fields) == 1:
        sizes = fields[0].shape
        if any(want not in (None, size) for want, size in zip(sizes, rows.shape[1:], strict=True)):
            detail = f"a row must be an array of shape {_shape(sizes)}, got {_shape(rows.shape[1:])}"
            raise Problem("bad-row", detail, field=fields[0].name, row=0)
        columns = {fields[0].name: rows}
    else:
        if rows.shape[1] != len(fields):
            detail = f"a row must be {len(fields)} numbers in the order of the fields, got {rows.shape[1]}"
            raise Problem("bad-row", detail, row=0)
        columns = dict(zip(schema.names, np.ascontiguousarray(rows.T, np.float64), strict=True))
    return Asked(columns, len(rows), one if single else many, single)


class NpyWriter:
    """The numbers of the answers as one .npy array of shape (rows, ...), one row too."""

    least_row_bytes = 4

    def write(self, outcome: Outcome, identity: Identity) -> Written:
        file = io.BytesIO()
        npy.write_array(file, np.ascontiguousarray(numbers_of(outcome.answers())), (1, 0), allow_pickle=False)
        return Written(file.getvalue(), NPY)

    def refuse(self, problem: Problem) -> Problem:
        return problem


def numbers_of(answers: Answers) -> np.ndarray[Any, Any]:
    """The first column of floats: probabilities, values or scores. Raises Problem where there is none."""
    for column in answers.columns.values():
        if column.dtype.kind == "f":
            return column
    names = ", ".join(answers.columns)
    raise Problem("not-acceptable", f"the answers ({names}) are no array of numbers; accept application/json")


def _shape(sizes: tuple[int | None, ...]) -> str:
    return " x ".join("any" if size is None else str(size) for size in sizes) or "()"
