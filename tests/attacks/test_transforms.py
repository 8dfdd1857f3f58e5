"""Hostile transforms: whole by their digests, naming what the network does not have, or with codes that none gave."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

import maas
from maas.compress import quantize
from maas.errors import ArtifactError
from maas.nn.transforms import FoldedBatchNorm, Int8, Int8Weights

from .tampering import rehash

WEIGHTS = "model.safetensors"
LAYER = "hidden.3"  # the heavy one, behind the first layer, its normalisation and ReLU


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    random = np.random.default_rng(0)
    x = random.normal(size=(64, 12)).astype(np.float32)
    rows = x, (x[:, 0] > 0).astype(np.int64)
    recipe = maas.recipe(maas.nn.MLP, hidden=(1024, 512), normalization="batch")
    model = quantize(maas.fit(recipe, rows, epochs=1, device="cpu", progress=False), rows, max_drop=0.5)
    folds, int8, weights = model.recipe.transforms
    assert isinstance(folds, FoldedBatchNorm)
    assert isinstance(int8, Int8)
    assert isinstance(weights, Int8Weights)
    assert [form.name for form in int8.layers] == [LAYER]
    return model.save(tmp_path_factory.mktemp("transforms") / "good")


def _argument(place: int, name: str, value: Any) -> Callable[[Path], None]:
    def attack(folder: Path) -> None:
        description = json.loads((folder / "artifact.json").read_text())
        description["transforms"][place]["arguments"][name] = value
        (folder / "artifact.json").write_text(json.dumps(description))

    return attack


def _transforms(change: Callable[[list[Any]], Any]) -> Callable[[Path], None]:
    def attack(folder: Path) -> None:
        description = json.loads((folder / "artifact.json").read_text())
        description["transforms"] = change(description["transforms"])
        (folder / "artifact.json").write_text(json.dumps(description))

    return attack


def _tensor(name: str, change: Callable[[torch.Tensor], torch.Tensor | None]) -> Callable[[Path], None]:
    def attack(folder: Path) -> None:
        tensors: dict[str, torch.Tensor | None] = dict(safetensors.torch.load_file(folder / WEIGHTS))
        tensors[f"network.{name}"] = change(tensors.get(f"network.{name}", torch.zeros(1)))  # type: ignore[arg-type]
        left = {key: one.contiguous() for key, one in tensors.items() if one is not None}
        (folder / WEIGHTS).write_bytes(safetensors.torch.save(left))

    return attack


def _form(**changes: Any) -> list[dict[str, Any]]:
    return [{"name": LAYER, "relu": True, "uint8": False, **changes}]


NETWORK = "does not describe this network"
ATTACKS: dict[str, tuple[Callable[[Path], None], str]] = {
    "a pair of nothing": (_argument(0, "pairs", [["hidden.0", "hidden.99"]]), "which the network does not have"),
    "a pair of dunders": (_argument(0, "pairs", [["hidden.0", "hidden.1.__class__"]]), "the network does not have"),
    "a pair of the network itself": (_argument(0, "pairs", [["", ""]]), "`pairs` are lists of two names"),
    "a pair that is none": (_argument(0, "pairs", [["hidden.0", "hidden.2"]]), "to be a BatchNorm1d or"),
    "a pair twice": (_argument(0, "pairs", [["hidden.0", "hidden.1"]] * 2), "it is a Identity"),
    "no pair": (_argument(0, "pairs", []), NETWORK),
    "pairs without end": (_argument(0, "pairs", [["a" * 100, "b"]] * 20_000), "take more than 1048576 bytes"),
    "a name of half a megabyte": (_argument(0, "pairs", [["a" * 500_000, "b"]]), "names the module 'aaa.{50,60}"),
    "a layer of nothing": (_argument(1, "layers", _form(name="hidden.9")), "which the network does not have"),
    "a layer that is a ReLU": (
        _argument(1, "layers", _form(name="hidden.2")),
        "to be a Linear or Conv2d, it is a ReLU",
    ),
    "a layer twice": (_argument(1, "layers", _form() * 2), "to be a Linear or Conv2d, it is a Int8Linear"),
    "a layer without a name": (_argument(1, "layers", _form(name="")), r"a layer is \{name: string"),
    "a layer of numbers": (_argument(1, "layers", _form(relu=1)), r"a layer is \{name: string"),
    "layers of text": (_argument(1, "layers", "hidden.3"), "`layers` is a list"),
    "a layer that gives codes to floats": (_argument(1, "layers", _form(uint8=True)), NETWORK),
    "a table that is a layer": (_argument(1, "embeddings", ["output"]), "to be a Embedding, it is a Linear"),
    "a ReLU of nothing": (_argument(1, "fused", ["x"]), "which the network does not have"),
    "a ReLU that is a layer": (_argument(1, "fused", ["output"]), "to be a ReLU, it is a Linear"),
    "a ReLU taken away": (_argument(1, "layers", _form(relu=False)), "answered .* when the model was saved"),
    "ReLUs of numbers": (_argument(1, "fused", [3]), "`fused` is a list of names"),
    "integers twice": (_transforms(lambda all_of: [*all_of, all_of[1]]), "it is a Int8Linear"),
    "integers before folding": (_transforms(lambda all_of: all_of[::-1]), "to be a Linear or Conv1d or Conv2d"),
    "no integers": (_transforms(lambda all_of: [all_of[0], all_of[2]]), "int8|does not describe this network"),
    "codes not scaled": (_transforms(lambda all_of: all_of[:2]), NETWORK),
    "codes of -128": (_tensor(f"{LAYER}.weight", lambda one: torch.full_like(one, -128)), "from -127 to 127"),
    "codes in floats": (_tensor(f"{LAYER}.weight", torch.Tensor.float), "must be int8 of two or more"),
    "codes of another shape": (_tensor(f"{LAYER}.weight", lambda one: one[:, 1:]), NETWORK),
    "codes missing": (_tensor(f"{LAYER}.weight", lambda one: None), NETWORK),
    "scales NaN": (_tensor(f"{LAYER}.weight_scale", lambda one: one * torch.nan), "finite and above 0"),
    "scales of another length": (_tensor(f"{LAYER}.weight_scale", lambda one: one[1:]), "must be float32 of shape"),
    "an input scale of 0": (_tensor(f"{LAYER}.input_scale", lambda one: one * 0), "finite and above 0"),
    "an input scale of many": (_tensor(f"{LAYER}.input_scale", lambda one: one.repeat(9)), NETWORK),
    "an input scale of complex numbers": (_tensor(f"{LAYER}.input_scale", lambda one: one + 1j), "describe a model"),
    "another input scale": (_tensor(f"{LAYER}.input_scale", lambda one: one * 1000), "when the model was saved"),
    "a zero point of 256": (_tensor(f"{LAYER}.input_zero_point", lambda one: one * 0 + 256), "from 0 to 255"),
    "stored scales negative": (_tensor("hidden.0.weight:scale", lambda one: -one), "finite and above 0"),
    "stored scales of nothing": (_tensor("more:scale", lambda one: one), "scales a tensor that is not there"),
    "stored codes in int16": (_tensor("hidden.0.weight", lambda one: one.short()), "must be int8 of two or more"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_a_hostile_transform_is_refused(name: str, good: Path, tmp_path: Path) -> None:
    attack, message = ATTACKS[name]
    folder = tmp_path / "bad"
    shutil.copytree(good, folder)
    attack(folder)
    rehash(folder)
    with pytest.raises(ArtifactError, match=message):
        maas.load(folder)


def test_the_good_one_loads(good: Path) -> None:
    assert maas.load(good).recipe.kind == "mlp"
