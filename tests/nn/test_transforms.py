"""Transforms travel with a recipe and an artifact; what they do is tested beside each kind."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from torch import nn

import maas
from maas import artifact
from maas.errors import DataError, FormatError, RecipeError
from maas.nn.transforms import Transform, from_json, transform


@transform("test_narrow")
@dataclass(frozen=True)
class Narrow(Transform):
    """A first hidden layer of fewer units, whose tensors are stored in float16."""

    units: int

    def apply(self, network: nn.Module) -> nn.Module:
        layers = network.hidden
        assert isinstance(layers, nn.Sequential)
        layers[0] = nn.Linear(layers[0].in_features, self.units)  # type: ignore[arg-type]
        network.output = nn.Linear(self.units, network.output.out_features)  # type: ignore[union-attr, arg-type]
        return network

    def stored(self, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {name: tensor.half() for name, tensor in tensors.items()}

    def restored(self, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {name: tensor.float() for name, tensor in tensors.items()}


@transform("test_stiff")
@dataclass(frozen=True)
class Stiff(Transform):
    trainable = False
    tolerance = 0.03


def _rows() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    rows = random.normal(size=(120, 4)).astype(np.float32)
    return rows, (rows[:, 0] > 0).astype(np.int64)


@pytest.fixture(scope="module")
def model() -> maas.Model:
    recipe = replace(maas.recipe(maas.nn.MLP, hidden=(16,)), transforms=(Narrow(5),))
    return maas.fit(recipe, _rows(), epochs=2, progress=False)


def test_a_transformed_network_is_built_trained_and_comes_back_from_an_artifact(model, tmp_path):
    assert model.network.hidden[0].out_features == 5
    tensors = {name: tensor.half().float() for name, tensor in model.network.state_dict().items()}
    model.network.load_state_dict(tensors)  # what float16 can hold
    model.save(tmp_path / "m")
    description = json.loads((tmp_path / "m" / "artifact.json").read_text())
    assert description["transforms"] == [{"kind": "test_narrow", "arguments": {"units": 5}}]
    assert description["recipe"].keys() == {"kind", "arguments"}
    assert artifact.read(tmp_path / "m").tensors["network.output.weight"].dtype == torch.float16
    found = maas.load(tmp_path / "m")
    assert found.recipe == model.recipe
    rows, _ = _rows()
    assert np.array_equal(found.predict_proba(rows), model.predict_proba(rows))


def test_fit_goes_on_from_a_transformed_model(model):
    again = maas.fit(model.recipe, _rows(), start=model, epochs=1, learning_rate=1e-9, progress=False)
    assert again.recipe.transforms == (Narrow(5),)
    rows, _ = _rows()
    np.testing.assert_allclose(again.predict_proba(rows), model.predict_proba(rows), atol=1e-3)


def test_fit_refuses_what_gradients_do_not_go_through(model):
    with pytest.raises(RecipeError, match=r"cannot be trained once it went through 'test_stiff'.*compress that again"):
        maas.fit(replace(model.recipe, transforms=(Narrow(5), Stiff())), _rows(), epochs=1, progress=False)


def test_a_transform_may_widen_the_tolerance_of_golden_answers(model, tmp_path):
    stiff = maas.Model(
        model.network,
        recipe=replace(model.recipe, transforms=(Narrow(5), Stiff())),
        schema=model.schema,
        preprocess=model.preprocess,
        task=model.task,
    )
    stiff.save(tmp_path / "m")
    assert json.loads((tmp_path / "m" / "example.json").read_text())["tolerance"] == {"float32": 0.03}


def test_a_model_needs_the_transforms_of_its_network(model):
    parts = {"schema": model.schema, "preprocess": model.preprocess, "task": model.task}
    with pytest.raises((RecipeError, DataError), match="does not describe this network"):
        maas.Model(model.network, recipe=replace(model.recipe, transforms=()), **parts)


@pytest.mark.parametrize(
    ("states", "message"),
    [
        ({}, "transforms are a list"),
        (["prune"], "a transform is"),
        ([{"kind": "prune"}], "a transform is"),
        ([{"kind": 3, "arguments": {}}], "unknown transform 3"),
        ([{"kind": "test_unheard_of", "arguments": {}}], "unknown transform 'test_unheard_of'.*knows.*test_narrow"),
        ([{"kind": "test_narrow", "arguments": {}}], "has the arguments units, got none"),
        (
            [{"kind": "test_narrow", "arguments": {"units": 1, "more": 2}}],
            "has the arguments units, got 'units', 'more'",
        ),
        ([{"kind": "test_narrow", "arguments": {"units": "x" * 2_000_000}}], "take more than"),
    ],
)
def test_transforms_of_a_hostile_artifact_are_refused(states, message):
    with pytest.raises(FormatError, match=message):
        from_json(states)


def test_a_kind_has_one_class():
    with pytest.raises(RecipeError, match="'test_stiff' is taken by"):

        @transform("test_stiff")
        @dataclass(frozen=True)
        class Other(Transform):
            pass

    with pytest.raises(RecipeError, match="lower-case"):
        transform("Not A Kind")
