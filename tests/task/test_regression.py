"""maas.task.Regression, its loss and answers against torch.nn.functional and numpy."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from maas import task
from maas.errors import DataError, FormatError
from maas.schema import Field, Schema
from maas.task import Answers, Batch, Regression

ONE_FIELD = Schema((Field("x", "numeric", "number"),))

TARGET = np.array([10.0, 30.0, 20.0, 60.0])


class Named(nn.Linear):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x)


def test_learns_mean_and_deviation() -> None:
    """Reference: numpy's mean and population deviation."""
    learned = task.Regression.learn(TARGET)
    assert learned == Regression(float(TARGET.mean()), float(TARGET.std()))
    assert learned.num_outputs == 1
    encoded = learned.encode(TARGET)
    assert encoded.dtype == torch.float32
    assert encoded.mean().item() == pytest.approx(0, abs=1e-6)
    assert encoded.std(unbiased=False).item() == pytest.approx(1, rel=1e-6)


def test_loss_is_the_squared_error_of_each_row() -> None:
    """Reference: torch.nn.functional.mse_loss, row by row."""
    learned, network = Regression.learn(TARGET), Named(3, 1)
    x = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    target = learned.encode(TARGET)
    loss = learned.loss(network, Batch({"x": x}, target))
    wanted = F.mse_loss(network(x)[:, 0], target, reduction="none")
    assert loss.shape == (4,)
    assert torch.equal(loss, wanted)


def test_answers_are_in_the_targets_own_unit() -> None:
    learned, network = Regression(mean=100.0, scale=10.0), Named(3, 1)
    x = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        answers = learned.join(learned.run(network, Batch({"x": x})))
        wanted = network(x)[:, 0].double().numpy() * 10 + 100
    np.testing.assert_array_equal(answers["value"], wanted)
    assert answers.to_dicts() == [{"value": value} for value in wanted.tolist()]


def test_scores_follow_from_the_answers() -> None:
    """By hand: errors 1, -1, 0, 4; squares sum to 18; the target's squared deviations from 30 to 1400."""
    scores = Regression().score(Answers({"value": TARGET + np.array([1, -1, 0, 4])}), TARGET)
    assert scores.values["mae"] == pytest.approx(1.5)
    assert scores.values["rmse"] == pytest.approx(math.sqrt(18 / 4))
    assert scores.values["r2"] == pytest.approx(1 - 18 / 1400)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (np.array([3.0, 3.0, 3.0]), "the target 'price' is 3 in every row: there is nothing to learn"),
        (np.array([1.0, np.nan]), "the target 'price' of a regression must be finite numbers"),
        (np.array([1.0, np.inf]), "the target 'price' of a regression must be finite numbers"),
        (np.array(["a", "b"], object), "the target 'price' of a regression must be numbers: could not convert"),
    ],
)
def test_a_target_that_cannot_be_learned_is_named(target: np.ndarray[Any, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Regression.learn(target, "price")


def test_scoring_refuses_a_truth_that_is_not_finite() -> None:
    with pytest.raises(DataError, match="must be finite numbers"):
        Regression().score(Answers({"value": TARGET}), np.array([1.0, np.nan, 2.0, 3.0]))


def test_answers_that_are_not_finite_are_told() -> None:
    assert Answers({"value": np.array([1.0, np.nan, -np.inf])}).finite().tolist() == [True, False, False]


@pytest.mark.parametrize("learned", [Regression(), Regression(1.5, 2.0), Regression(-1e300, 5e-324)])
def test_state_round_trip(learned: Regression) -> None:
    state, arrays = learned.state()
    assert task.from_state("regression", json.loads(json.dumps(state)), arrays, ONE_FIELD) == learned


@pytest.mark.parametrize(
    ("mean", "scale"),
    [(0.0, 0.0), (0.0, -1.0), (0.0, math.inf), (math.nan, 1.0), ("0", 1.0), (0.0, True), (None, 1.0), ([0.0], 1.0)],
)
def test_a_state_that_it_did_not_write_is_refused(mean: Any, scale: Any) -> None:
    with pytest.raises(FormatError, match="a regression's mean and scale must be finite numbers"):
        task.from_state("regression", {"mean": mean, "scale": scale}, {}, ONE_FIELD)


def test_an_explanation_is_in_the_targets_own_unit() -> None:
    learned = Regression(3.0, 2.5)
    weights, labels = learned.aim(torch.zeros(2, 1))
    assert (weights.tolist(), labels) == ([[2.5]] * 2, [None, None])
    with pytest.raises(DataError, match="a regression has no labels to explain, got `label` 'up'; leave it out"):
        learned.aim(torch.zeros(2, 1), "up")
