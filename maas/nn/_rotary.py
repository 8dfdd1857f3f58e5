"""Rotary positions: how far each pair of numbers turns from one token to the next."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

from maas.errors import RecipeError, show

_SCALINGS = ("linear", "llama3")


def rotated(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """x (..., head_dim) turned by its positions; its two halves are pairs, as published weights want."""
    one, two = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-two, one], dim=-1) * sin


def rates_of(head_dim: int, theta: float, scaling: Mapping[str, Any] | None) -> torch.Tensor:
    """Radians a position, float32 of shape (head_dim / 2,).

    Raises:
        RecipeError: an argument is out of its range.
    """
    if isinstance(theta, bool) or not isinstance(theta, (int, float)) or not 1 < theta < math.inf:
        raise RecipeError(f"`rope_theta` must be a number above 1, got {show(theta)}")
    with torch.device("cpu"):  # a network on the meta device has them too: they are no weights
        rates = 1.0 / theta ** (torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim)
    if scaling is None:
        return rates
    try:
        kind, factor = scaling["type"], float(scaling["factor"])
        if kind == "linear" and factor >= 1:
            return rates / factor
        low, high = float(scaling["low_freq_factor"]), float(scaling["high_freq_factor"])
        original = float(scaling["original_context"])
        if kind != "llama3" or not (factor >= 1 and 0 < low < high and original > 0):
            raise ValueError("out of range")
    except (KeyError, TypeError, ValueError) as error:
        raise RecipeError(f"`rope_scaling` is of type {' or '.join(_SCALINGS)}, got {show(str(scaling))}") from error
    waves = original * rates / (2 * math.pi)  # how often each turns within the original context
    share = ((waves - low) / (high - low)).clamp(0, 1)
    return rates * share + rates / factor * (1 - share)
