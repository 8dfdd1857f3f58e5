"""maas.fit: what it learns, from which rows, and what it refuses."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import torch
import torchvision
from torch import nn
from torch.utils.data import Dataset, TensorDataset

import maas
from maas.data import Rows, from_arrays, read_table, write_sample
from maas.errors import DataError, MaasError, RecipeError
from maas.task import Batch, Classification, task
from maas.training import Schedule
from maas.training._mean_loss import mean_loss

Parts = tuple[Rows, Rows]
SMALL = maas.recipe(maas.nn.MLP, hidden=(6,))


def _fit(train: Any, validation: Any = None, recipe: maas.Recipe = SMALL, **settings: Any) -> maas.Model:
    return maas.fit(recipe, train, validation, **{"epochs": 2, "device": "cpu", "progress": False, **settings})


def _noise(rows: int, seed: int = 0) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Nothing to learn: labels that have nothing to do with the numbers."""
    generator = np.random.default_rng(seed)
    return generator.normal(size=(rows, 4)), generator.integers(0, 2, rows)


def _weights(model: maas.Model) -> dict[str, torch.Tensor]:
    return model.network.state_dict()


def _same(one: maas.Model, other: maas.Model) -> bool:
    return all(torch.equal(_weights(one)[name], _weights(other)[name]) for name in _weights(one))


def test_two_fits_share_no_tensor_and_a_seed_gives_the_same_bits(wine_split: Parts) -> None:
    recipe = maas.recipe(maas.nn.MLP, hidden=(6,), dropout=0.3, normalization="batch")
    one, again, other = (_fit(wine_split[0], recipe=recipe, seed=seed) for seed in (1, 1, 2))
    assert _same(one, again)
    assert not torch.equal(_weights(one)["output.weight"], _weights(other)["output.weight"])
    pointers = [one.untyped_storage().data_ptr() for model in (one, again) for one in _weights(model).values()]
    assert len(set(pointers)) == len(pointers)


def test_every_seed_that_the_settings_allow_works(wine_split: Parts) -> None:
    """The docstring: an integer from 0 to below 2**63."""
    for seed in (2**32 - 1, 2**32, 2**63 - 1):
        assert _fit(wine_split[0], seed=seed, epochs=1).card["training"]["seed"] == seed


def test_every_generator_is_left_as_it_was(wine_split: Parts) -> None:
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()
    _fit(wine_split[0], recipe=maas.recipe(maas.nn.MLP, hidden=(6,), dropout=0.5))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]
    assert np.array_equal(np.random.get_state()[1], before[2])


def test_learns_wine(wine_model: maas.Model, wine_split: Parts) -> None:
    assert np.mean(wine_model.predict(wine_split[1])["label"] == wine_split[1].target) >= 0.9


def test_learns_breast_cancer_with_one_output(cancer_model: maas.Model, cancer_split: Parts) -> None:
    assert cancer_model.network.output.out_features == 1
    assert np.mean(cancer_model.predict(cancer_split[1])["label"] == cancer_split[1].target) >= 0.9


def test_learns_diabetes_better_than_the_mean(tmp_path: Path) -> None:
    rows = read_table(write_sample("diabetes", tmp_path / "diabetes.csv"), target="progression")
    train, test = rows.split(test=0.25, seed=0)
    model = _fit(train, epochs=40, learning_rate=0.01)
    errors = np.square(model.predict(test)["value"] - test.target), np.square(train.target.mean() - test.target)
    assert errors[0].mean() < 0.75 * errors[1].mean()


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd"])
def test_each_optimizer_lowers_the_loss(optimizer: str, wine_split: Parts) -> None:
    history = _fit(wine_split[0], epochs=15, optimizer=optimizer, learning_rate=0.01).card["training"]["history"]
    assert history[-1]["train_loss"] < 0.5 * history[0]["train_loss"]


def test_arrays_tensors_and_a_dataset_are_the_same_rows() -> None:
    class Squares(Dataset[tuple[Any, int]]):
        def __len__(self) -> int:
            return len(x)

        def __getitem__(self, index: int) -> tuple[Any, int]:
            return x[index], int(y[index])

    x, y = _noise(40)
    tensors = torch.from_numpy(x), torch.from_numpy(y)
    models = [_fit(source) for source in ((x, y), tensors, TensorDataset(*tensors), Squares(), from_arrays(x, y))]
    assert all(_same(models[0], model) for model in models[1:])
    assert models[0].schema.names == ("x",)
    assert models[0].task.classes == (0, 1)


