"""Intervals of a score, against scipy's."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from maas.metrics import score_interval


@pytest.mark.parametrize(("right", "rows"), [(20, 20), (0, 7), (31, 40), (1, 1)])
def test_a_share_has_wilsons_interval(right: int, rows: int) -> None:
    """scipy.stats.binomtest(...).proportion_ci(method="wilson")."""
    wanted = scipy.stats.binomtest(right, rows).proportion_ci(0.95, method="wilson")
    found = score_interval(np.array([1.0] * right + [0.0] * (rows - right)))
    assert found == pytest.approx((wanted.low, wanted.high))


def test_a_mean_has_the_bootstraps_interval() -> None:
    """scipy.stats.bootstrap, percentile; both draw at random, hence the tolerance of 8 % of the width."""
    values = np.random.default_rng(0).gamma(2.0, size=200)
    wanted = scipy.stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=4000, rng=np.random.default_rng(1)
    ).confidence_interval
    tolerance = 0.08 * (wanted.high - wanted.low)
    assert score_interval(values) == pytest.approx((wanted.low, wanted.high), abs=tolerance)
    low, high = score_interval(values, aggregate="root_mean")
    assert (low**2, high**2) == pytest.approx((wanted.low, wanted.high), abs=tolerance)


def test_a_higher_level_is_wider() -> None:
    values = np.random.default_rng(0).normal(size=100)
    narrow, wide = score_interval(values, level=0.5), score_interval(values, level=0.99)
    assert wide[0] < narrow[0] < narrow[1] < wide[1]
