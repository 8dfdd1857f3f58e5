"""The paired bootstrap: against scipy, against theory, and its edges."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest
import scipy.stats

from maas.metrics import paired_bootstrap

Values = np.ndarray[Any, Any]


def pair(rows: int = 300, seed: int = 0) -> tuple[Values, Values]:
    """Two scores that share what makes a row hard."""
    generator = np.random.default_rng(seed)
    hard = generator.gamma(2.0, size=rows)
    return hard + generator.gamma(1.0, size=rows), hard + generator.gamma(0.5, size=rows)


@pytest.mark.parametrize("aggregate", ["mean", "root_mean"])
def test_the_interval_equals_scipys(aggregate: Literal["mean", "root_mean"]) -> None:
    """scipy.stats.bootstrap, paired, percentile; both draw at random, hence the tolerance of 8 % of the width."""
    one, other = pair()

    def difference(one: Values, other: Values, axis: int) -> Values:
        means = one.mean(axis=axis), other.mean(axis=axis)
        return np.sqrt(means[0]) - np.sqrt(means[1]) if aggregate == "root_mean" else means[0] - means[1]

    wanted = scipy.stats.bootstrap(
        (one, other), difference, paired=True, method="percentile", n_resamples=4000, rng=np.random.default_rng(1)
    ).confidence_interval
    low, high = paired_bootstrap(one, other, aggregate=aggregate)
    assert (low, high) == pytest.approx((wanted.low, wanted.high), abs=0.08 * (wanted.high - wanted.low))


def test_95_of_100_intervals_hold_the_true_difference() -> None:
    """The true difference of the means is 0.5; binomial noise of 200 draws allows 0.89 to 0.99."""
    held = 0
    for seed in range(200):
        low, high = paired_bootstrap(*pair(rows=80, seed=seed), resamples=200)
        held += low <= 0.5 <= high
    assert 0.89 <= held / 200 <= 0.99


def test_pairing_cancels_what_both_share() -> None:
    """Unpaired, the interval of numpy's own standard errors would be 1.5 times as wide."""
    one, other = pair()
    low, high = paired_bootstrap(one, other)
    unpaired = 2 * 1.96 * np.sqrt((one.var() + other.var()) / len(one))
    assert high - low < unpaired / 1.5


def test_the_interval_is_a_function_of_inputs_and_seed() -> None:
    one, other = pair()
    assert paired_bootstrap(one, other, seed=1) == paired_bootstrap(one, other, seed=1)
    assert paired_bootstrap(one, other, seed=1) != paired_bootstrap(one, other, seed=2)


@pytest.mark.parametrize("aggregate", ["mean", "root_mean"])
def test_equal_inputs_give_zero_width(aggregate: Literal["mean", "root_mean"]) -> None:
    one, _ = pair()
    assert paired_bootstrap(one, one.copy(), aggregate=aggregate) == (0.0, 0.0)


def test_root_mean_is_the_difference_of_roots() -> None:
    low, high = paired_bootstrap(np.full(9, 25.0), np.full(9, 4.0), aggregate="root_mean")
    assert (low, high) == (3.0, 3.0)


def test_a_higher_level_is_wider() -> None:
    one, other = pair()
    narrow, wide = paired_bootstrap(one, other, level=0.5), paired_bootstrap(one, other, level=0.99)
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


def test_exchanging_the_inputs_mirrors_the_interval() -> None:
    one, other = pair()
    low, high = paired_bootstrap(one, other)
    assert paired_bootstrap(other, one) == pytest.approx((-high, -low))


def test_one_row_has_no_spread() -> None:
    assert paired_bootstrap(np.array([1.0]), np.array([0.0])) == (1.0, 1.0)
