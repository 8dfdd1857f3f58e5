"""maas.compress: what a compression may cost."""

from __future__ import annotations

import numpy as np
import pytest

from maas.compress import Outcome, hold
from maas.errors import CompressionError, DataError
from maas.metrics import classification_scores, regression_scores


def _portion(right: int) -> object:
    truth = np.zeros(100, np.int64)
    answers = np.zeros((100, 2))
    answers[np.arange(100), (np.arange(100) >= right).astype(int)] = 1
    return classification_scores(truth, answers, ["a", "b"])


def test_a_drop_within_the_budget_is_recorded():
    outcome = hold("quantize", _portion(90), _portion(88), max_drop=0.03, fingerprint="f")
    assert isinstance(outcome, Outcome)
    assert (outcome.before, outcome.after, outcome.num_rows) == (0.9, 0.88, 100)
    assert outcome.drop == pytest.approx(0.02)


def test_over_budget_names_the_score_before_and_after():
    with pytest.raises(CompressionError, match=r"prune takes accuracy from 0\.9000 to 0\.8000, by 0\.1000, .*0\.05"):
        hold("prune", _portion(90), _portion(80), max_drop=0.05, fingerprint="f")


def test_an_error_drops_by_its_share():
    truth = np.arange(10.0)
    before, after = (regression_scores(truth, truth + by) for by in (1.0, 1.1))
    assert before.drop_to(after) == pytest.approx(0.1)
    assert after.drop_to(before) < 0
    with pytest.raises(CompressionError, match=r"by a share of 0\.1000"):
        hold("prune", before, after, max_drop=0.05, fingerprint="f")


def test_a_score_that_is_not_defined_says_so():
    scores = _portion(90)
    object.__setattr__(scores, "values", {**scores.values, scores.primary: None})
    with pytest.raises(DataError, match="not defined for these rows"):
        scores.drop_to(scores)
