"""Arrays on the wire: the one file of the client that knows numpy, and it imports it when an array is there."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from maas.errors import ClientError, show

NPY = "application/x-npy"


def checked(array: Any) -> np.ndarray[Any, Any]:
    """An array of numbers whose first axis counts rows.

    Raises:
        ClientError: it holds something else, or has no rows.
    """
    found = np.asarray(array)
    if found.dtype.kind not in "fiub":
        raise ClientError(f"`rows` as an array must hold numbers, got dtype {show(str(found.dtype))}; send mappings")
    if found.ndim == 0 or len(found) == 0:
        raise ClientError(f"`rows` as an array must have rows along its first axis, got shape {found.shape}")
    return found


def write_npy(array: np.ndarray[Any, Any]) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, np.ascontiguousarray(array), allow_pickle=False)
    return file.getvalue()


def read_npy(body: bytes) -> np.ndarray[Any, Any]:
    """Raises: ValueError, the body is no .npy file."""
    found: np.ndarray[Any, Any] = np.lib.format.read_array(io.BytesIO(body), allow_pickle=False)
    return found


def joined(parts: list[np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    return np.concatenate(parts)


def column(values: list[Any]) -> np.ndarray[Any, Any]:
    """Values of one member of the answers; of probabilities by class an array (rows, classes)."""
    if values and isinstance(values[0], dict):
        return np.array([list(value.values()) for value in values])
    return np.array(values)
