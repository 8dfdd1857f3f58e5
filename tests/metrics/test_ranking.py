"""maas.metrics.ranking_scores, by hand and against scikit-learn's ndcg_score."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import ndcg_score

from maas.metrics import ranking_scores


def test_by_hand() -> None:
    """Hits at places 2 and 3 of 3 for three relevant items; none; and one of one in front of a short list."""
    truth = [("b", "c", "x"), ("y",), ("a",)]
    scores = ranking_scores(truth, [["a", "b", "c"], ["a", "b", "c"], ["a"]], 3, 8)
    ideal = 1 + 1 / math.log2(3) + 1 / 2
    first = (1 / math.log2(3) + 1 / 2) / ideal
    assert scores.per_row.tolist() == pytest.approx([first, 0, 1])
    assert scores.values == pytest.approx(
        {
            "ndcg@3": (first + 1) / 3,
            "recall@3": (2 / 3 + 0 + 1) / 3,
            "precision@3": (2 / 3 + 0 + 1 / 3) / 3,
            "mrr@3": (1 / 2 + 0 + 1) / 3,
            "coverage": 3 / 8,
        }
    )
    assert scores.primary == "ndcg@3"
    assert scores.greater_is_better


def test_ndcg_is_that_of_scikit_learn() -> None:
    random = np.random.default_rng(0)
    relevant = (random.random((50, 30)) < 0.2).astype(int)
    relevant[:, 0] |= relevant.sum(axis=1) == 0
    scores = random.random((50, 30))
    names = [f"i{item}" for item in range(30)]
    lists = [[names[item] for item in np.argsort(-row)[:10]] for row in scores]
    truth = [[names[item] for item in np.flatnonzero(row)] for row in relevant]
    found = ranking_scores(truth, lists, 10, 30)
    assert found.values["ndcg@10"] == pytest.approx(ndcg_score(relevant, scores, k=10))
    one = ndcg_score(relevant[3:4], scores[3:4], k=10)
    assert found.per_row[3] == pytest.approx(one)


def test_more_relevant_items_than_places_can_still_be_perfect() -> None:
    assert ranking_scores([("a", "b", "c")], [["c", "a"]], 2, 3).values["ndcg@2"] == pytest.approx(1)
