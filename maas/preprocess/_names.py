"""Many names as two arrays, for what is no business of the description: who the users are, say."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from maas.errors import FormatError
from maas.preprocess._base import Arrays


def names_to_arrays(name: str, names: Sequence[str]) -> dict[str, np.ndarray[Any, Any]]:
    """The names as UTF-8 end to end, uint8, and where each begins and the last ends, int64 of shape (names + 1,)."""
    encoded = [one.encode("utf-8", "surrogatepass") for one in names]
    ends = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    return {name: np.frombuffer(b"".join(encoded), np.uint8).copy(), f"{name}_ends": ends}


def names_from_arrays(name: str, arrays: Arrays) -> tuple[str, ...]:
    """The inverse of `names_to_arrays`.

    Raises:
        FormatError: the arrays are not such names, or a name stands there twice.
    """
    letters, ends = arrays[name], arrays[f"{name}_ends"]
    if letters.dtype != np.uint8 or letters.ndim != 1:
        raise FormatError(f"preprocessing array {name!r} must be bytes, got {letters.dtype} of shape {letters.shape}")
    check_ends(f"{name}_ends", ends, len(letters))
    data = letters.tobytes()
    bounds = ends.tolist()
    try:
        names = tuple(data[start:end].decode("utf-8", "surrogatepass") for start, end in pairwise(bounds))
    except UnicodeDecodeError as error:
        raise FormatError(f"preprocessing array {name!r} is not UTF-8") from error
    if len(set(names)) < len(names):
        raise FormatError(f"preprocessing array {name!r} names one twice")
    return names


def check_ends(name: str, ends: np.ndarray[Any, Any], most: int) -> None:
    """Raise FormatError where an array is not that of bounds: int64, from 0 up to `most`, never falling."""
    good = ends.dtype == np.int64 and ends.ndim == 1 and len(ends) > 0
    if not good or ends[0] != 0 or ends[-1] != most or (np.diff(ends) < 0).any():
        raise FormatError(f"preprocessing array {name!r} must rise from 0 to {most} in int64")
