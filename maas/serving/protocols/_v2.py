"""Requests of the Open Inference Protocol (V2): one tensor a field, of shape (rows, *field.shape)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from maas.errors import show
from maas.schema import Columns, Field, Schema, suggestion
from maas.serving.protocols._accept import JSON, OCTETS, preferred
from maas.serving.protocols._outcome import Asked
from maas.serving.protocols._problems import Problem, printable
from maas.serving.protocols._rows import check_count
from maas.serving.protocols._strict import check_strict, parse_json
from maas.serving.protocols._v2_answer import V2Writer, asked_outputs
from maas.serving.protocols._v2_types import BYTES, DTYPES, NUMBERS, from_binary, from_json, objects

HEADER_LENGTH = "inference-header-content-length"
_TAKES = {
    "number": NUMBERS,
    "boolean": frozenset({"BOOL"}),
    "label": frozenset({BYTES, "BOOL"}) | NUMBERS,
    "string": frozenset({BYTES}),
    "bytes": frozenset({BYTES}),
}
_WANTED = {"number": "FP64, FP32 or an integer type", "boolean": "BOOL", "label": "BYTES, INT64 or BOOL"}


def is_v2(value: Any, schema: Schema) -> bool:
    """Whether a JSON document is a request of this protocol, and no row of a schema that has a field `inputs`."""
    if type(value) is not dict or "inputs" not in value:
        return False
    given = value["inputs"]
    return "inputs" not in schema.names or (type(given) is list and bool(given) and type(given[0]) is dict)


def read_v2_binary(body: bytes, length: str, schema: Schema, accept: Any) -> Asked:
    """A body whose first `length` bytes are the JSON document; the tensors' bytes follow, in order."""
    try:
        if not (length.isascii() and length.isdecimal() and len(length) < 9 and 0 < int(length) <= len(body)):
            raise Problem(
                "not-v2",
                f"Inference-Header-Content-Length must be the bytes of the JSON at the body's start, got "
                f"{printable(length)} of {len(body)}",
            )
        document = body[: int(length)]
        value = parse_json(document, "the body's start")
        check_strict(value, document)
    except Problem as problem:
        raise V2Writer(None).refuse(problem) from problem
    return read_v2(value, schema, accept, memoryview(body)[int(length) :])


def read_v2(value: Any, schema: Schema, accept: Any, blobs: memoryview | None = None) -> Asked:
    """A parsed document as columns.

    Args:
        value: of JSON.
        schema: the fields of a row.
        accept: the header, or what else there is.
        blobs: the bytes of its binary tensors.

    Raises:
        Problem: in the protocol's form.
    """
    writer = V2Writer(None)
    try:
        if type(value) is not dict:
            raise Problem("not-v2", f"an inference request is a JSON object with `inputs`, got {show(value)}")
        identifier = value.get("id")
        if identifier is not None and type(identifier) is not str:
            raise Problem("not-v2", f"`id` must be a string, got {show(identifier)}")
        writer = V2Writer(identifier)
        writer = V2Writer(identifier, *asked_outputs(value))
        form = OCTETS if writer.binary or any(writer.outputs.values()) else JSON
        if isinstance(accept, str) and preferred(accept, (form,)) is None:
            raise Problem("not-acceptable", f"the answer is {form}, the request accepts {printable(accept)}")
        tensors = _tensors(value.get("inputs"), blobs)
        columns, rows = _columns(tensors, schema)
        if any(field.dtype != "number" for field in schema.fields):
            check_count(rows)
        return Asked(columns, rows, writer)
    except Problem as problem:
        raise writer.refuse(problem) from problem


@dataclass(frozen=True)
class _Tensor:
    datatype: str
    shape: tuple[int, ...]
    values: np.ndarray[Any, Any]
    binary: bool


