"""Mean and scale, by which numbers are standardised: learned on training rows, checked in what was stored."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from maas.errors import DataError, FormatError
from maas.preprocess._base import Arrays

_LEAST_DEVIATION = 1e-12  # times the mean: below it lies the rounding of equal numbers


def mean_and_scale(numbers: np.ndarray[Any, Any], name: str) -> tuple[float, float]:
    """The mean of numbers, at least one, and their deviation, or 1 where they are all alike.

    Raises:
        DataError: they are too large; `name` says what to call them.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        mean, deviation = float(numbers.mean()), float(numbers.std())
    if not np.isfinite([mean, deviation]).all():
        raise DataError(f"{name} holds numbers too large to standardise; give it in another unit")
    return mean, deviation if deviation > _LEAST_DEVIATION * abs(mean) else 1.0


def check_statistics(arrays: Arrays, shape: tuple[Any, ...], names: Iterable[str] = ("mean", "scale")) -> None:
    """Raise FormatError where stored arrays are not float64 of this shape, finite, and the scale above 0."""
    for name in names:
        array = arrays[name]
        if array.shape != shape or array.dtype != "float64":
            raise FormatError(
                f"preprocessing array {name!r} must be float64 of shape {shape}, got {array.dtype} of shape "
                f"{array.shape}"
            )
        if not np.isfinite(array).all() or (name == "scale" and not (array > 0).all()):
            raise FormatError(f"preprocessing array {name!r} holds values that no training gives")
