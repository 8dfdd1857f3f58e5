"""maas.compress.prune: fewer units, the same preprocessing and task, and a cost that is known."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import numpy as np
import pandas
import pytest
import torch

import maas
from maas.compress import prune
from maas.errors import CompressionError, DataError
from maas.nn.transforms import Narrowed, Transform, transform


@transform("test_prune_stiff")
@dataclass(frozen=True)
class Stiff(Transform):
    trainable = False


def rows(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two rings, of which the inner one has two parts."""
    random = np.random.default_rng(seed)
    points = random.normal(size=(count, 4)).astype(np.float32)
    radius = np.hypot(points[:, 0], points[:, 1])
    return points, np.where(radius > 1.2, 2, points[:, 0] > 0).astype(np.int64)


TRAIN, VALID = rows(900, 0), rows(300, 1)


@pytest.fixture(scope="module")
def model() -> maas.Model:
    recipe = maas.recipe(maas.nn.MLP, hidden=(64, 32), normalization="batch", seed=0)
    return maas.fit(recipe, TRAIN, epochs=15, learning_rate=5e-3, progress=False)


def test_half_of_the_units_go_and_the_rest_learns_on(model, tmp_path):
    before = copy.deepcopy(model.network.state_dict())
    smaller = prune(model, VALID, train=TRAIN, epochs=10, learning_rate=5e-3, max_drop=0.1, progress=False)
    assert [smaller.network.hidden[place].out_features for place in (0, 3)] == [32, 16]
    assert smaller.recipe.arguments["hidden"] == [64, 32]
    assert smaller.recipe.transforms == (
        Narrowed(
            {
                "hidden.0": [None, 32],
                "hidden.1": [32, 32],
                "hidden.3": [32, 16],
                "hidden.4": [16, 16],
                "output": [16, None],
            }
        ),
    )
    assert type(smaller.task) is maas.task.Classification
    (told,) = smaller.card["compression"]
    assert told["method"] == "prune(share=0.5, epochs=10)"
    assert told["after"] == smaller.score(VALID).values["accuracy"]
    assert told["before"] - told["after"] == pytest.approx(told["drop"])
    assert told["drop"] <= 0.1
    smaller.save(tmp_path / "m")
    loaded = maas.load(tmp_path / "m")
    assert np.array_equal(loaded.predict_proba(VALID[0]), smaller.predict_proba(VALID[0]))
    for name, tensor in model.network.state_dict().items():
        assert torch.equal(tensor, before[name])
    assert not model.recipe.transforms


def test_without_training_rows_what_is_left_stands_as_it_was(model):
    smaller = prune(model, VALID, share=0.1, max_drop=0.9)
    assert not smaller.card.get("training")
    assert [smaller.network.hidden[place].out_features for place in (0, 3)] == [58, 29]
    kept = {tuple(row) for row in model.network.hidden[0].weight.tolist()}
    assert all(tuple(row) in kept for row in smaller.network.hidden[0].weight.tolist())
    with pytest.raises(DataError, match="`epochs_` is for learning on"):
        prune(model, VALID, epochs_=3)


def test_the_units_that_change_nothing_are_those_that_go(model):
    """Half of the first layer's units are dead: they are zero and nothing reads them."""
    dead = copy.deepcopy(model)
    with torch.no_grad():
        dead.network.hidden[0].weight[::2] = 0.0
        dead.network.hidden[0].bias[::2] = 0.0
        dead.network.hidden[1].weight[::2] = 0.0
        dead.network.hidden[1].bias[::2] = 0.0
        dead.network.hidden[3].weight[:, ::2] = 0.0
        dead.network.hidden[3].weight[::2] = 0.0
        dead.network.hidden[3].bias[::2] = 0.0
        dead.network.hidden[4].weight[::2] = 0.0
        dead.network.hidden[4].bias[::2] = 0.0
        dead.network.output.weight[:, ::2] = 0.0
    smaller = prune(dead, VALID, share=0.5, max_drop=0.0)
    np.testing.assert_allclose(smaller.predict_proba(VALID[0]), dead.predict_proba(VALID[0]), atol=1e-6)


def test_a_pruned_model_is_pruned_again(model):
    once = prune(model, VALID, share=0.25, max_drop=0.9)
    twice = prune(once, VALID, share=0.5, max_drop=0.9)
    (narrowed,) = twice.recipe.transforms
    assert narrowed.sizes["hidden.0"] == [None, 24]
    assert twice.network.hidden[0].weight.shape == (24, 4)
    assert [one["method"] for one in twice.card["compression"]] == ["prune(share=0.25)", "prune(share=0.5)"]


def test_one_unit_stays(model):
    smaller = prune(model, VALID, share=0.999, max_drop=0.9)
    assert [smaller.network.hidden[place].out_features for place in (0, 3)] == [1, 1]


