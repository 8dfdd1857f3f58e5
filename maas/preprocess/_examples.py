"""Numbers of made-up rows: evenly spread, never random, the same each time."""

from __future__ import annotations

import math

GOLDEN = 0.6180339887498949
"""Whose multiples, cut to what is behind the point, lie evenly."""


def spread(*counts: int) -> float:
    """A share from 0 to below 1, for counts from 1 on."""
    return (0.5 + math.prod(counts) * GOLDEN) % 1


def example_number(mean: float, scale: float, bounds: tuple[float, float] | None, *counts: int) -> float:
    """A number at most two deviations from the mean, and within the range that training rows showed."""
    low, high = bounds or (-math.inf, math.inf)
    return min(max(float(f"{mean + scale * (4 * spread(*counts) - 2):.6g}"), low), high)
