"""Checks of the arguments that networks share; each raises RecipeError for what is out of its range."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from maas.errors import RecipeError, show

_MOST_LAYERS = 100


def check_positive(**sizes: Any) -> None:
    """Positive integers."""
    for name, size in sizes.items():
        if type(size) is not int or size < 1:
            raise RecipeError(f"`{name}` must be a positive integer, got {show(size)}")


def check_num_layers(num_layers: Any) -> None:
    """A number of layers, each of which is built."""
    check_positive(num_layers=num_layers)
    if num_layers > _MOST_LAYERS:
        raise RecipeError(f"`num_layers` may be at most {_MOST_LAYERS}, got {num_layers}")


def check_sizes(
    name: str, sizes: Any, *, such_as: tuple[int, ...], most: int, fewest: int = 1, called: str = "layers"
) -> None:
    """The sizes of several layers.

    Args:
        name: of the argument.
        sizes: what was given.
        such_as: what could be.
        most, fewest: how many there may be.
        called: what each of them is of.
    """
    if isinstance(sizes, (str, bytes)) or not isinstance(sizes, Sequence) or len(sizes) < fewest:
        raise RecipeError(f"`{name}` must be a sequence of sizes, such as {such_as}, got {show(sizes)}")
    if len(sizes) > most:
        raise RecipeError(f"`{name}` may have at most {most} {called}, got {len(sizes)}")
    if not all(type(size) is int and size > 0 for size in sizes):
        raise RecipeError(f"`{name}` must be positive integers, got {tuple(sizes)!r}")


def check_kernel_size(kernel_size: Any) -> None:
    """The side of a convolution that gives as many steps or pixels as it takes."""
    check_positive(kernel_size=kernel_size)
    if kernel_size % 2 == 0:
        raise RecipeError(f"`kernel_size` must be odd, so that a filter has a middle, got {kernel_size}")


def check_choice(name: str, value: Any, known: Iterable[str | None]) -> None:
    """One of a few names, or None where that is one of them."""
    known = tuple(known)
    if value not in known:
        raise RecipeError(f"`{name}` must be one of {', '.join(map(str, known))}, got {show(value)}")


def check_flag(**flags: Any) -> None:
    """True or false."""
    for name, flag in flags.items():
        if type(flag) is not bool:
            raise RecipeError(f"`{name}` must be true or false, got {show(flag)}")


def check_dropout(dropout: Any) -> None:
    """A share that is dropped."""
    if isinstance(dropout, bool) or not isinstance(dropout, (int, float)) or not 0 <= dropout < 1:
        raise RecipeError(f"`dropout` must be from 0 to below 1, got {show(dropout)}")


def check_at_least_zero(**numbers: Any) -> None:
    """Finite numbers from 0."""
    for name, number in numbers.items():
        if isinstance(number, bool) or not isinstance(number, (int, float)) or not 0 <= number < math.inf:
            raise RecipeError(f"`{name}` must be a number of at least 0, got {show(number)}")


def check_seed(seed: Any) -> None:
    """A seed, or None."""
    if seed is not None and (type(seed) is not int or not 0 <= seed < 2**63):
        raise RecipeError(f"`seed` must be None or an integer from 0 to below 2**63, got {show(seed)}")
