"""The uncertainty of a difference between two methods on the same rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from maas.metrics._intervals import Aggregate, ends

_Array = np.ndarray[Any, Any]
_MOST_DRAWS = 40_000_000


def paired_bootstrap(
    one: _Array,
    other: _Array,
    *,
    aggregate: Aggregate = "mean",
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """Interval of the difference `one - other` of two scores over the same rows, by the percentile bootstrap.

    Rows are drawn again with replacement, the same for both, so what makes a row hard for both cancels out. With
    many rows fewer resamples are drawn, 200 at the least.

    Args:
        one, other: what each row adds to the score, float64 of shape (rows,).
        aggregate: the score is the mean of them, or the root of the mean.
        level: probability that the interval is to cover.
        resamples: how many times the rows are drawn.
        seed: the interval is a pure function of the inputs and this number.

    Returns:
        Lower and upper end.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    """
    rows = len(one)
    generator = np.random.default_rng(seed)
    count = int(np.clip(_MOST_DRAWS // rows, 200, resamples))
    differences = np.empty(count)
    for index in range(count):
        drawn = generator.integers(0, rows, rows)
        means = one[drawn].mean(), other[drawn].mean()
        differences[index] = means[0] - means[1] if aggregate == "mean" else np.sqrt(means[0]) - np.sqrt(means[1])
    return ends(differences, level)
