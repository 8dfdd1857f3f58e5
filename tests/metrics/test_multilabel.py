"""Scores of several labels a row against scikit-learn's own functions, called one by one."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from maas.metrics import multilabel_scores, paired_bootstrap, scores_by_label

GENERATOR = np.random.default_rng(0)
TRUTH = GENERATOR.random((200, 4)) < [0.1, 0.3, 0.5, 0.9]
PROBABILITIES = np.clip(GENERATOR.normal(0.3 + 0.4 * TRUTH, 0.25), 0, 1)
ANSWER = PROBABILITIES > 0.5
LABELS = ["a", "b", "c", "d"]


def test_scores_equal_scikit_learn() -> None:
    assert multilabel_scores(TRUTH, ANSWER, PROBABILITIES, LABELS).values == pytest.approx(
        {
            "micro_f1": metrics.f1_score(TRUTH, ANSWER, average="micro"),
            "macro_f1": metrics.f1_score(TRUTH, ANSWER, average="macro"),
            "hamming_loss": metrics.hamming_loss(TRUTH, ANSWER),
            "subset_accuracy": metrics.accuracy_score(TRUTH, ANSWER),
            "mean_average_precision": metrics.average_precision_score(TRUTH, PROBABILITIES, average="macro"),
        }
    )


def test_scores_by_label_equal_scikit_learn() -> None:
    found = scores_by_label(TRUTH, ANSWER, PROBABILITIES, LABELS)
    assert list(found) == ["a", "b", "c", "d"]
    for place, scores in enumerate(found.values()):
        truth, answer = TRUTH[:, place], ANSWER[:, place]
        assert scores == pytest.approx(
            {
                "precision": metrics.precision_score(truth, answer),
                "recall": metrics.recall_score(truth, answer),
                "f1": metrics.f1_score(truth, answer),
                "average_precision": metrics.average_precision_score(truth, PROBABILITIES[:, place]),
                "rows": truth.sum(),
            }
        )


def test_a_label_that_no_row_has_is_left_out_of_the_mean_precision() -> None:
    truth, answer = TRUTH.copy(), ANSWER.copy()
    truth[:, 0] = answer[:, 0] = False
    scores = multilabel_scores(truth, answer, PROBABILITIES, LABELS).values
    wanted = metrics.average_precision_score(truth[:, 1:], PROBABILITIES[:, 1:], average="macro")
    assert scores["mean_average_precision"] == pytest.approx(wanted)
    assert scores["macro_f1"] == pytest.approx(metrics.f1_score(truth, answer, average="macro", zero_division=0))
    assert scores_by_label(truth, answer, PROBABILITIES, list("abcd"))["a"]["average_precision"] is None


def test_nothing_to_find_and_nothing_found() -> None:
    none = np.zeros((3, 2), bool)
    scores = multilabel_scores(none, none, np.zeros((3, 2)), ["p", "q"])
    assert scores.values["micro_f1"] == 0.0
    assert scores.values["subset_accuracy"] == 1.0
    assert scores.values["mean_average_precision"] is None
    assert scores.per_row.tolist() == [0.0, 0.0, 0.0]


def test_the_interval_is_that_of_micro_f1_over_resampled_rows() -> None:
    """Reference: micro F1 itself, computed again over 500 resamples of the rows."""
    scores = multilabel_scores(TRUTH, ANSWER, PROBABILITIES, LABELS)
    assert scores.per_row.mean() == pytest.approx(scores.values["micro_f1"])
    low, high = paired_bootstrap(scores.per_row, np.zeros(len(TRUTH)))
    generator = np.random.default_rng(1)
    drawn = [generator.integers(0, len(TRUTH), len(TRUTH)) for _ in range(500)]
    found = [metrics.f1_score(TRUTH[rows], ANSWER[rows], average="micro") for rows in drawn]
    assert [low, high] == pytest.approx(np.quantile(found, [0.025, 0.975]), abs=0.012)


def test_worst_rows_and_curves() -> None:
    """By hand: the second row gives its label 0.1, the others 0.9 and 0.6; reference for the area: scikit-learn."""
    truth = np.array([[True, False], [True, False], [False, True]])
    probabilities = np.array([[0.9, 0.1], [0.1, 0.1], [0.4, 0.6]])
    scores = multilabel_scores(truth, probabilities > 0.5, probabilities, ["p", "q"])
    assert scores.details is not None
    details = scores.details()
    worst = [(one.position, one.truth, one.answer, one.right) for one in details.worst]
    assert worst == [(1, "p", "none", False), (2, "q", "q", True), (0, "p", "p", True)]
    assert details.worst[0].loss == pytest.approx(-(np.log(0.1) + np.log(0.9)) / 2)
    areas = {curve.label: curve.area for curve in details.curves}
    assert areas == pytest.approx({"p": metrics.roc_auc_score(truth[:, 0], probabilities[:, 0]), "q": 1.0})
