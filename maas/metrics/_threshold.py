"""The probability above which an answer is yes, chosen by rows whose truth is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

_Array = np.ndarray[Any, Any]


def _f1(true: _Array, false: _Array, num_true: int, num_false: int) -> _Array:
    gains: _Array = 2 * true / (num_true + true + false)
    return gains


def _youden(true: _Array, false: _Array, num_true: int, num_false: int) -> _Array:
    return true / num_true - false / num_false


def _accuracy(true: _Array, false: _Array, num_true: int, num_false: int) -> _Array:
    return (true + num_false - false) / (num_true + num_false)


CRITERIA: dict[str, Callable[[_Array, _Array, int, int], _Array]] = {
    "f1": _f1,
    "youden": _youden,
    "accuracy": _accuracy,
}
"""What a threshold can be chosen by: true and false positives at each of several cuts -> what to raise."""


def best_threshold(truth: _Array, probabilities: _Array, criterion: str) -> float | None:
    """The threshold that is best by a criterion; where several are, the one nearest to 0.5.

    An answer is yes where the probability is above the threshold. Those tried lie midway between two neighbouring
    probabilities, so that rounding cannot move a row across, and below and above all of them. The best of many is
    better on the rows that chose it than on others: it is no score.

    Args:
        truth: bool of shape (rows,).
        probabilities: float of shape (rows,), from 0 to 1.
        criterion: a key of `CRITERIA`: "f1", "youden" (sensitivity + specificity - 1) or "accuracy".

    Returns:
        From 0 to 1; None where all rows are of one kind, for then nothing can be chosen.

    Source: Youden 1950 (doi 10.1002/1097-0142(1950)3:1<32::AID-CNCR2820030106>3.0.CO;2-3).
    """
    num_true = int(truth.sum())
    num_false = len(truth) - num_true
    if not num_true or not num_false:
        return None
    known, member = np.unique(probabilities.astype(np.float64), return_inverse=True)  # ascending
    cuts = np.concatenate([[known[0] / 2], (known[1:] + known[:-1]) / 2, [(known[-1] + 1) / 2]])
    hits = np.bincount(member, truth, len(known))
    misses = np.bincount(member, ~truth, len(known))
    # Cut i has the probabilities from place i on above it; nothing in reach lies below a probability of 0.
    true = np.concatenate([hits[::-1].cumsum()[::-1], [0.0]])
    false = np.concatenate([misses[::-1].cumsum()[::-1], [0.0]])
    gains = CRITERIA[criterion](true, false, num_true, num_false)
    gains[0] = gains[0] if known[0] > 0 else -np.inf
    best = cuts[gains >= gains.max() - 1e-12]
    return float(best[np.abs(best - 0.5).argmin()])
