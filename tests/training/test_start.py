"""maas.fit(start=...): weights put in by name, the head new, and what does not fit told."""

from __future__ import annotations

import copy
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from sklearn.datasets import load_digits
from torchvision import models

import maas
from maas.data import Rows, read_images
from maas.errors import DataError
from maas.nn import Backbone
from maas.preprocess import Image, Sequence, Table
from maas.schema import TensorSpec
from maas.training._start import head_of

SMALL = maas.recipe(maas.nn.MLP, hidden=(6,))
BACKBONE = maas.recipe(Backbone, name="mobilenet_v3_small")
ALL_BUT_A_TRIFLE = {"learning_rate": 1e-12, "weight_decay": 0.0}


def _fit(recipe: maas.Recipe, train: Any, **settings: Any) -> maas.Model:
    wanted = {"epochs": 1, "validation": 0, "keep": "last", "device": "cpu", "progress": False, **settings}
    return maas.fit(recipe, train, **wanted)


def _numbers(classes: int, rows: int = 40, seed: int = 0) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    generator = np.random.default_rng(seed)
    return generator.normal(size=(rows, 4)), np.arange(rows) % classes


def _digits(rows: int = 12) -> Rows:
    """scikit-learn's digits, grey, 8 x 8 pixels."""
    bunch = load_digits()
    return read_images(((bunch.images[:rows] * 255 / 16).round().astype("uint8"), bunch.target[:rows] % 3))


@pytest.fixture(scope="module")
def parent() -> maas.Model:
    return _fit(SMALL, _numbers(3), seed=5)


def test_a_model_gives_its_weights_and_its_preprocessing(parent: maas.Model) -> None:
    """A rate of next to nothing shows what training began with."""
    x, y = _numbers(3, seed=1)
    model = _fit(SMALL, (x * 100, y), start=parent, **ALL_BUT_A_TRIFLE)
    for name, tensor in parent.network.state_dict().items():
        assert torch.allclose(model.network.state_dict()[name], tensor, atol=1e-9)
    assert isinstance(model.preprocess, Table)
    assert np.array_equal(model.preprocess.mean, parent.preprocess.mean)  # type: ignore[attr-defined]
    start = model.card["lineage"]["start"]
    assert (start["kind"], start["loaded"], start["new"]) == ("model", 4, [])
    assert model.card["lineage"]["parent"] is None


def test_a_saved_model_is_the_parent_by_its_digest(parent: maas.Model, tmp_path: Path) -> None:
    folder = parent.save(tmp_path / "parent")
    one = _fit(SMALL, _numbers(3), start=folder)
    other = _fit(SMALL, _numbers(3), start=str(folder))
    assert one.card["lineage"] == other.card["lineage"]
    assert one.card["lineage"]["parent"] == one.card["lineage"]["start"]["sha256"] == maas.load(folder).digest
    again = maas.load(one.save(tmp_path / "child"))
    assert again.card["lineage"] == one.card["lineage"]


def test_the_model_to_start_from_is_left_as_it_was(parent: maas.Model) -> None:
    before = copy.deepcopy(parent.network.state_dict())
    _fit(SMALL, _numbers(3), start=parent, freeze="hidden", learning_rate=0.1)
    assert all(torch.equal(before[name], tensor) for name, tensor in parent.network.state_dict().items())
    assert all(one.requires_grad for one in parent.network.parameters())


def test_another_number_of_classes_takes_a_new_head(parent: maas.Model) -> None:
    model = _fit(SMALL, _numbers(4), start=parent, **ALL_BUT_A_TRIFLE)
    assert model.card["lineage"]["start"]["new"] == ["output.bias", "output.weight"]
    state, before = model.network.state_dict(), parent.network.state_dict()
    assert torch.allclose(state["hidden.0.weight"], before["hidden.0.weight"], atol=1e-9)
    assert state["output.weight"].shape == (4, 6)
    assert torch.equal(
        state["output.weight"], _fit(SMALL, _numbers(4), start=parent, **ALL_BUT_A_TRIFLE).network.output.weight
    )


def test_other_classes_take_a_new_head_though_it_has_the_shape(parent: maas.Model) -> None:
    x, y = _numbers(3)
    assert _fit(SMALL, (x, y + 7), start=parent).card["lineage"]["start"]["new"] == ["output.bias", "output.weight"]


def test_the_recipe_of_the_model_is_opened_to_the_new_sizes(parent: maas.Model) -> None:
    assert parent.recipe.arguments["out_features"] == 3
    model = _fit(parent.recipe, _numbers(5), start=parent)
    assert model.recipe.arguments == {**parent.recipe.arguments, "out_features": 5}


def test_the_same_seed_gives_the_same_model(parent: maas.Model) -> None:
    recipe = maas.recipe(maas.nn.MLP, hidden=(6,), dropout=0.3)
    states = [
        _fit(recipe, _numbers(4), start=parent, seed=seed, freeze={"hidden": 1}, epochs=3).network.state_dict()
        for seed in (0, 0, 1)
    ]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not torch.equal(states[0]["output.weight"], states[2]["output.weight"])


