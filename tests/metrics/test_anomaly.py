"""Scores of a detector of anomalies against scikit-learn's own functions, and DeLong's variance."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from maas.metrics import Evaluation, Scores, anomaly_scores, paired_bootstrap

GENERATOR = np.random.default_rng(0)
TRUTH = GENERATOR.random(300) < 0.2
SCORES = GENERATOR.normal(0.5 + 0.6 * TRUTH, 0.4).round(1)  # rounded, so that there are ties
ANSWER = SCORES > 1.0


def test_scores_equal_scikit_learn() -> None:
    found = anomaly_scores(TRUTH, SCORES, ANSWER)
    matrix = metrics.confusion_matrix(TRUTH, ANSWER)
    assert found.values == pytest.approx(
        {
            "roc_auc": metrics.roc_auc_score(TRUTH, SCORES),
            "average_precision": metrics.average_precision_score(TRUTH, SCORES),
            "precision": metrics.precision_score(TRUTH, ANSWER),
            "recall": metrics.recall_score(TRUTH, ANSWER),
            "f1": metrics.f1_score(TRUTH, ANSWER),
            "false_alarm_rate": matrix[0, 1] / matrix[0].sum(),
        }
    )
    assert found.labels == ["normal", "anomalous"]
    assert found.confusion.tolist() == matrix.tolist()
    assert (found.primary, found.greater_is_better) == ("roc_auc", True)


def test_what_rows_add_to_the_area_has_delongs_variance() -> None:
    """By hand: the mean over all pairs, and DeLong's variance from the two sets of placements."""
    per_row = anomaly_scores(TRUTH, SCORES, ANSWER).per_row
    pairs = (SCORES[TRUTH][:, None] > SCORES[~TRUTH]) + 0.5 * (SCORES[TRUTH][:, None] == SCORES[~TRUTH])
    assert per_row.mean() == pytest.approx(pairs.mean())
    mine, theirs = pairs.mean(axis=1), pairs.mean(axis=0)
    variance = mine.var() / len(mine) + theirs.var() / len(theirs)
    assert per_row.var() / len(per_row) == pytest.approx(variance)
    low, high = paired_bootstrap(per_row, np.zeros(len(per_row)))
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(variance), rel=0.1)


def test_normal_rows_alone_give_the_rate_of_false_alarms() -> None:
    found = anomaly_scores(np.zeros(4, bool), np.array([0.1, 2.0, 0.3, 0.4]), np.array([False, True, False, False]))
    assert found.values["false_alarm_rate"] == 0.25
    assert found.values["roc_auc"] is None
    assert found.values["recall"] is None
    assert (found.primary, found.greater_is_better) == ("false_alarm_rate", False)
    assert found.per_row.mean() == 0.25


def test_anomalies_alone_give_the_share_found() -> None:
    found = anomaly_scores(np.ones(2, bool), np.array([0.1, 2.0]), np.array([False, True]))
    assert found.values["recall"] == 0.5
    assert found.values["false_alarm_rate"] is None
    assert (found.primary, found.greater_is_better) == ("recall", True)


def test_worst_rows_and_the_curve() -> None:
    """By hand: an anomaly at a quarter of the threshold is worse than a false alarm at twice the threshold."""
    truth, scores = np.array([False, True, False, True]), np.array([2.0, 0.25, 0.5, 10.0])
    found = anomaly_scores(truth, scores, scores > 1)
    assert found.details is not None
    details = found.details()
    worst = [(one.position, one.truth, one.answer, one.loss, one.right) for one in details.worst]
    assert worst == [
        (1, "anomalous", "normal", 4.0, False),
        (0, "normal", "anomalous", 2.0, False),
        (2, "normal", "normal", 0.5, True),
        (3, "anomalous", "anomalous", 0.1, True),
    ]
    assert [(curve.label, curve.area) for curve in details.curves] == [("anomalous", found.values["roc_auc"])]
    none = anomaly_scores(np.zeros(2, bool), np.array([0.5, 2.0]), np.array([False, True])).details
    assert none is not None
    assert none().curves == ()


def detected(truth: np.ndarray, scores: np.ndarray, groups: list[str] | None = None) -> Evaluation:
    def of(rows: np.ndarray) -> Scores:
        return anomaly_scores(truth[rows], scores[rows], scores[rows] > 1)

    named = None if groups is None else {"site": np.array(groups, object)}
    every = np.arange(len(truth))
    return Evaluation.compare("anomaly", of(every), {}, fingerprint="f", groups=named, score_rows=of)


def test_three_anomalies_cannot_show_perfection_however_many_rows_are_normal() -> None:
    """By hand: Wilson's interval of 3 out of 3 begins at 1 / (1 + 1.96^2 / 3)."""
    truth = np.arange(1000) < 3
    evaluation = detected(truth, truth * 2.0)
    assert evaluation.scores["roc_auc"] == 1.0
    assert evaluation.interval == pytest.approx((0.43850, 1.0), abs=1e-4)
    assert "the rarer kind has 3 rows only, too few for the intervals of roc_auc" in str(evaluation)
    assert "too few" not in str(detected(TRUTH, SCORES))


def test_an_interval_of_an_area_ends_at_1() -> None:
    truth = np.arange(200) < 12
    scores = np.random.default_rng(1).normal(size=200) + 2.4 * truth
    per_row = anomaly_scores(truth, scores, scores > 1).per_row
    assert per_row.mean() + 1.96 * per_row.std() / np.sqrt(200) > 1.0
    assert detected(truth, scores).interval[1] == 1.0
    ends = [one.high for one in detected(truth, scores, ["a", "b"] * 100).groups[0].groups]
    assert max(ends) == 1.0


def test_a_group_with_one_anomaly_makes_no_other_look_served_worse() -> None:
    """Its area is 0 or 1 by that one row, and DeLong's variance of it may be 0."""
    generator = np.random.default_rng(2)
    truth = generator.random(400) < 0.2
    truth[:40] = np.arange(40) < 1
    scores = generator.normal(size=400) + 2.0 * truth
    scores[0] = 9.0
    grouping = detected(truth, scores, ["few"] * 40 + ["many"] * 360).groups[0]
    assert grouping.judged == ()
    assert grouping.verdict.endswith("that takes 30 rows, 10 of each kind in it and in the rest")
    truth[:40] = np.arange(40) < 10
    scores[:10] = 9.0
    few, many = sorted(
        detected(truth, scores, ["few"] * 40 + ["many"] * 360).groups[0].groups, key=lambda one: one.value
    )
    assert few.score == 1.0
    assert few.low == pytest.approx(1 / (1 + 1.959964**2 / 10), abs=1e-6)  # Wilson's, of 10 out of 10
    assert many.gap_low < 0 < many.gap_high
