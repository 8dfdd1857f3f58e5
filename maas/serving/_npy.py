"""Arrays in the .npy format, read from a request's body without trust."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
from numpy.lib import format as npy

from maas.errors import show

MAGIC = npy.MAGIC_PREFIX
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
        raise ValueError(f"its header cannot be read: {str(error).partition(chr(10))[0][:160]}") from error
    if dtype.kind not in "fiub" or dtype.subdtype is not None:
        raise ValueError(f"an array must hold numbers, got dtype {show(str(dtype))}")
    start = file.tell()
    if (
        any(type(size) is not int or size < 0 for size in shape)
        or math.prod(shape) * dtype.itemsize != len(body) - start
    ):
        raise ValueError(f"its header says shape {show(str(shape))} of {dtype}, and {len(body) - start} bytes follow")
    return np.frombuffer(body, dtype, offset=start).reshape(shape, order="F" if fortran else "C")
