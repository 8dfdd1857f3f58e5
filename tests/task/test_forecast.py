"""maas.task.Forecast: its encoding, loss, answers, scores and baselines."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import RidgeCV
from torch import nn

import maas
from maas import task
from maas.data import Rows, windows
from maas.errors import DataError, FormatError
from maas.metrics import Evaluation
from maas.schema import Field, Schema
from maas.task import Answers, Batch, Forecast

ONE_FIELD = Schema((Field("x", "numeric", "number"),))

TARGET = np.array([[[1.0, 10.0], [2.0, 30.0]], [[3.0, 20.0], [4.0, 40.0]], [[5.0, 0.0], [9.0, 20.0]]])


class Named(nn.Linear):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x)


def wave(length: int = 300) -> np.ndarray[Any, Any]:
    return np.sin(np.arange(length) / 5) + np.random.default_rng(0).normal(0, 0.1, length)


@pytest.mark.parametrize(("target", "outputs"), [(TARGET, 4), (TARGET[:, :, 0], 2)], ids=["channels", "one"])
def test_learns_mean_and_deviation_of_each_channel(target: np.ndarray[Any, Any], outputs: int) -> None:
    """Reference: numpy's mean and population deviation over rows and steps."""
    learned = Forecast.learn(target)
    np.testing.assert_allclose(learned.mean, target.mean(axis=(0, 1)))
    np.testing.assert_allclose(learned.scale, target.std(axis=(0, 1)))
    assert learned.num_outputs == outputs
    encoded = learned.encode(target)
    assert encoded.dtype == torch.float32
    assert encoded.shape == target.shape


def test_loss_is_the_mean_squared_error_of_each_row() -> None:
    """Reference: torch.nn.functional.mse_loss, row by row."""
    learned, network = Forecast.learn(TARGET), Named(3, 4)
    x = torch.randn(3, 3, generator=torch.Generator().manual_seed(0))
    target = learned.encode(TARGET)
    loss = learned.loss(network, Batch({"x": x}, target))
    wanted = [nn.functional.mse_loss(network(x)[row], target[row].flatten()).item() for row in range(3)]
    assert loss.tolist() == pytest.approx(wanted)


