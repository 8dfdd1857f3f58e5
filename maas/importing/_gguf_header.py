"""Whether the lengths that a GGUF file says of itself lie within it, before a library believes them.

Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from maas.errors import FormatError

_SCALARS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}  # bytes, by the number of a type
_STRING, _ARRAY = 8, 9
_VERSIONS = (2, 3)
_MOST_FIELDS = _MOST_TENSORS = 1 << 16
_MOST_VALUES = 1 << 23


def check_header(path: Path) -> None:
    """Walk over a file's metadata.

    Raises:
        FormatError: it is no GGUF file, is cut off, or says absurd sizes.
    """
    size = path.stat().st_size
    with open(path, "rb") as file:
        try:
            if file.read(4) != b"GGUF":
                raise ValueError("it does not begin with GGUF")
            if (version := _number(file, "<I")) not in _VERSIONS:
                raise ValueError(f"it is of version {version}, maas reads {_VERSIONS}, of the usual byte order")
            num_tensors, num_fields = _number(file, "<Q"), _number(file, "<Q")
            if num_tensors > _MOST_TENSORS or num_fields > _MOST_FIELDS:
                raise ValueError(f"it would have {num_tensors:,} tensors and {num_fields:,} fields")
            for _ in range(num_fields):
                _skip(file, _number(file, "<Q"), size)
                _value(file, _number(file, "<I"), size)
            for _ in range(num_tensors):
                _skip(file, _number(file, "<Q"), size)
                if (dimensions := _number(file, "<I")) > 4:
                    raise ValueError(f"a tensor would have {dimensions} dimensions")
                _skip(file, 8 * dimensions + 4 + 8, size)
        except (ValueError, struct.error) as error:
            raise FormatError(f"{path} is not a GGUF file: {error}") from error


def _value(file: BinaryIO, kind: int, size: int) -> None:
    if kind == _STRING:
        _skip(file, _number(file, "<Q"), size)
    elif kind == _ARRAY:
        inner, count = _number(file, "<I"), _number(file, "<Q")
        if count > _MOST_VALUES or inner == _ARRAY:
            raise ValueError(f"it has a list of {count:,} values, or of lists")
        for _ in range(count if inner == _STRING else 0):
            _skip(file, _number(file, "<Q"), size)
        if inner != _STRING:
            _skip(file, count * _scalar(inner), size)
    else:
        _skip(file, _scalar(kind), size)


def _scalar(kind: int) -> int:
    if kind not in _SCALARS:
        raise ValueError(f"it has a value of the unknown type {kind}")
    return _SCALARS[kind]


def _number(file: BinaryIO, form: str) -> int:
    found: int = struct.unpack(form, file.read(struct.calcsize(form)))[0]
    return found


def _skip(file: BinaryIO, count: int, size: int) -> None:
    if file.tell() + count > size:
        raise ValueError("it is cut off, or says that something is longer than it is")
    file.seek(count, 1)