def test_a_recurrent_network_loses_states_and_an_embedding_numbers():
    texts = np.array([f"{word} {'good' if place % 2 else 'bad'} film" for place, word in enumerate("abcdefgh" * 12)])
    labels = np.arange(len(texts)) % 2
    data = maas.data.read_texts((texts.tolist(), labels.tolist()))
    recipe = maas.recipe(maas.nn.TextRNN, embedding_dim=8, hidden_size=8, cell="gru", seed=0)
    model = maas.fit(recipe, data, epochs=20, learning_rate=1e-2, progress=False)
    smaller = prune(model, data, train=data, epochs=5, learning_rate=1e-2, progress=False)
    assert smaller.network.embedding.embedding_dim == 4
    assert (smaller.network.forwards[0].input_size, smaller.network.forwards[0].hidden_size) == (4, 4)
    assert smaller.score(data).values["accuracy"] == 1.0


def test_an_anomaly_learns_on_without_a_teacher_and_chooses_its_threshold_anew():
    random = np.random.default_rng(0)
    readings = random.normal(size=(600, 1)) @ np.array([[1.0, 2.0, -1.0, 0.5]]) + random.normal(0, 0.1, (600, 4))
    broken = np.arange(600) % 10 == 0
    readings[broken, 1] *= -1
    table = pandas.DataFrame(readings, columns=list("abcd")).assign(state=np.where(broken, "broken", "ok"))
    train, test = maas.data.read_table(table, target="state", task="anomaly").split(0.3, seed=0)
    task = maas.task.Anomaly.with_options(normal="ok", false_alarms=0.05)
    options = {"validation": 0.3, "learning_rate": 0.01, "progress": False}
    model = maas.fit(maas.recipe(maas.nn.AutoEncoder, hidden=(16,), code=1), train, task=task, epochs=15, **options)
    smaller = prune(model, test, share=0.25, train=train, epochs=10, max_drop=0.1, **options)
    assert smaller.network.encoder.hidden[0].out_features == 12
    assert smaller.task.threshold != model.task.threshold
    assert smaller.task.false_alarms == 0.05


def test_a_threshold_is_chosen_anew():
    labels = (TRAIN[1] == 2).astype(np.int64), (VALID[1] == 2).astype(np.int64)
    task = maas.task.Classification.with_options(threshold="f1")
    recipe = maas.recipe(maas.nn.MLP, hidden=(16,), seed=0)
    model = maas.fit(recipe, (TRAIN[0], labels[0]), task=task, epochs=3, progress=False)
    smaller = prune(model, (VALID[0], labels[1]), train=(TRAIN[0], labels[0]), epochs=2, max_drop=0.9, progress=False)
    assert smaller.task.chosen_by == "f1"
    assert smaller.task.is_settled
    assert smaller.task.threshold != model.task.threshold


def test_what_it_costs_is_held_against_what_it_may(model):
    with pytest.raises(CompressionError, match=r"prune\(share=0\.9\) takes accuracy from 0\.\d+ to 0\.\d+"):
        prune(model, VALID, share=0.9, max_drop=0.0)


def test_a_model_compressed_otherwise_is_refused(model):
    stiff = maas.Model(
        model.network,
        recipe=replace(model.recipe, transforms=(Stiff(),)),
        schema=model.schema,
        preprocess=model.preprocess,
        task=model.task,
    )
    with pytest.raises(CompressionError, match="went through 'test_prune_stiff' cannot be pruned: prune the model it"):
        prune(stiff, VALID)


def test_a_network_without_hidden_units_is_refused_by_name():
    model = maas.fit(maas.recipe(maas.nn.MLP, hidden=()), TRAIN, epochs=1, progress=False)
    with pytest.raises(CompressionError, match="a mlp has no hidden units that could go"):
        prune(model, VALID)


@pytest.mark.parametrize("share", [0, 1, 1.5, "half", True, None])
def test_the_share_is_between_0_and_1(model, share):
    with pytest.raises(DataError, match="`share` must be above 0 and below 1"):
        prune(model, VALID, share=share)


def test_other_arguments_are_checked_before_any_work(model):
    with pytest.raises(DataError, match="`max_drop` must be"):
        prune(model, VALID, max_drop=2)
    with pytest.raises(DataError, match="`start` follows from the model here"):
        prune(model, VALID, train=TRAIN, start=model)
    others = (np.zeros((9, 3), np.float32), np.arange(9) % 3)
    with pytest.raises(DataError, match=r"`train` has rows that the model's preprocessing does not take: .*shape"):
        prune(model, VALID, train=others)
    table = pandas.DataFrame({"a": np.arange(9.0), "y": np.arange(9) % 3})
    with pytest.raises(DataError, match="`train` must have the fields of the model's rows, x; got a, a numeric number"):
        prune(model, VALID, train=maas.data.read_table(table, target="y", task="classification"))