def test_answers_are_in_the_targets_own_unit() -> None:
    learned, network = Forecast(2, np.array([0.0, 100.0]), np.array([1.0, 10.0])), Named(3, 4)
    x = torch.randn(3, 3, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        answers = learned.join(learned.run(network, Batch({"x": x})))
        wanted = network(x).double().numpy().reshape(3, 2, 2) * [1, 10] + [0, 100]
    np.testing.assert_array_equal(answers["values"], wanted)
    assert answers[0] == {"values": wanted[0].tolist()}


def test_scores_follow_from_the_answers() -> None:
    """By hand: errors 1, -1, 2, 0 in two rows of two steps; half of the last value's error is a skill of 0.5."""
    truth = np.array([[1.0, 2.0], [3.0, 4.0]])
    values = truth + np.array([[1, -1], [2, 0]])
    learned = Forecast.learn(truth)
    scores = learned.score(Answers({"values": values}), truth)
    assert scores.values == {"mae": 1.0, "rmse": pytest.approx(math.sqrt(6 / 4)), "skill": None}
    others = {"last value": learned.score(Answers({"values": truth + 2 * (values - truth)}), truth)}
    compared = Evaluation.compare("forecast", scores, others, fingerprint="")
    assert compared.scores["skill"] == pytest.approx(0.5)
    assert compared.baselines[0].scores["skill"] == 0.0
    assert "skill" in str(compared)


def test_baselines_are_the_last_value_the_mean_and_a_ridge() -> None:
    """Reference: the window's last step, and scikit-learn's RidgeCV on standardised windows."""
    series = np.stack([wave() * 3 + 50, wave()[::-1], np.arange(300.0)], axis=1)
    train, test = windows(series, window=12, horizon=3, target=[1, 0]).split()
    assert train.target is not None
    found = Forecast.learn(train.target).baselines(train.schema, train.columns, train.target, test.columns)
    assert list(found) == ["last value", "mean", "ridge regression"]
    last = test.columns["sequence"][:, -1:, [1, 0]]
    np.testing.assert_array_equal(found["last value"]["values"], np.repeat(last, 3, axis=1))
    np.testing.assert_allclose(found["mean"]["values"][0, 0], train.target.mean(axis=(0, 1)))
    flat, asked = (part.columns["sequence"].reshape(-1, 36) for part in (train, test))
    mean, scale = flat.mean(0), flat.std(0)
    ridge = RidgeCV(np.logspace(-3, 3, 13)).fit((flat - mean) / scale, train.target.reshape(-1, 6))
    wanted = ridge.predict((asked - mean) / scale).reshape(-1, 3, 2)
    np.testing.assert_allclose(found["ridge regression"]["values"], wanted, rtol=1e-6)


@pytest.mark.parametrize("several", [False, True])
def test_it_goes_from_fit_to_a_stored_model(several: bool, tmp_path: Path) -> None:
    series = np.stack([wave(), np.cos(np.arange(300) / 5)], axis=1)
    train, test = windows(series, window=16, horizon=4, target=None if several else 0).split()
    recipe = maas.recipe(maas.nn.RNN, hidden_size=16)
    model = maas.fit(recipe, train, epochs=12, learning_rate=0.01, device="cpu", progress=False)
    evaluation = model.evaluate(test, baselines_from=train)
    assert evaluation.scores["skill"] is not None
    assert evaluation.scores["skill"] > 0.5
    assert [one.name for one in evaluation.baselines] == ["last value", "mean", "ridge regression"]
    loaded = maas.load(model.save(tmp_path / "forecast", evaluation=evaluation))
    np.testing.assert_array_equal(loaded.predict(test)["values"], model.predict(test)["values"])
    assert np.shape(loaded.predict(test.to_dicts()[0])["values"]) == ((4, 2) if several else (4,))


def test_a_window_of_the_wrong_length_is_refused() -> None:
    rows = windows(wave(60), window=8, horizon=2)
    model = maas.fit(maas.recipe(maas.nn.RNN, hidden_size=4), rows, epochs=1, device="cpu", progress=False)
    with pytest.raises(DataError, match="field 'sequence' must be 8 x 1 numbers, got list of 7"):
        model.predict({"sequence": [[0.0]] * 7})


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (np.ones((3, 2)), "the target 'sales' is the same at every step: there is nothing to learn"),
        (np.arange(3.0), r"the target 'sales' of a forecast has the shape \(rows, horizon\) .*, got \(3,\)"),
        (np.array([[1.0, np.nan]]), "the target 'sales' of a forecast must be finite numbers"),
        (np.array([["a", "b"]], object), "the target 'sales' of a forecast must be numbers: could not convert"),
        (np.array([[1e308, 1.7e308], [-1e308, 1.7e308]]), "holds numbers too large to standardise"),
    ],
)
def test_a_target_that_cannot_be_learned_is_named(target: np.ndarray[Any, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Forecast.learn(target, "sales")


def test_another_horizon_cannot_be_scored() -> None:
    with pytest.raises(DataError, match=r"has the shape \(2, 2\) a row, got \(2,\)"):
        Forecast.learn(TARGET).encode(TARGET[:, :, 0])


@pytest.mark.parametrize("target", [TARGET, TARGET[:, :, 0]], ids=["channels", "one"])
def test_state_round_trip(target: np.ndarray[Any, Any]) -> None:
    learned = Forecast.learn(target)
    state, arrays = learned.state()
    rebuilt = task.from_state("forecast", json.loads(json.dumps(state)), arrays, ONE_FIELD)
    assert torch.equal(rebuilt.encode(target), learned.encode(target))
    assert rebuilt.num_outputs == learned.num_outputs


@pytest.mark.parametrize(
    "change",
    [
        {"horizon": 0},
        {"horizon": True},
        {"horizon": 10**9},
        {"mean": np.zeros(3)},
        {"mean": np.zeros((2, 1)), "scale": np.ones((2, 1))},
        {"mean": np.zeros(0), "scale": np.zeros(0)},
        {"scale": np.zeros(2)},
        {"scale": np.ones(2, np.float32)},
        {"mean": np.full(2, np.inf)},
    ],
    ids=str,
)
def test_a_state_that_it_did_not_write_is_refused(change: dict[str, Any]) -> None:
    state, arrays = Forecast.learn(TARGET).state()
    with pytest.raises(FormatError, match="a forecast's"):
        Forecast.from_state({**state, **change}, {**arrays, **change})


def test_rows_of_a_forecast_have_digests_and_a_fingerprint() -> None:
    rows = windows(wave(60), window=8, horizon=2)
    other = Rows(**{**vars(rows), "target": rows.target + 1.0})
    assert rows.fingerprint() != other.fingerprint()
    assert len(rows.drop_duplicates()) == len(rows)
