"""The threshold of two classes: said, chosen by validation rows, stored, and followed by the scores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn import metrics

import maas
from maas import task
from maas.data import Rows
from maas.data._cells import as_objects
from maas.errors import DataError, FormatError
from maas.schema import Field, Schema
from maas.task import Classification

ONE_FIELD = Schema((Field("x", "numeric", "number"),))


def test_the_second_class_is_answered_above_the_threshold() -> None:
    probabilities = np.array([[0.8, 0.2], [0.7, 0.3], [0.1, 0.9], [0.5, 0.5]], np.float32)
    for threshold, labels in ((0.5, "nnyn"), (0.25, "nyyy"), (0.0, "yyyy"), (1.0, "nnnn"), (0.9, "nnnn")):
        found = Classification(("n", "y"), threshold).answers(probabilities)
        assert "".join(found["label"]) == labels, threshold
        assert found["probabilities"] is probabilities


@pytest.mark.parametrize("criterion", ["f1", "youden", "accuracy"])
def test_a_threshold_is_chosen_by_the_rows_it_is_shown(criterion: str) -> None:
    """Reference: scikit-learn's scores at every threshold that parts the rows otherwise."""
    generator = np.random.default_rng(0)
    truth = generator.random(80) < 0.15
    second = np.clip(generator.normal(0.3 + 0.3 * truth, 0.2), 0.01, 0.99).astype(np.float32)
    learned = Classification.with_options(threshold=criterion).learn(as_objects(["n", "y"]))
    assert not learned.is_settled
    settled = learned.settle(
        learned.answers(np.stack([1 - second, second], 1)), np.where(truth, "y", "n").astype(object)
    )
    assert settled.is_settled
    score = {
        "f1": metrics.f1_score,
        "accuracy": metrics.accuracy_score,
        "youden": metrics.balanced_accuracy_score,
    }[criterion]
    best = max(score(truth, second > one) for one in [0.0, *second])
    assert score(truth, second > settled.threshold) == pytest.approx(best)
    state = json.loads(json.dumps(settled.state()[0]))
    assert state == {"classes": ["n", "y"], "threshold": settled.threshold, "chosen_by": criterion}
    assert Classification.from_state(state, {}) == settled


def test_rows_of_one_class_leave_the_threshold_where_it_is() -> None:
    learned = Classification.with_options(threshold="f1").learn(as_objects(["n", "y"]))
    with pytest.warns(
        UserWarning, match="the validation rows are all of one class, which chooses no threshold: it stays"
    ):
        settled = learned.settle(learned.answers(np.full((3, 2), 0.5)), as_objects(["n", "n", "n"]))
    assert (settled.threshold, settled.is_settled) == (0.5, True)


def test_scores_follow_the_threshold_and_ranks_do_not() -> None:
    """By hand: at 0.5 one of two is found, at 0.2 both, with one false alarm."""
    probabilities = np.array([[0.9, 0.1], [0.7, 0.3], [0.75, 0.25], [0.2, 0.8]])
    truth = as_objects(["n", "n", "y", "y"])
    half, low = (Classification(("n", "y"), one) for one in (0.5, 0.2))
    one, other = (learned.score(learned.answers(probabilities), truth) for learned in (half, low))
    assert (one.values["recall"], one.values["precision"]) == (0.5, 1.0)
    assert (other.values["recall"], other.values["precision"]) == (1.0, pytest.approx(2 / 3))
    assert other.confusion.tolist() == [[1, 1], [0, 2]]
    assert one.values["roc_auc"] == other.values["roc_auc"]
    assert one.values["log_loss"] == other.values["log_loss"]


@pytest.mark.parametrize("threshold", [0.3, "f1"])
def test_a_threshold_is_for_two_classes(threshold: float | str) -> None:
    with pytest.raises(DataError, match="`threshold` is for two classes, got 3: a, b, c; leave it out"):
        Classification.with_options(threshold=threshold).learn(as_objects(["a", "b", "c"]))


@pytest.mark.parametrize(
    "change",
    [
        {"threshold": "0.5"},
        {"threshold": None},
        {"threshold": True},
        {"threshold": -0.1},
        {"threshold": float("nan")},
        {"threshold": [0.5]},
        {"chosen_by": "os.system"},
        {"chosen_by": 1},
        {"classes": ["a", "b", "c"], "threshold": 0.3},
    ],
)
def test_a_hostile_threshold_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(FormatError, match="threshold"):
        task.from_state("classification", {"classes": ["a", "b"], **change}, {}, ONE_FIELD)


def test_a_state_without_a_threshold_has_a_half() -> None:
    """As artifacts of before have it."""
    assert task.from_state("classification", {"classes": ["a", "b"]}, {}, ONE_FIELD) == Classification(("a", "b"))
    assert Classification(("a", "b")).state()[0] == {"classes": ["a", "b"]}


def test_a_chosen_threshold_the_whole_way(cancer_split: tuple[Rows, Rows], tmp_path: Path) -> None:
    train, test = cancer_split
    model = maas.fit(
        maas.recipe(maas.nn.MLP, hidden=(8,)),
        train,
        task=Classification.with_options(threshold="youden"),
        epochs=4,
        learning_rate=0.01,
        device="cpu",
        progress=False,
    )
    assert model.task.threshold != 0.5
    assert model.card["training"]["settled"] == model.task.state()[0]
    evaluation = model.evaluate(test, baselines_from=train)
    truth, answers = (test.target == "malignant").astype(int), model.predict(test)
    found = (answers["label"] == "malignant").astype(int)
    assert found.tolist() == (answers["probabilities"][:, 1].astype(np.float64) > model.task.threshold).tolist()
    assert evaluation.scores["f1"] == pytest.approx(metrics.f1_score(truth, found))
    assert evaluation.scores["roc_auc"] == pytest.approx(metrics.roc_auc_score(truth, answers["probabilities"][:, 1]))
    loaded = maas.load(model.save(tmp_path / "m", evaluation=evaluation))
    assert loaded.predict(test).to_dicts() == answers.to_dicts()
    assert loaded.task == model.task
    again = loaded.evaluate(test, baselines_from=train)
    assert again == evaluation  # the baselines choose thresholds of their own, the same each time


def test_validation_rows_are_needed_to_choose_by(cancer_split: tuple[Rows, Rows]) -> None:
    with pytest.raises(DataError, match="this classification chooses by validation rows: give `valid"):
        maas.fit(
            maas.recipe(maas.nn.MLP),
            cancer_split[0],
            validation=0,
            keep="last",
            task=Classification.with_options(threshold="f1"),
            device="cpu",
        )
