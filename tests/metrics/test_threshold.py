"""maas.metrics.best_threshold against scikit-learn's scores at every threshold there is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn import metrics

from maas.metrics import CRITERIA, best_threshold

REFERENCE: dict[str, Any] = {
    "f1": metrics.f1_score,
    "accuracy": metrics.accuracy_score,
    "youden": lambda truth, answer: metrics.balanced_accuracy_score(truth, answer) * 2 - 1,
}


def test_every_criterion_has_a_reference() -> None:
    assert REFERENCE.keys() == CRITERIA.keys()


@pytest.mark.parametrize("criterion", list(REFERENCE))
@pytest.mark.parametrize("digits", [1, 2, 8])  # with few digits many probabilities are equal
def test_no_threshold_is_better(criterion: str, digits: int) -> None:
    generator = np.random.default_rng(digits)
    truth = generator.random(120) < 0.2
    probabilities = np.clip(generator.normal(0.3 + 0.3 * truth, 0.2), 0.01, 0.99).round(digits).astype(np.float32)
    threshold = best_threshold(truth, probabilities, criterion)
    assert threshold is not None
    score = REFERENCE[criterion]
    tried = [*np.unique(probabilities).astype(np.float64), 0.0, 1.0, *np.linspace(0, 1, 101)]
    best = max(score(truth, probabilities.astype(np.float64) > one) for one in tried)
    assert score(truth, probabilities.astype(np.float64) > threshold) == pytest.approx(best)


def test_of_equally_good_ones_the_nearest_to_a_half_is_taken() -> None:
    """By hand: any threshold from 0.2 to 0.4 parts these rows, and any from 0.6 to 0.9 those."""
    truth = np.array([False, False, True, True])
    assert best_threshold(truth, np.array([0.1, 0.2, 0.4, 0.9]), "f1") == pytest.approx(0.3)
    assert best_threshold(truth, np.array([0.1, 0.6, 0.9, 0.95]), "youden") == pytest.approx(0.75)
    assert best_threshold(truth, np.array([0.5, 0.5, 0.5, 0.5]), "accuracy") == pytest.approx(0.25)  # none is as near


def test_neighbouring_floats_are_told_apart() -> None:
    low = np.float32(0.7)
    probabilities = np.array([low, np.nextafter(low, np.float32(1))], np.float32)
    threshold = best_threshold(np.array([False, True]), probabilities, "accuracy")
    assert (probabilities.astype(np.float64) > threshold).tolist() == [False, True]


def test_probabilities_of_zero_and_one() -> None:
    threshold = best_threshold(np.array([True, False, True]), np.array([0.0, 0.0, 1.0]), "f1")
    assert threshold == 0.5  # 0 cannot be passed from below: calling all rows true is out of reach
    assert best_threshold(np.array([True, False]), np.array([1.0, 1.0]), "f1") == 0.5


@pytest.mark.parametrize("truth", [[True, True], [False, False], []])
def test_rows_of_one_kind_choose_nothing(truth: list[bool]) -> None:
    assert best_threshold(np.array(truth, bool), np.linspace(0.2, 0.8, len(truth)), "f1") is None
