"""Scores against scikit-learn's own functions, called one by one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from sklearn import metrics
from sklearn.calibration import calibration_curve

from maas.metrics import classification_scores, regression_scores

Values = np.ndarray[Any, Any]


def expected_calibration_error(truth: Values, probabilities: Values) -> float:
    """From scikit-learn's reliability curve and numpy's counts, in 15 bins of equal width."""
    confidence, right = probabilities.max(axis=1).astype(np.float64), probabilities.argmax(axis=1) == truth
    good, sure = calibration_curve(right, confidence, n_bins=15)
    count = np.histogram(-confidence, bins=-np.linspace(1, 0, 16))[0][::-1]  # (low, high], as scikit-learn's
    return float((np.abs(good - sure) * count[count > 0]).sum() / len(truth))


def answers(rows: int, classes: int, seed: int, dtype: str = "float64") -> tuple[Values, Values]:
    """Random truth, and probabilities that lean towards it."""
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, classes, rows)
    logits = generator.normal(size=(rows, classes)) + np.eye(classes)[truth]
    return truth, (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).astype(dtype)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("seed", [0, 1])
def test_two_classes_equal_scikit_learn(seed: int, dtype: str) -> None:
    truth, probabilities = answers(300, 2, seed, dtype)
    answer = probabilities[:, 1] > 0.5
    assert classification_scores(truth, probabilities, ["no", "yes"]).values == pytest.approx(
        {
            "accuracy": metrics.accuracy_score(truth, answer),
            "precision": metrics.precision_score(truth, answer),
            "recall": metrics.recall_score(truth, answer),
            "f1": metrics.f1_score(truth, answer),
            "roc_auc": metrics.roc_auc_score(truth, probabilities[:, 1]),
            "log_loss": metrics.log_loss(truth, probabilities[:, 1].astype(np.float64)),
            "ece": expected_calibration_error(truth, probabilities),
        },
        rel=1e-6,
    )


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("seed", [0, 1])
def test_four_classes_equal_scikit_learn(seed: int, dtype: str) -> None:
    truth, probabilities = answers(300, 4, seed, dtype)
    answer = probabilities.argmax(axis=1)
    exact = probabilities.astype(np.float64)
    exact /= exact.sum(axis=1, keepdims=True)
    assert classification_scores(truth, probabilities, list("abcd")).values == pytest.approx(
        {
            "accuracy": metrics.accuracy_score(truth, answer),
            "precision": metrics.precision_score(truth, answer, average="macro"),
            "recall": metrics.recall_score(truth, answer, average="macro"),
            "f1": metrics.f1_score(truth, answer, average="macro"),
            "roc_auc": metrics.roc_auc_score(truth, exact, multi_class="ovr"),
            "log_loss": metrics.log_loss(truth, exact),
            "ece": expected_calibration_error(truth, probabilities),
        },
        rel=1e-6,
    )


def test_a_class_absent_from_the_truth_leaves_the_mean_over_those_present() -> None:
    """scikit-learn's scores class by class, averaged over classes 0, 1 and 3 by numpy."""
    truth, probabilities = answers(300, 4, 0)
    truth, probabilities = truth[truth != 2], probabilities[truth != 2]
    answer = probabilities.argmax(axis=1)
    assert 2 in answer
    values = classification_scores(truth, probabilities, list("abcd")).values
    f1 = metrics.f1_score(truth, answer, average=None, labels=[0, 1, 2, 3])
    assert values["f1"] == pytest.approx(np.mean(f1[[0, 1, 3]]))
    assert values["roc_auc"] is None


@pytest.mark.parametrize("present", [0, 1])
def test_one_class_of_two_has_no_roc_auc(present: int) -> None:
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8]])
    values = classification_scores(np.array([present, present]), probabilities, ["no", "yes"]).values
    assert values["roc_auc"] is None
    assert (values["accuracy"], values["precision"], values["recall"]) == (0.5, present, present / 2)


def test_a_certain_and_wrong_answer_has_a_finite_log_loss() -> None:
    values = classification_scores(np.array([1]), np.array([[1.0, 0.0]]), ["no", "yes"]).values
    assert values["log_loss"] == pytest.approx(-math.log(1e-15))


def test_the_confusion_has_truth_by_row_and_every_class() -> None:
    truth, probabilities = np.array([0, 0, 2]), np.eye(4)[[0, 2, 2]]
    scores = classification_scores(truth, probabilities, list("abcd"))
    assert scores.confusion is not None
    assert scores.confusion.tolist() == [[1, 0, 1, 0], [0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    assert scores.labels == list("abcd")


def test_per_row_aggregates_to_the_primary_score() -> None:
    truth, probabilities = answers(50, 3, 0)
    scores = classification_scores(truth, probabilities, list("abc"))
    assert (scores.primary, scores.greater_is_better, scores.aggregate) == ("accuracy", True, "mean")
    assert scores.per_row.mean() == scores.values["accuracy"]
    assert set(scores.per_row) == {0.0, 1.0}


@pytest.mark.parametrize("seed", [0, 1])
def test_regression_equals_scikit_learn(seed: int) -> None:
    generator = np.random.default_rng(seed)
    truth = generator.normal(100, 20, 200)
    values = truth + generator.normal(0, 10, 200)
    scores = regression_scores(truth, values)
    assert scores.values == pytest.approx(
        {
            "mae": metrics.mean_absolute_error(truth, values),
            "rmse": metrics.root_mean_squared_error(truth, values),
            "r2": metrics.r2_score(truth, values),
        }
    )
    assert (scores.primary, scores.greater_is_better, scores.aggregate) == ("rmse", False, "root_mean")
    assert math.sqrt(scores.per_row.mean()) == pytest.approx(scores.values["rmse"])


def test_a_regression_of_one_row_has_no_r2() -> None:
    assert regression_scores(np.array([3.0]), np.array([5.0])).values == {"mae": 2.0, "rmse": 2.0, "r2": None}
