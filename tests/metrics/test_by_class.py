"""Scores class by class, against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import precision_recall_fscore_support

from maas.metrics import Evaluation, classification_scores, regression_scores


def test_each_class_equals_scikit_learn() -> None:
    generator = np.random.default_rng(0)
    truth, probabilities = generator.integers(0, 4, 200), generator.dirichlet(np.ones(4), 200)
    scores = classification_scores(truth, probabilities, list("abcd"))
    found = Evaluation.compare("classification", scores, {}, fingerprint="f").by_class()
    wanted = precision_recall_fscore_support(truth, probabilities.argmax(axis=1))
    for place, one in enumerate(found):
        assert one.label == "abcd"[place]
        assert [one.precision, one.recall, one.f1] == pytest.approx([part[place] for part in wanted[:3]])
        assert one.support == wanted[3][place]


def test_what_is_not_defined_is_none() -> None:
    """Class b is never answered, class c has no row, class d neither."""
    scores = classification_scores(np.array([0, 1, 1]), np.eye(4)[[0, 0, 2]], list("abcd"))
    a, b, c, d = Evaluation.compare("classification", scores, {}, fingerprint="f").by_class()
    assert (a.precision, a.recall) == (0.5, 1.0)
    assert (b.precision, b.recall, b.f1, b.support) == (None, 0.0, 0.0, 2)
    assert (c.precision, c.recall, c.f1, c.support) == (0.0, None, 0.0, 0)
    assert (d.precision, d.recall, d.f1) == (None, None, None)


def test_numbers_have_no_classes() -> None:
    scores = regression_scores(np.arange(5.0), np.ones(5))
    assert Evaluation.compare("regression", scores, {}, fingerprint="f").by_class() == ()
