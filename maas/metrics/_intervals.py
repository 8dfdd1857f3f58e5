"""Intervals of one score, and of a group's score against all other rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Any, Literal

import numpy as np

_Array = np.ndarray[Any, Any]
Aggregate = Literal["mean", "root_mean"]
_MOST_DRAWS = 40_000_000
_DRAWS_AT_ONCE = 1 << 20


def score_of(per_row: _Array, aggregate: Aggregate) -> float:
    """The score that these rows come to."""
    mean = float(per_row.mean())
    return math.sqrt(mean) if aggregate == "root_mean" else mean


def is_share(per_row: _Array, aggregate: Aggregate) -> bool:
    """Whether the score is a share of rows that are right."""
    return aggregate == "mean" and bool(np.isin(per_row, (0.0, 1.0)).all())


def score_interval(
    per_row: _Array,
    *,
    aggregate: Aggregate = "mean",
    level: float = 0.95,
    is_portion: bool = False,
    num_counted: int | None = None,
) -> tuple[float, float]:
    """Interval of a score: Wilson's for a share of rows that are right, else by the percentile bootstrap.

    The bootstrap would give a share of 20 right out of 20 no width at all, as if 20 rows could show perfection.

    Args:
        per_row: what each row adds to the score, float64 of shape (rows,).
        aggregate: the score is the mean of them, or the root of the mean.
        level: probability that the interval is to cover.
        is_portion: whether the score lies from 0 to 1: then so does its interval.
        num_counted: rows that the score rests on, where these are fewer than all.

    Source: Wilson 1927, Probable Inference; Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 13.
    """
    if is_share(per_row, aggregate):
        return wilson(float(per_row.mean()), num_counted or len(per_row), level)
    found = ends(as_score(resampled_means([per_row])[0], aggregate), level)
    return clipped(*found) if is_portion else found


def wilson(share: float, rows: int, level: float) -> tuple[float, float]:
    """Wilson's interval of a share of so many rows."""
    z = NormalDist().inv_cdf((1 + level) / 2)
    middle = (share + z * z / (2 * rows)) / (1 + z * z / rows)
    reach = z / (1 + z * z / rows) * math.sqrt(share * (1 - share) / rows + z * z / (4 * rows * rows))
    return max(0.0, middle - reach), min(1.0, middle + reach)


def clipped(low: float, high: float) -> tuple[float, float]:
    """An interval of what lies from 0 to 1."""
    return min(max(low, 0.0), 1.0), min(max(high, 0.0), 1.0)


def share_gap_interval(shares: tuple[float, float], rows: tuple[int, int], level: float) -> tuple[float, float]:
    """Interval of the difference of two shares of different rows, the first less the second.

    Source: Newcombe 1998, Interval Estimation for the Difference Between Independent Proportions, method 10.
    """
    one, other = (wilson(*one, level) for one in zip(shares, rows, strict=True))
    return gap_interval(shares, one, other)


def gap_interval(
    scores: tuple[float, float], one: tuple[float, float], other: tuple[float, float]
) -> tuple[float, float]:
    """Interval of the difference of two scores of different rows, the first less the second, out of theirs.

    Source: Zou and Donner 2008 (doi 10.1002/sim.3095), of which Newcombe's method 10 is the case of two shares.
    """
    gap = scores[0] - scores[1]
    return (
        gap - math.hypot(scores[0] - one[0], other[1] - scores[1]),
        gap + math.hypot(one[1] - scores[0], scores[1] - other[0]),
    )


def resampled_means(parts: Sequence[_Array], *, seed: int = 0) -> _Array:
    """Means of each part's rows drawn again with replacement, float64 of shape (parts, resamples): 4,000, with many
    rows fewer, 1,000 at the least."""
    generator = np.random.default_rng(seed)
    count = int(np.clip(_MOST_DRAWS // sum(map(len, parts)), 1000, 4000))
    means = np.empty((len(parts), count))
    for place, part in enumerate(parts):
        step = max(1, _DRAWS_AT_ONCE // len(part))
        for start in range(0, count, step):
            drawn = generator.integers(0, len(part), (min(step, count - start), len(part)))
            means[place, start : start + step] = part[drawn].mean(axis=1)
    return means


def as_score(means: _Array, aggregate: Aggregate) -> _Array:
    """Scores out of means."""
    return np.sqrt(np.maximum(means, 0.0)) if aggregate == "root_mean" else means


def ends(values: _Array, level: float) -> tuple[float, float]:
    """The quantiles between which this share of the values lies."""
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