def _tensors(inputs: Any, blobs: memoryview | None) -> dict[str, _Tensor]:
    if type(inputs) is not list or not inputs:
        raise Problem("not-v2", f"`inputs` must be a list of at least one tensor, got {show(inputs)}")
    tensors: dict[str, _Tensor] = {}
    place = 0
    for one in inputs:
        if type(one) is not dict or type(one.get("name")) is not str:
            raise Problem("not-v2", f"a tensor is an object with `name`, `shape`, `datatype`, `data`, got {show(one)}")
        name, datatype, shape = one["name"], one.get("datatype"), one.get("shape")
        if name in tensors:
            raise Problem("not-v2", f"the tensor {show(name)} is there twice; send it once")
        if type(datatype) is not str or (datatype not in DTYPES and datatype != BYTES):
            known = ", ".join([*DTYPES, BYTES])
            raise _wrong(name, f"`datatype` must be one of {known}, got {show(datatype)}")
        if type(shape) is not list or not shape or not all(type(n) is int and 0 <= n < 2**40 for n in shape):
            raise _wrong(name, f"`shape` must be a list of sizes, the number of rows first, got {show(shape)}")
        count = math.prod(shape)
        parameters = one.get("parameters")
        size = parameters.get("binary_data_size") if type(parameters) is dict else None
        try:
            if size is not None:
                if blobs is None or type(size) is not int or not 0 <= size <= len(blobs) - place:
                    left = "none" if blobs is None else len(blobs) - place
                    raise ValueError(f"`binary_data_size` is {show(size)}, bytes that follow the JSON: {left}")
                values = from_binary(blobs[place : place + size], datatype, count)
                place += size
            elif type(one.get("data")) is not list:
                raise ValueError(f"`data` must be a list, got {show(one.get('data'))}")
            else:
                values = from_json(one["data"], datatype, count)
        except ValueError as error:
            raise _wrong(name, str(error)) from error
        tensors[name] = _Tensor(datatype, tuple(shape), values, size is not None)
    if blobs is not None and place != len(blobs):
        raise Problem("not-v2", f"{len(blobs) - place} bytes follow the last tensor; say `binary_data_size` of each")
    return tensors


def _columns(tensors: Mapping[str, _Tensor], schema: Schema) -> tuple[Columns, int]:
    for name in tensors:
        if name not in schema.names:
            raise _wrong(name, f"there is no such field{suggestion(name, schema.names)}")
    rows = next(iter(tensors.values())).shape[0]
    if not rows:
        raise Problem("no-rows", "the tensors have no row; their first size must be at least 1")
    columns: Columns = {}
    for field in schema.fields:
        if field.name not in tensors:
            if not field.optional:
                raise _wrong(field.name, f"the tensor is missing{suggestion(field.name, tensors)}")
            columns[field.name] = np.full(rows, None, object)
            continue
        tensor = tensors[field.name]
        if tensor.shape[0] != rows:
            raise _wrong(field.name, f"it has {tensor.shape[0]} rows, other tensors have {rows}")
        columns[field.name] = _column(field, tensor)
    return columns, rows


def _column(field: Field, tensor: _Tensor) -> np.ndarray[Any, Any]:
    """A tensor as the column of a field, whose values are checked with every other row."""
    if tensor.datatype not in _TAKES[field.dtype]:
        raise _wrong(field.name, f"`datatype` must be {_WANTED.get(field.dtype, BYTES)}, got {tensor.datatype}")
    sizes = list(tensor.shape[1:])
    plain = not field.shape and sizes in ([], [1])  # many clients write a column as (rows, 1)
    if not plain and (
        len(sizes) != len(field.shape)
        or any(want not in (None, size) for want, size in zip(field.shape, sizes, strict=True))
        or 0 in sizes
    ):
        wanted = ", ".join(["rows", *("any" if size is None else str(size) for size in field.shape)])
        raise _wrong(field.name, f"`shape` must be [{wanted}], got {list(tensor.shape)}")
    values = tensor.values
    if tensor.datatype == BYTES and tensor.binary and field.dtype != "bytes":
        try:
            values = objects([one.decode() for one in values.tolist()])
        except UnicodeDecodeError as error:
            raise _wrong(field.name, f"its texts must be UTF-8: {printable(str(error))}") from error
    if plain:
        return values
    shaped = values.reshape(tensor.shape)
    return objects([row.tolist() for row in shaped]) if field.dtype == "label" else shaped


def _wrong(name: str, detail: str) -> Problem:
    return Problem("bad-tensor", f"tensor {show(name)}: {detail}", field=printable(name))
