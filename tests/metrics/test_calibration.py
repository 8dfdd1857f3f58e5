"""Expected calibration error: by hand, and against scikit-learn's reliability curve."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from maas.metrics import calibration


def test_four_answers_by_hand() -> None:
    """Two bins: 0.3 and 0.5 (one right), 0.6 and 1.0 (both right): (2 |1/2 - 0.4| + 2 |1 - 0.8|) / 4 = 0.15."""
    found = calibration(np.array([0.3, 0.5, 0.6, 1.0]), np.array([0, 1, 1, 1]), num_bins=2)
    assert found.error == pytest.approx(0.15)
    assert (found.confidence, found.accuracy, found.count) == (pytest.approx((0.4, 0.8)), (0.5, 1.0), (2, 2))


def test_a_bin_ends_with_its_upper_edge() -> None:
    """Guo et al. 2017: the bins are ((m - 1) / M, m / M]."""
    found = calibration(np.array([0.5, 0.5001]), np.array([1, 0]), num_bins=2)
    assert (found.count, found.accuracy) == ((1, 1), (1.0, 0.0))


@pytest.mark.parametrize("seed", [0, 1])
def test_the_bins_equal_scikit_learns(seed: int) -> None:
    generator = np.random.default_rng(seed)
    confidence = generator.random(500)
    right = generator.random(500) < confidence**1.5
    found = calibration(confidence, right)
    good, sure = calibration_curve(right, confidence, n_bins=15)
    assert found.accuracy == pytest.approx(good)
    assert found.confidence == pytest.approx(sure)
    assert sum(found.count) == 500


def test_certain_and_right_has_no_error() -> None:
    found = calibration(np.ones(5, np.float32), np.ones(5))
    assert (found.error, found.count) == (0.0, (5,))