def test_the_task_can_be_said() -> None:
    x, y = _noise(40)
    assert _fit((x, y), task="regression").task.kind == "regression"
    with pytest.raises(
        DataError, match="`task` must be one of classification, regression, multilabel, anomaly, got 'ranking'"
    ):
        _fit((x, y), task="ranking")


def test_a_classification_of_many_integers_can_be_saved_and_loaded(tmp_path: Path) -> None:
    """More than 20 different integers read as a regression; `task=` says otherwise."""
    frame = pandas.DataFrame({"a": np.arange(90.0), "target": np.arange(90) % 30})
    rows = read_table(frame, target="target")
    with pytest.warns(UserWarning, match="90 validation rows stand in the training rows too"):
        model = _fit(rows, rows, task="classification")
    assert maas.load(model.save(tmp_path / "a")).task.classes == tuple(range(30))


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"task": 3}, "`task` must be a name, or a task such as .*, got 3"),
        ({"preprocess": 3}, r"`preprocess` must be a preprocessing such as maas.preprocess.Image.*, got 3"),
        ({"augment": 3}, "`augment` must be a function of a batch such as .*, got 3"),
        ({"augment": maas.preprocess.AugmentImages}, "`augment` must be a function of a batch .*, got <class"),
        ({"preprocess": maas.preprocess.Image}, r"does not take the fields of these rows: 'x' \(numeric\); leave it"),
        ({"preprocess": maas.preprocess.Text.with_options()}, "`preprocess` does not take the fields"),
        ({"preprocess": maas.preprocess.Audio.with_options()}, "`preprocess` does not take the fields"),
        ({"preprocess": maas.preprocess.Interactions.with_options()}, "`preprocess` does not take the fields"),
    ],
)
def test_an_option_of_the_wrong_kind_is_told(option: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        _fit(_noise(20), **option)


def test_a_preprocessing_that_would_pass_over_a_field_is_refused() -> None:
    """It took the first field, and gave a model whose artifact could not be loaded."""
    picture = torchvision.io.encode_png(torch.zeros(3, 4, 4, dtype=torch.uint8)).numpy().tobytes()
    frame = pandas.DataFrame({"photo": [picture] * 20, "size": np.arange(20.0), "y": ["a", "b"] * 10})
    rows = read_table(frame, target="y", types={"photo": "image"})
    with pytest.raises(
        DataError, match=r"'photo' \(image\), 'size' \(numeric\); leave it out, or .* Mixed.with_options"
    ):
        _fit(rows, recipe=maas.recipe(maas.nn.CNN, filters=(2,)), preprocess=maas.preprocess.Image)


def test_early_stopping_gives_back_the_best_weights() -> None:
    """Reference: the loss of the validation rows, computed again with the weights that the model ended with."""
    train, validation = from_arrays(*_noise(60)), from_arrays(*_noise(30, seed=1))
    recipe = maas.recipe(maas.nn.MLP, hidden=(32,), normalization="batch")
    model = _fit(train, validation, recipe, epochs=200, learning_rate=0.01, patience=4)
    record = model.card["training"]
    losses = [one["validation_loss"] for one in record["history"]]
    assert record["stopped_early"]
    assert [one["epoch"] for one in record["history"]] == list(range(1, record["best_epoch"] + 5))
    assert record["best_epoch"] == 1 + int(np.argmin(losses))
    prepared = model.prepare(validation)
    loss = mean_loss(model.network, model.task, Batch(prepared.batch.inputs, model.task.encode(validation.target)))
    assert loss == losses[record["best_epoch"] - 1]
    assert loss < losses[-1]


def test_without_patience_every_epoch_runs_and_the_best_is_kept() -> None:
    train, validation = from_arrays(*_noise(60)), from_arrays(*_noise(30, seed=1))
    record = _fit(train, validation, epochs=30, learning_rate=0.05).card["training"]
    losses = [one["validation_loss"] for one in record["history"]]
    assert len(losses) == 30
    assert not record["stopped_early"]
    assert losses[record["best_epoch"] - 1] == min(losses) < losses[-1]


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("epochs", 0, "`epochs` must be a positive integer, got 0"),
        ("epochs", 2.0, "`epochs` must be a positive integer, got 2.0"),
        ("epochs", True, "`epochs` must be a positive integer, got True"),
        ("batch_size", -1, "`batch_size` must be a positive integer, got -1"),
        ("batch_size", "32", "`batch_size` must be a positive integer, got '32'"),
        ("patience", 0, "`patience` must be a positive integer, got 0"),
        ("optimizer", "lion", "`optimizer` must be one of adam, adamw, sgd, got 'lion'"),
        ("learning_rate", 0, "`learning_rate` must be positive and finite, got 0"),
        ("learning_rate", -0.1, "`learning_rate` must be positive and finite, got -0.1"),
        ("learning_rate", math.nan, "`learning_rate` must be positive and finite, got nan"),
        ("learning_rate", math.inf, "`learning_rate` must be positive and finite, got inf"),
        ("learning_rate", "0.1", "`learning_rate` must be positive and finite, got '0.1'"),
        ("weight_decay", -1, "`weight_decay` must be at least 0, got -1"),
        ("accumulate", 0, "`accumulate` must be a positive integer, got 0"),
        ("clip_norm", 0, "`clip_norm` must be positive and finite, got 0"),
        ("ema", 1.0, "`ema` must be at least 0 and below 1, got 1.0"),
        ("non_finite", "ignore", "`non_finite` must be one of raise, skip, got 'ignore'"),
        ("distribute", "dp", "`distribute` must be one of ddp, fsdp, got 'dp'"),
        ("distribute", "fsdp", '`distribute="fsdp"` shards over several processes; start this under torchrun'),
        ("speed", "fast", r"`speed` must be one of eager, compile, graph, compile\+graph or auto, got 'fast'"),
        ("workers", -1, "`workers` must be a number of processes, 0 or more, got -1"),
        ("run", 3, "`folder` of a run must be a path, got 3"),
        ("seed", -1, r"`seed` must be an integer from 0 to below 2\*\*63, got -1"),
        ("seed", 2**63, r"`seed` must be an integer from 0 to below 2\*\*63, got 9223372036854775808"),
        ("seed", None, r"`seed` must be an integer from 0 to below 2\*\*63, got None"),
        ("schedule", "linear", "`schedule` must be one of constant, cosine, one_cycle, step, plateau, got 'linear'"),
        ("precision", "float64", "`precision` must be one of float32, tf32, bfloat16, float16, got 'float64'"),
        ("keep", "first", "`keep` must be one of best, last, got 'first'"),
        ("validation", 1.5, "`validation` is rows, or a share of `train` from 0 to below 1, got 1.5"),
        ("validation", True, "`validation` is rows, or a share of `train` from 0 to below 1, got True"),
        ("validation", np.float32(1.5), "`validation` is rows, or a share of `train` from 0 to below 1, got 1.5"),
        ("validation", 0, 'without a validation part there is no best epoch: give keep="last" and no `patience`'),
        ("task", "nonsense", "`task` must be one of classification, .*got 'nonsense'"),
        ("device", "nonsense", "`device` 'nonsense' cannot be used here"),
        ("device", "cuda:99", "`device` 'cuda:99' cannot be used here"),
    ],
)
def test_a_bad_setting_is_named(setting: str, value: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        _fit(_noise(20), **{setting: value})


def test_the_schedule_reaches_the_optimizer(wine_split: Parts) -> None:
    """A warm-up over nearly all steps learns less than the constant rate in the same steps."""
    schedules = [Schedule(warmup=share) for share in (0.0, 0.99)]
    constant, slow = (_fit(wine_split[0], epochs=3, schedule=schedule) for schedule in schedules)
    assert slow.card["training"]["history"][-1]["train_loss"] > constant.card["training"]["history"][-1]["train_loss"]
    assert slow.card["training"]["schedule"] == {"kind": "constant", "warmup": 0.99}


def test_bfloat16_is_for_the_steps_only(wine_split: Parts) -> None:
    full, half = (_fit(wine_split[0], epochs=20, precision=one) for one in ("float32", "bfloat16"))
    assert {tensor.dtype for tensor in _weights(half).values()} == {torch.float32}
    assert not _same(full, half)
    gap = half.predict_proba(wine_split[1]) - full.predict_proba(wine_split[1])
    assert 0 < np.abs(gap).max() < 0.1


def test_the_last_epoch_can_be_kept_and_then_no_validation_part_is_needed() -> None:
    """On noise the validation loss rises, so that the best epoch is not the last one."""
    train = _noise(40)
    settings: dict[str, Any] = {"epochs": 60, "learning_rate": 0.05, "recipe": maas.recipe(maas.nn.MLP, hidden=(32,))}
    best, last = (_fit(train, keep=one, **settings) for one in ("best", "last"))
    assert best.card["training"]["history"][-1]["validation_loss"] == pytest.approx(
        last.card["training"]["history"][-1]["validation_loss"]
    )
    assert best.card["training"]["best_epoch"] < 60 == last.card["training"]["best_epoch"]
    assert not _same(best, last)
    whole = _fit(train, validation=0, keep="last", **settings)
    assert (whole.card["data"]["num_rows"], whole.card["data"]["num_validation_rows"]) == (40, 0)
    assert {record["validation_loss"] for record in whole.card["training"]["history"]} == {None}
    with pytest.raises(DataError, match="without a validation part there is no best epoch"):
        _fit(train, validation=0, keep="last", patience=3)


@maas.network("test.least_squares", learns="closed_form")
class LeastSquares(nn.Module):
    """Solved by its normal equations, part by part."""

    def __init__(self, in_features: int) -> None:
        super().__init__()
        self.register_buffer("weights", torch.zeros(in_features, 1))

    @classmethod
    def sizes(cls, inputs: Any, num_outputs: int) -> dict[str, Any]:
        return {"in_features": inputs["x"].shape[0]}

    def solve(self, parts: Callable[[], Iterator[Batch]]) -> None:
        for _ in range(2):  # each call gives the rows anew
            left = sum(part.inputs["x"].T.double() @ part.inputs["x"].double() for part in parts())
            right = sum(part.inputs["x"].T.double() @ part.target[:, None].double() for part in parts())
        self.weights.copy_(torch.linalg.solve(left, right))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.weights


def test_a_network_may_learn_in_closed_form(tmp_path: Path) -> None:
    """Reference: numpy's least squares on all 10,000 rows, which are more than one part."""
    x, _ = _noise(10_000)
    y = x @ [1.0, -2.0, 0.5, 3.0] + np.random.default_rng(1).normal(0, 0.1, len(x))
    model = _fit((x, y), recipe=maas.recipe(LeastSquares))
    standard = (x - x.mean(axis=0)) / x.std(axis=0)
    expected = standard @ np.linalg.lstsq(standard, (y - y.mean()) / y.std(), rcond=None)[0] * y.std() + y.mean()
    np.testing.assert_allclose(model.predict(x)["value"], expected, atol=1e-4)
    assert (model.card["data"]["num_rows"], model.card["data"]["num_validation_rows"]) == (10_000, 0)
    assert model.card["training"]["history"] == []
    again = maas.load(model.save(tmp_path / "solved"))
    assert again.predict(x[:5]).to_dicts() == model.predict(x[:5]).to_dicts()


@task("test.settled")
@dataclass(frozen=True)
class Settled(Classification):
    """Learns from the rows of two classes only, and is settled by validation rows."""

    chosen: int = 0

    @property
    def is_settled(self) -> bool:
        return self.chosen > 0

    def settle(self, answers: maas.Answers, truth: Any) -> Settled:
        assert len(answers) == len(truth)
        return replace(self, chosen=len(truth))

    def teaching(self, target: Any) -> Any:
        return target != "2"


def test_a_task_may_pass_over_rows_and_choose_by_validation_rows() -> None:
    x, y = _noise(60)
    y[:12] = 2
    rows = replace(from_arrays(x, y.astype(str)), task="test.settled")
    model = _fit(rows)
    assert isinstance(model.task, Settled)
    assert model.task.chosen == model.card["data"]["num_validation_rows"] == 6
    assert model.card["data"]["num_rows"] < 54
    with pytest.raises(DataError, match="chooses by validation rows: give `validation`"):
        _fit(rows, validation=0, keep="last")


def test_the_epoch_is_chosen_by_the_validation_rows_that_teach() -> None:
    x, y = _noise(80)
    y[::4] = 2
    rows = replace(from_arrays(x, y.astype(str)), task="test.settled")
    train, held_out = rows.take(range(50)), rows.take(range(50, 80))
    model = _fit(train, held_out, epochs=1, keep="last")
    taught = held_out.take(np.flatnonzero(held_out.target != "2"))
    batch = Batch(model.prepare(taught).batch.inputs, model.task.encode(taught.target))  # type: ignore[arg-type]
    found = model.card["training"]["history"][0]["validation_loss"]
    assert found == pytest.approx(mean_loss(model.network, model.task, batch), rel=1e-6)


def test_an_optimizer_that_is_no_name_is_refused() -> None:
    with pytest.raises(DataError, match="`optimizer` must be one of adam, adamw, sgd, got list of 1"):
        _fit(_noise(20), optimizer=["adam"])


def test_a_network_is_no_recipe() -> None:
    with pytest.raises(DataError, match=r"`recipe` must be a recipe, such as maas.recipe\(maas.nn.MLP\), got MLP"):
        _fit(_noise(20), recipe=maas.nn.MLP(4, 1))  # type: ignore[arg-type]


def test_a_recipe_that_contradicts_the_rows_is_refused() -> None:
    with pytest.raises(RecipeError, match="`in_features` of MLP is 3 in the recipe, and 4 by the data; leave it out"):
        _fit(_noise(20), recipe=maas.recipe(maas.nn.MLP, in_features=3))


@pytest.mark.parametrize("source", ["rows.csv", [], {}, 3, None])
def test_what_are_no_rows_is_refused(source: Any) -> None:
    with pytest.raises(DataError):
        _fit(source)


def test_rows_without_target_are_refused() -> None:
    x, y = _noise(20)
    for train, validation in (((x, None), None), (from_arrays(x), None), ((x, y), (x + 1, None))):
        with pytest.raises(DataError, match=r"the rows have no target to learn; name it with maas.data.read_table"):
            _fit(train, validation)


@pytest.mark.parametrize("batch_size", [16, 4])
def test_batch_normalisation_bears_a_ragged_last_row(batch_size: int) -> None:
    """33 rows leave one row over; torch refuses batch statistics of a single row."""
    x, y = _noise(43)
    recipe = maas.recipe(maas.nn.MLP, hidden=(6,), normalization="batch")
    model = _fit((x[:33], y[:33]), (x[33:], y[33:]), recipe, batch_size=batch_size)
    steps = model.card["training"]["best_epoch"] * (33 // batch_size)
    assert model.network.hidden[1].num_batches_tracked.item() == steps


def test_batch_normalisation_of_single_rows_is_refused_in_our_own_words() -> None:
    with pytest.raises(MaasError, match="batch_size"):
        _fit(_noise(20), recipe=maas.recipe(maas.nn.MLP, normalization="batch"), batch_size=1)


def test_a_missing_value_where_training_rows_had_none_is_answered_and_has_no_untaught_column() -> None:
    frame = pandas.DataFrame({"c": ["x", "z"] * 30, "a": [float(number) for number in range(60)], "y": [0, 1] * 30})
    learning, other = frame[:40].copy(), frame[40:].copy()
    other.loc[50, ["c", "a"]] = [None, math.nan]
    whole = read_table(pandas.concat([learning, other]), target="y")
    train, validation = whole.take(range(40)), whole.take(range(40, 60))
    model = maas.fit(maas.recipe(maas.nn.MLP, hidden=(4,)), train, validation, epochs=1, device="cpu", progress=False)
    assert model.preprocess.outputs["x"].shape == (3,)
    assert model.predict({"c": None, "a": None})["label"] in (0, 1)


@pytest.mark.parametrize("unit", [1e200, 1e-200])
def test_a_target_in_an_impossible_unit(unit: float) -> None:
    with pytest.raises(DataError, match="numbers too large or too small to learn; give another unit"):
        maas.fit(maas.recipe(maas.nn.MLP), (np.arange(50.0)[:, None], np.linspace(-1, 1, 50) * unit), task="regression")
