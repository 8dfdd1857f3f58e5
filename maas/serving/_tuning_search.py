"""The highest rate that holds, found in few tries."""

from __future__ import annotations

import math
from collections.abc import Callable

_STEP = 2.0
_CLOSE = 1.08
LEAST_RATE = 1.0


def highest_rate(holds: Callable[[float], bool], start: float, *, tries: int) -> float | None:
    """Search by doubling and halving, then by bisection on the logarithm of the rate.

    Args:
        holds: tries a rate.
        start: the rate that is tried first.
        tries: at most.

    Returns:
        The highest rate that held, below the lowest that did not; None where none did.
    """
    held: float | None = None
    failed: float | None = None
    rate = max(start, LEAST_RATE)
    for _ in range(tries):
        if holds(rate):
            held = rate
        else:
            failed = rate
        if failed is None:
            rate *= _STEP
        elif held is None:
            if failed <= LEAST_RATE:
                break
            rate = max(failed / _STEP**2, LEAST_RATE)
        elif failed / held < _CLOSE:
            break
        else:
            rate = math.sqrt(held * failed)
    return held
