"""The datatypes of the Open Inference Protocol: data to columns and back.

Source: KServe, "Open Inference Protocol", REST; Triton's extension for binary tensors.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
import orjson

DTYPES = {
    "BOOL": "?",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
    **{f"INT{bits}": f"<i{bits // 8}" for bits in (8, 16, 32, 64)},
    **{f"UINT{bits}": f"<u{bits // 8}" for bits in (8, 16, 32, 64)},
}
NUMBERS = frozenset(DTYPES) - {"BOOL"}
BYTES = "BYTES"
Array = np.ndarray[Any, Any]


def usual_datatype(dtype: str) -> str:
    """The datatype in which the values of a field with this dtype are shown; it takes others too."""
    return {"number": "FP64", "boolean": "BOOL"}.get(dtype, BYTES)


def from_json(data: list[Any], datatype: str, count: int) -> Array:
    """The values of a tensor that JSON holds, flat or nested, as a flat array; floats as float64.

    Raises:
        ValueError: there are not `count` of them, or one is of another type.
    """
    flat = data
    while flat and len(flat) <= count and all(type(one) is list for one in flat):
        flat = list(chain.from_iterable(flat))
    if len(flat) != count:
        raise ValueError(f"its shape says {count} values, `data` has {len(flat)}")
    types = set(map(type, flat))
    wanted: set[type] = {int, float} if datatype[:2] == "FP" else {int}
    if datatype in (BYTES, "BOOL"):
        wanted = {str if datatype == BYTES else bool}
    if odd := types - wanted:
        raise ValueError(f"`data` must hold {datatype}, got {min(one.__name__ for one in odd)}")
    if datatype == BYTES:
        return objects(flat)
    try:
        return np.array(flat, np.float64 if datatype[:2] == "FP" else DTYPES[datatype])
    except OverflowError as error:
        raise ValueError(f"`data` has a number that is no {datatype}") from error


def from_binary(data: memoryview, datatype: str, count: int) -> Array:
    """The values of a binary tensor as a flat array: of bytes for BYTES, each after its length in four bytes.

    Raises:
        ValueError: the bytes do not hold `count` of them.
    """
    if datatype != BYTES:
        dtype = np.dtype(DTYPES[datatype])
        if len(data) != count * dtype.itemsize:
            raise ValueError(f"its shape says {count * dtype.itemsize} bytes, it has {len(data)}")
        if datatype == "BOOL" and bytes(data).translate(None, b"\0\1"):
            raise ValueError("a BOOL is a byte of 0 or 1")
        return np.frombuffer(data, dtype)
    values: list[bytes] = []
    place = 0
    while place < len(data) and len(values) < count:
        if place + 4 > len(data):
            raise ValueError("its last value is cut off")
        (size,) = struct.unpack_from("<I", data, place)
        place += 4 + size
        if place > len(data):
            raise ValueError("its last value is cut off")
        values.append(bytes(data[place - size : place]))
    if len(values) != count or place != len(data):
        held = "more" if place < len(data) else len(values)
        raise ValueError(f"its shape says {count} values, its bytes hold {held}")
    return objects(values)


def to_tensor(column: Array) -> tuple[str, Array]:
    """Datatype and values of a column of answers. Lists of any length are written as JSON, a text a row."""
    if column.dtype == object:
        values = column.tolist()
        types = set(map(type, values))
        if types == {bool}:
            return "BOOL", np.array(values)
        if types == {int}:
            return "INT64", np.array(values, np.int64)
        return BYTES, objects([one if type(one) is str else orjson.dumps(one).decode() for one in values])
    little = column.dtype.newbyteorder("<").str
    datatype = next(name for name, dtype in DTYPES.items() if np.dtype(dtype).str == np.dtype(little).str)
    return datatype, column


def to_binary(values: Array) -> bytes:
    """The values of a tensor, as `from_binary` reads them."""
    if values.dtype != object:
        return values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()
    encoded = [one.encode() for one in values.tolist()]
    return b"".join(struct.pack("<I", len(one)) + one for one in encoded)


def objects(values: Sequence[Any]) -> Array:
    array = np.empty(len(values), object)
    array[:] = values
    return array