@pytest.mark.parametrize("how", ["safetensors", "pth", "legacy pt", "mapping", "half"])
def test_a_state_dict_however_it_is_given(how: str, parent: maas.Model, tmp_path: Path) -> None:
    state = parent.network.state_dict()
    path = tmp_path / {"safetensors": "w.safetensors", "legacy pt": "w.pt"}.get(how, "w.pth")
    if how == "safetensors":
        safetensors.torch.save_file(state, path)
    else:
        given = {name: one.half() for name, one in state.items()} if how == "half" else state
        torch.save(given, path, _use_new_zipfile_serialization=how != "legacy pt")
    model = _fit(SMALL, _numbers(3), start=state if how == "mapping" else path, **ALL_BUT_A_TRIFLE)
    for name, tensor in state.items():
        assert torch.allclose(model.network.state_dict()[name], tensor, atol=1e-3 if how == "half" else 1e-9)
        assert model.network.state_dict()[name].dtype == torch.float32
    start = model.card["lineage"]["start"]
    assert start["loaded"] == 4
    if how != "mapping":
        assert (start["kind"], start["name"]) == ("file", path.name)
        assert start["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_what_does_not_fit_is_named(parent: maas.Model) -> None:
    state = parent.network.state_dict()
    few = {name: tensor for name, tensor in state.items() if name != "hidden.0.bias"}
    with pytest.raises(DataError, match=r"it lacks 'hidden.0.bias'; only output.bias, output.weight may differ"):
        _fit(SMALL, _numbers(3), start=few)
    with pytest.raises(DataError, match=r"it has besides 'module.x'; only"):
        _fit(SMALL, _numbers(3), start={**state, "module.x": torch.zeros(1)})
    with pytest.raises(DataError, match=r"'hidden.0.weight' \(6, 4\) in place of \(7, 4\)"):
        _fit(maas.recipe(maas.nn.MLP, hidden=(7,)), _numbers(3), start=parent)
    with pytest.raises(DataError, match=r"it has of another shape or dtype 'hidden\.0\.bias'"):
        _fit(SMALL, _numbers(3), start={**state, "hidden.0.bias": torch.zeros(6, dtype=torch.int64)})
    many = {f"layer{place}": torch.zeros(1) for place in range(9)}
    with pytest.raises(DataError, match=r"it has besides 'layer0', 'layer1', 'layer2', 'layer3' and 5 more"):
        _fit(SMALL, _numbers(3), start=many)
    with pytest.raises(DataError, match=r"`start` holds NaN or infinity in 'hidden\.0\.bias'"):
        _fit(SMALL, _numbers(3), start={**state, "hidden.0.bias": torch.full((6,), torch.nan)})
    with pytest.raises(DataError, match=r"`start` holds NaN or infinity in 'hidden\.0\.bias'"):  # as float32, that is
        _fit(SMALL, _numbers(3), start={**state, "hidden.0.bias": torch.full((6,), 1e300, dtype=torch.float64)})
    with pytest.raises(DataError, match="`start` must hold dense tensors by name, got another thing under 'a'"):
        _fit(SMALL, _numbers(3), start={**state, "a": [1.0]})
    with pytest.raises(DataError, match="`start` must hold dense tensors by name, got another thing under 'a'"):
        _fit(SMALL, _numbers(3), start={**state, "a": torch.zeros(3).to_sparse()})


def test_counts_of_batches_may_be_missing() -> None:
    """Published files are older than they are."""
    recipe = maas.recipe(maas.nn.MLP, hidden=(6,), normalization="batch")
    state = _fit(recipe, _numbers(3)).network.state_dict()
    older = {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}
    assert len(older) == len(state) - 1
    assert _fit(recipe, _numbers(3), start=older).card["lineage"]["start"]["loaded"] == len(older)


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (3, "`start` must be a model, a path, the name of published weights or tensors by name, got 3"),
        (
            "weights.bin",
            r"`start` must be a saved model's folder, a .safetensors, .pt or .pth file, .* got 'weights.bin'",
        ),
        ("none.pth", "none.pth cannot be read: No such file or directory"),
        ("none.safetensors", "none.safetensors cannot be read: No such file"),
        ("IMAGENET1K_V1", "`start` 'IMAGENET1K_V1' names weights of torchvision, which go with .* a recipe of 'mlp'"),
        (".", r"`start` \. is a folder, but no saved model"),
        ({}, "`start` does not fit this network: it lacks 'hidden.0.weight', 'hidden.0.bias'"),
    ],
)
def test_what_weights_cannot_come_from(
    start: Any, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=message):
        _fit(SMALL, _numbers(3), start=start)


