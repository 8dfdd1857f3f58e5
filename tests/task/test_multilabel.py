"""maas.task.MultiLabel: loss against torch, thresholds, answers, stored state, the whole way through fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import torch
from sklearn import metrics
from torch.nn import functional as F

import maas
from maas import task
from maas.data import Rows, read_table, read_texts
from maas.errors import DataError, FormatError
from maas.schema import Field, Schema
from maas.task import Batch, MultiLabel

ONE_FIELD = Schema((Field("x", "numeric", "number"),))


def _sets(*rows: Any) -> np.ndarray[Any, Any]:
    array = np.empty(len(rows), object)
    array[:] = [tuple(row) for row in rows]
    return array


def _table(rows: int = 240, seed: int = 0) -> pandas.DataFrame:
    """Two numbers; "warm" and "cold" by the first, "wet" by the second; every row is "here"."""
    x = np.random.default_rng(seed).normal(size=(rows, 2))
    return pandas.DataFrame(
        {"a": x[:, 0], "b": x[:, 1], "warm": x[:, 0] > 0.5, "cold": x[:, 0] < -0.5, "wet": x[:, 1] > 1, "here": True}
    )


LABELS = ["warm", "cold", "wet", "here"]


@pytest.fixture(scope="module")
def fitted() -> tuple[maas.Model, Rows, Rows]:
    train, test = read_table(_table(), target=LABELS).split(0.25, seed=0)
    chosen = MultiLabel.with_options(threshold="f1", positive_weights="balanced")
    recipe = maas.recipe(maas.nn.MLP, hidden=(16,))
    with pytest.warns(
        UserWarning, match="1 of 4 labels, such as 'here', stand in none or in all of the validation rows"
    ):
        model = maas.fit(recipe, train, task=chosen, epochs=15, learning_rate=0.02, device="cpu", progress=False)
    return model, train, test


def test_loss_of_each_row() -> None:
    """Reference: torch's binary cross entropy, label by label."""
    learned = MultiLabel(("p", "q", "r"), (0.5,) * 3)
    target = learned.encode(_sets("p", "", "pqr"))
    assert target.tolist() == [[1, 0, 0], [0, 0, 0], [1, 1, 1]]
    x = torch.randn(3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = learned.loss(_Same(), Batch({"x": x}, target))
    wanted = F.binary_cross_entropy(torch.sigmoid(x), target.double(), reduction="none").mean(dim=1)
    assert torch.allclose(found, wanted, rtol=1e-12)


def test_balanced_weights_are_rows_without_over_rows_with() -> None:
    """Reference: torch's `pos_weight`; by hand: p 1 of 4, q 2 of 4, r in all of them."""
    target = _sets("pqr", "qr", "r", "r")
    learned = MultiLabel.with_options(positive_weights="balanced").learn(target)
    assert learned.positive_weights == (3.0, 1.0, 0.25)
    x = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    hot = learned.encode(target)
    wanted = torch.nn.BCEWithLogitsLoss(reduction="none", pos_weight=torch.tensor([3.0, 1.0, 0.25]))(x, hot).mean(dim=1)
    assert torch.allclose(learned.loss(_Same(), Batch({"x": x}, hot)), wanted)


class _Same(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def test_answers_are_the_labels_above_their_threshold() -> None:
    learned = MultiLabel(("p", "q"), (0.2, 0.5))
    answers = learned.answers(np.array([[0.25, 0.5], [0.1, 0.75], [0.0, 0.0]], np.float32))
    assert json.loads(json.dumps(answers.to_dicts())) == [
        {"labels": ["p"], "probabilities": {"p": 0.25, "q": 0.5}},
        {"labels": ["q"], "probabilities": {"p": pytest.approx(0.1), "q": 0.75}},
        {"labels": [], "probabilities": {"p": 0.0, "q": 0.0}},
    ]


def test_thresholds_are_chosen_label_by_label() -> None:
    """Reference: scikit-learn's F1 of each label at every threshold."""
    generator = np.random.default_rng(0)
    truth = generator.random((100, 3)) < [0.1, 0.5, 0.8]
    probabilities = np.clip(generator.normal(0.3 + 0.3 * truth, 0.2), 0.01, 0.99)
    learned = MultiLabel.with_options(threshold="f1").learn(_sets("pqr"))
    assert not learned.is_settled
    settled = learned.settle(
        learned.answers(probabilities),
        _sets(*([name for name, has in zip("pqr", row, strict=True) if has] for row in truth)),
    )
    assert settled.is_settled
    for place, threshold in enumerate(settled.thresholds):
        scores = [metrics.f1_score(truth[:, place], probabilities[:, place] > one) for one in probabilities[:, place]]
        assert metrics.f1_score(truth[:, place], probabilities[:, place] > threshold) >= max(scores) - 1e-12


def test_scores_count_a_label_that_training_lacked_as_missed() -> None:
    """By hand: 3 labels of 4 found, none wrongly: F1 = 6 / 7."""
    learned = MultiLabel(("p", "q"), (0.5, 0.5))
    answers = learned.answers(np.array([[0.9, 0.1], [0.9, 0.9]]))
    scores = learned.score(answers, _sets("p", "pqz"))
    assert scores.values["micro_f1"] == pytest.approx(6 / 7)
    by_label = learned.score_by_label(answers, _sets("p", "pqz"))
    assert list(by_label) == ["p", "q", "z"]
    assert (by_label["z"]["recall"], by_label["p"]["recall"]) == (0.0, 1.0)


def test_what_cannot_be_learned_is_refused() -> None:
    with pytest.raises(DataError, match="no row has a label in the target 'tags': there is nothing to learn"):
        MultiLabel.learn(_sets("", ""), "tags")
    with pytest.raises(DataError, match="label 'z' was not among the training rows' labels: p, q; remove it"):
        MultiLabel(("p", "q"), (0.5, 0.5)).encode(_sets("p", "z"))
    plain = np.array(["a", "b"], object)
    with pytest.raises(DataError, match="the target 'kind' must hold the labels of each row; read it with task='multi"):
        MultiLabel.learn(plain, "kind")
    with pytest.raises(DataError, match="`positive_weights` must be \"balanced\" or None, got 'even'"):
        MultiLabel.with_options(positive_weights="even")
    with pytest.raises(
        DataError, match="`threshold` must be a number from 0 to 1 or one of f1, youden, accuracy, got 'f2'"
    ):
        MultiLabel.with_options(threshold="f2")


def test_state_round_trip() -> None:
    learned = MultiLabel(("p", "q"), (0.25, 0.5), "f1")
    state, arrays = learned.state()
    assert task.from_state("multilabel", json.loads(json.dumps(state)), arrays, ONE_FIELD) == learned


GOOD = {"classes": ["p", "q"], "thresholds": [0.5, 0.5], "chosen_by": None}


@pytest.mark.parametrize(
    "change",
    [
        {"classes": []},
        {"classes": "pq"},
        {"classes": ["p", 1]},
        {"classes": ["p", "p"]},
        {"classes": ["p"]},
        {"thresholds": [0.5]},
        {"thresholds": 0.5},
        {"thresholds": [0.5, "0.5"]},
        {"thresholds": [0.5, 1.5]},
        {"thresholds": [0.5, float("nan")]},
        {"thresholds": [0.5, True]},
        {"chosen_by": "eval"},
        {"chosen_by": ["f1"]},
    ],
)
def test_a_state_that_it_did_not_write_is_refused(change: dict[str, Any]) -> None:
    assert task.from_state("multilabel", GOOD, {}, ONE_FIELD)
    with pytest.raises(FormatError):
        task.from_state("multilabel", {**GOOD, **change}, {}, ONE_FIELD)


def test_the_whole_way(fitted: tuple[maas.Model, Rows, Rows], tmp_path: Path) -> None:
    model, train, test = fitted
    assert model.task.classes == ("cold", "here", "warm", "wet")
    assert model.task.thresholds[1] == 0.5
    assert model.card["training"]["settled"] == model.task.state()[0]
    evaluation = model.evaluate(test, baselines_from=train)
    assert evaluation.scores["micro_f1"] > 0.9
    names = [one.name for one in evaluation.baselines]
    assert names == ["share of each label", "logistic regression", "boosted trees"]
    loaded = maas.load(model.save(tmp_path / "m", evaluation=evaluation))
    assert loaded.predict(test).to_dicts() == model.predict(test).to_dicts()
    assert loaded.predict_proba(test).shape == (len(test), 4)
    assert loaded.task == MultiLabel(model.task.classes, model.task.thresholds, "f1")


def test_validation_rows_of_labels_that_training_lacks_are_left_out() -> None:
    table = _table(40).drop(columns="here")
    table["once"] = [row == 3 for row in range(40)]
    rows = read_table(table, target=["warm", "cold", "wet", "once"])
    for seed in range(12):  # in some the one row is a validation row
        model = maas.fit(maas.recipe(maas.nn.MLP, hidden=()), rows, seed=seed, epochs=1, device="cpu", progress=False)
        assert model.card["data"]["num_validation_rows"] in (3, 4)
        assert ("once" in model.task.classes) == (model.card["data"]["num_validation_rows"] == 4)


def test_the_baseline_of_texts() -> None:
    texts = ["sunny and dry", "rain all day", "sun then rain", "dry wind"] * 6
    labels = [["sun"], ["rain"], ["sun", "rain"], []] * 6
    rows = read_texts((texts, labels))
    found = MultiLabel.learn(rows.target).baselines(rows.schema, rows.columns, rows.target, rows.columns)
    assert [one["labels"] for one in found["TF-IDF + logistic regression"]][:3] == [["sun"], ["rain"], ["rain", "sun"]]


def test_an_explanation_is_about_the_likeliest_label_or_the_one_asked_for() -> None:
    task = MultiLabel(("a", "b", "c"), (0.5, 0.5, 0.5))
    outputs = torch.tensor([[0.0, 2.0, 1.0], [-1.0, -3.0, -2.0]])
    weights, labels = task.aim(outputs)
    assert (weights.tolist(), labels) == ([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]], ["b", "a"])
    weights, labels = task.aim(outputs, "c")
    assert (weights.tolist(), labels) == ([[0.0, 0.0, 1.0]] * 2, ["c", "c"])
    with pytest.raises(DataError, match="`label` must be one of a, b, c, got 'd'"):
        task.aim(outputs, "d")
