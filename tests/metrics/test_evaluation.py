"""A model beside its baselines, in words and in JSON."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest

from maas.metrics import Comparison, Evaluation, Scores, classification_scores, paired_bootstrap, regression_scores

Values = np.ndarray[Any, Any]
TRUTH = np.arange(200) % 3


def classified(rate: float, seed: int) -> Scores:
    """Scores of answers of which about this share is right."""
    generator = np.random.default_rng(seed)
    answer = np.where(generator.random(200) < rate, TRUTH, (TRUTH + 1) % 3)
    return classification_scores(TRUTH, np.eye(3)[answer] * 0.7 + 0.1, ["a", "b", "c"])


def regressed(noise: float, seed: int) -> Scores:
    truth = np.linspace(0, 10, 200)
    return regression_scores(truth, truth + np.random.default_rng(seed).normal(0, noise, 200))


def evaluated(model: Scores, **baselines: Scores) -> Evaluation:
    task = "classification" if model.labels else "regression"
    return Evaluation.compare(task, model, baselines, fingerprint="f" * 64, num_duplicates=4)


CLASSIFICATION = evaluated(classified(0.9, 0), majority=classified(0.3, 1), forest=classified(0.9, 2))
REGRESSION = evaluated(regressed(1.0, 0), mean=regressed(3.0, 1), forest=regressed(0.3, 2))


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.1, 0.3, "the network is better"),
        (-0.3, -0.1, "the baseline is better"),
        (-0.1, 0.3, "no difference shown"),
        (0.0, 0.3, "no difference shown"),
        (-0.3, 0.0, "no difference shown"),
        (0.0, 0.0, "no difference shown"),
    ],
)
def test_the_verdict_follows_the_interval(low: float, high: float, verdict: str) -> None:
    assert Comparison("forest", {}, (low + high) / 2, low, high).verdict == verdict


def test_a_classification_is_compared_by_accuracy() -> None:
    majority = CLASSIFICATION.baselines[0]
    assert (CLASSIFICATION.primary, CLASSIFICATION.num_rows, CLASSIFICATION.num_duplicates) == ("accuracy", 200, 4)
    model, baseline = classified(0.9, 0), classified(0.3, 1)
    assert majority.difference == pytest.approx(model.per_row.mean() - baseline.per_row.mean())
    assert (majority.low, majority.high) == paired_bootstrap(model.per_row, baseline.per_row)
    assert 0 < majority.low < majority.difference < majority.high


def test_a_lower_error_speaks_for_the_model() -> None:
    mean, forest = REGRESSION.baselines
    assert REGRESSION.primary == "rmse"
    assert REGRESSION.scores["rmse"] is not None
    assert mean.scores["rmse"] is not None
    assert mean.difference == pytest.approx(mean.scores["rmse"] - REGRESSION.scores["rmse"])
    assert 0 < mean.low < mean.difference < mean.high
    assert forest.low < forest.difference < forest.high < 0
    assert (mean.verdict, forest.verdict) == ("the network is better", "the baseline is better")


def test_a_model_compared_with_itself_shows_no_difference() -> None:
    same = evaluated(regressed(1.0, 0), same=regressed(1.0, 0)).baselines[0]
    assert (same.difference, same.low, same.high, same.verdict) == (0.0, 0.0, 0.0, "no difference shown")


@pytest.mark.parametrize("evaluation", [CLASSIFICATION, REGRESSION], ids=["classification", "regression"])
def test_the_text_has_a_line_and_a_verdict_for_each_baseline(evaluation: Evaluation) -> None:
    lines = str(evaluation).splitlines()
    assert lines[0] == f"200 test rows, {evaluation.task}; 4 of them stand among the training rows too"
    model = next(line for line in lines if line.startswith("this model"))
    assert model.split()[2:] == [f"{score:.4f}" for score in evaluation.scores.values()]
    assert sum("gain" in line and evaluation.primary in line and "95 % interval" in line for line in lines) == 1
    for baseline in evaluation.baselines:
        (verdict,) = [line for line in lines if baseline.name in line and line.endswith(f": {baseline.verdict}")]
        shown = [float(number) for number in re.findall(r"[+-]\d[\d.]*(?:e-?\d+)?", verdict)]
        assert shown == pytest.approx([baseline.difference, baseline.low, baseline.high], abs=1e-3)


def test_the_scores_of_a_target_in_a_small_unit_are_legible() -> None:
    truth = np.linspace(0, 1e-5, 50)
    model, mean = regression_scores(truth, truth + 1e-6), regression_scores(truth, np.full(50, truth.mean()))
    lines = str(evaluated(model, mean=mean)).splitlines()
    shown = next(line for line in lines if line.startswith("this model")).split()[2]
    assert float(shown) == pytest.approx(1e-6, rel=0.01)
    assert "+0.0000" not in lines[-1]


def test_the_text_shows_the_confusion() -> None:
    lines = str(CLASSIFICATION).splitlines()
    place = lines.index("truth by row, answer by column:")
    assert lines[place + 1].split() == ["a", "b", "c"]
    assert CLASSIFICATION.confusion is not None
    for line, label, counts in zip(lines[place + 2 : place + 5], "abc", CLASSIFICATION.confusion, strict=True):
        assert line.split() == [label, *map(str, counts)]
    assert "truth by row" not in str(REGRESSION)


def test_a_score_that_is_not_defined_is_a_dash() -> None:
    scores = classification_scores(np.array([0, 0]), np.array([[0.9, 0.1], [0.8, 0.2]]), ["no", "yes"])
    line = str(evaluated(scores)).splitlines()[2]
    assert line.split() == [
        "this",
        "model",
        "1.0000",
        "0.0000",
        "0.0000",
        "0.0000",
        "-",
        "0.1643",  # -mean(ln .9, ln .8)
        "0.1500",  # mean(1 - .9, 1 - .8)
    ]


@pytest.mark.parametrize("evaluation", [CLASSIFICATION, REGRESSION], ids=["classification", "regression"])
def test_json_round_trip_gives_an_equal_evaluation(evaluation: Evaluation) -> None:
    assert Evaluation.from_json(json.loads(json.dumps(evaluation.to_json()))) == evaluation