def test_a_network_that_learns_in_closed_form_starts_from_nothing() -> None:
    @maas.network("test.start.closed", learns="closed_form")
    class Closed(torch.nn.Linear):
        @classmethod
        def sizes(cls, inputs: Any, num_outputs: int) -> dict[str, Any]:
            return {"in_features": inputs["x"].shape[0], "out_features": num_outputs}

    with pytest.raises(DataError, match=r"`start` cannot be used: a test\.start\.closed learns in closed form"):
        _fit(maas.recipe(Closed), _numbers(3), start={})


def test_a_part_of_an_artifact_is_told_from_the_whole(parent: maas.Model, tmp_path: Path) -> None:
    folder = parent.save(tmp_path / "parent")
    with pytest.raises(DataError, match=r"model.safetensors is a part of a saved model; give its folder .*parent"):
        _fit(SMALL, _numbers(3), start=folder / "model.safetensors")


def test_rows_that_the_kept_preprocessing_does_not_take(parent: maas.Model) -> None:
    x, y = _numbers(3)
    rows = maas.data.from_arrays(x, y)
    with pytest.raises(
        DataError, match=r"the preprocessing of `start` takes 1 fields, the rows have 13; give `preprocess`"
    ):
        _fit(SMALL, _wine(), start=_fit(maas.recipe(maas.nn.MLP, hidden=(6,)), rows))
    with pytest.raises(
        DataError, match="the preprocessing of `start` takes 'x', a numeric number, the rows have 'image'"
    ):
        _fit(SMALL, _digits(), start=parent)
    with pytest.raises(DataError, match=r"the preprocessing of `start` does not take these rows: .*'fill' must be"):
        _fit(SMALL, (x[:, :3], y), start=parent)
    model = _fit(SMALL, (x * 2, y), start=parent, preprocess=Table)
    assert not np.array_equal(model.preprocess.mean, parent.preprocess.mean)  # type: ignore[attr-defined]


def _wine() -> Rows:
    from sklearn.datasets import load_wine

    frame = load_wine(as_frame=True)
    return maas.data.read_table(frame.frame, target="target")


@pytest.mark.parametrize(
    ("recipe", "inputs", "wanted"),
    [
        (SMALL, {"x": TensorSpec((4,), "float32")}, {"output.weight", "output.bias"}),
        (maas.recipe(maas.nn.ResNet), {"image": TensorSpec((1, 8, 8), "float32")}, {"output.weight", "output.bias"}),
        (BACKBONE, {"image": TensorSpec((3, 8, 8), "float32")}, {"head.weight", "head.bias"}),
    ],
)
def test_the_head_is_what_follows_from_the_number_of_outputs(
    recipe: maas.Recipe, inputs: dict[str, TensorSpec], wanted: set[str]
) -> None:
    assert head_of(recipe.resolve(inputs, 3), inputs, 3) == wanted


def test_torchvisions_own_state_dict_goes_into_a_backbone(tmp_path: Path) -> None:
    torch.manual_seed(0)
    theirs = models.mobilenet_v3_small(weights=None).state_dict()
    torch.save(theirs, tmp_path / "theirs.pth")
    size = Image.published("mobilenet_v3_small", size=16)
    model = _fit(BACKBONE, _digits(), start=tmp_path / "theirs.pth", freeze="body", preprocess=size)
    for name, tensor in model.network.state_dict().items():
        if name.startswith("body."):
            assert torch.equal(tensor, theirs[name.removeprefix("body.")]), name
    assert model.card["lineage"]["start"]["new"] == ["head.bias", "head.weight"]
    with pytest.raises(DataError, match=r"`start` does not fit this network: it lacks 'body\.conv1\.weight'"):
        _fit(maas.recipe(Backbone, name="resnet18"), _digits(), start=tmp_path / "theirs.pth", preprocess=size)


def test_the_preprocessing_that_goes_with_a_backbone(tmp_path: Path) -> None:
    """Without weights: as the data is, but in three channels; with a file: as torchvision publishes it."""
    scratch = _fit(BACKBONE, _digits())
    assert scratch.preprocess.outputs["image"].shape == (3, 8, 8)
    state = {name: tensor.contiguous() for name, tensor in scratch.network.state_dict().items()}
    safetensors.torch.save_file(state, tmp_path / "w.safetensors")
    model = _fit(BACKBONE, _digits(4), start=tmp_path / "w.safetensors", freeze="body")
    assert model.preprocess.outputs["image"].shape == (3, 224, 224)
    assert model.preprocess.state()[0]["resize"] == 256
    kept = _fit(BACKBONE, _digits(4), start=scratch)
    assert kept.preprocess.state()[0] == scratch.preprocess.state()[0]


def test_a_model_of_sequences_goes_on_with_its_own_preprocessing() -> None:
    x = np.random.default_rng(0).normal(size=(12, 5, 2)).astype(np.float32)
    rows = maas.data.read_sequences(list(x), target=np.arange(12) % 2)
    recipe = maas.recipe(maas.nn.CNN1d, filters=(4,))
    first = _fit(recipe, rows)
    assert isinstance(first.preprocess, Sequence)
    assert _fit(recipe, rows, start=first).card["lineage"]["start"]["new"] == []
