"""What charts are drawn from, against scikit-learn and numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn import metrics

from maas.metrics import Evaluation, Scores, classification_scores, forecast_scores, regression_scores

Values = np.ndarray[Any, Any]


def details(scores: Scores) -> Any:
    assert scores.details is not None
    return scores.details()


def answered(rows: int, classes: int) -> tuple[Values, Values]:
    generator = np.random.default_rng(0)
    truth = generator.integers(0, classes, rows)
    logits = generator.normal(size=(rows, classes)) + 2 * np.eye(classes)[truth]
    return truth, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def test_two_classes_have_one_curve() -> None:
    """Of few rows every point of scikit-learn's curves is kept."""
    truth, probabilities = answered(60, 2)
    (curve,) = details(classification_scores(truth, probabilities, ["no", "yes"])).curves
    false, true, _ = metrics.roc_curve(truth, probabilities[:, 1])
    precision, recall, _ = metrics.precision_recall_curve(truth, probabilities[:, 1])
    assert (curve.label, curve.share) == ("yes", truth.mean())
    assert curve.roc == pytest.approx(np.stack([false, true], axis=1))
    assert curve.precision_recall == pytest.approx(np.stack([recall, precision], axis=1)[::-1])
    assert curve.area == pytest.approx(metrics.roc_auc_score(truth, probabilities[:, 1]))
    assert curve.average_precision == pytest.approx(metrics.average_precision_score(truth, probabilities[:, 1]))


def test_a_thinned_curve_has_few_points_of_the_whole_and_its_area() -> None:
    truth, probabilities = answered(5000, 3)
    curves = details(classification_scores(truth, probabilities, list("abc"))).curves
    assert [curve.label for curve in curves] == ["a", "b", "c"]
    for place, curve in enumerate(curves):
        false, true, _ = metrics.roc_curve(truth == place, probabilities[:, place])
        whole = {tuple(point) for point in np.stack([false, true], axis=1).tolist()}
        assert 50 <= len(curve.roc) <= 200
        assert whole >= {tuple(point) for point in curve.roc.tolist()}
        assert (curve.roc[0].tolist(), curve.roc[-1].tolist()) == ([0.0, 0.0], [1.0, 1.0])
        assert metrics.auc(*curve.roc.T) == pytest.approx(curve.area, abs=2e-3)
        assert len(curve.precision_recall) <= 200


def test_a_class_without_rows_and_more_than_ten_classes_have_no_curve() -> None:
    truth, probabilities = answered(100, 3)
    curves = details(classification_scores(np.minimum(truth, 1), probabilities, list("abc"))).curves
    assert [curve.label for curve in curves] == ["a", "b"]
    assert details(classification_scores(*answered(300, 11), list("abcdefghijk"))).curves == ()


def test_the_worst_rows_of_a_classification_have_the_largest_cross_entropy() -> None:
    truth, probabilities = answered(100, 3)
    worst = details(classification_scores(truth, probabilities, list("abc"))).worst
    loss = -np.log(probabilities[np.arange(100), truth])
    assert [one.position for one in worst] == np.argsort(-loss)[:12].tolist()
    assert [one.loss for one in worst] == pytest.approx(np.sort(loss)[::-1][:12])
    first = worst[0]
    assert first.truth == "abc"[truth[first.position]]
    assert first.answer == "abc"[probabilities[first.position].argmax()]
    assert first.confidence == pytest.approx(probabilities[first.position].max())
    assert [one.right for one in worst] == [one.truth == one.answer for one in worst]


def test_a_regression() -> None:
    generator = np.random.default_rng(0)
    truth = generator.normal(size=800)
    values = truth + generator.normal(size=800)
    found = details(regression_scores(truth, values))
    assert found.pairs.shape == (500, 2)
    assert {tuple(pair) for pair in found.pairs} <= set(zip(truth, values, strict=True))
    counts, edges = found.residuals
    assert counts.tolist() == np.histogram(values - truth, edges)[0].tolist()
    assert counts.sum() == 800
    assert found.worst[0].loss == np.abs(values - truth).max()


@pytest.mark.parametrize("off", [0.0, 1e-6, 1e150])
def test_residuals_that_do_not_differ_still_have_bins(off: float) -> None:
    found = details(regression_scores(np.zeros(40), np.full(40, off) * (1 + 1e-16 * np.arange(40))))
    assert found.residuals[0].sum() == 40


def test_a_forecast_has_the_error_of_each_step_beside_its_baselines() -> None:
    truth = np.zeros((20, 3, 2))
    values = np.broadcast_to(np.array([1.0, 2.0, 3.0])[:, None], truth.shape)
    baseline = forecast_scores(truth, truth + 5)
    evaluation = Evaluation.compare(
        "forecast", forecast_scores(truth, values), {"last value": baseline}, fingerprint="f"
    )
    assert evaluation.details is not None
    assert {name: one.tolist() for name, one in evaluation.details.steps.items()} == {
        "this model": [1.0, 2.0, 3.0],
        "last value": [5.0, 5.0, 5.0],
    }
    assert evaluation.details.worst[0].loss == pytest.approx(np.sqrt(14 / 3))


def test_details_are_not_stored() -> None:
    evaluation = Evaluation.compare("regression", regression_scores(np.arange(9.0), np.ones(9)), {}, fingerprint="f")
    assert evaluation.details is not None
    assert "details" not in evaluation.to_json()
    assert Evaluation.from_json(evaluation.to_json()).details is None
