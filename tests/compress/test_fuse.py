"""maas.compress.fuse: the answers stay, and the artifact is that of any machine."""

from __future__ import annotations

import struct

import numpy as np
import pytest
import torch
from torch import nn

import maas
from maas.compress import fuse, prune, quantize
from maas.compress._fuse import fused
from maas.compress._grid import grid
from maas.compress._search import _try
from maas.data import Rows
from maas.errors import CompressionError, DataError
from maas.model import Model
from maas.nn import _fused
from maas.nn._fused import FusedConv2d, FusedResidual


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> tuple[Model, Rows]:
    """A residual network over digits of 8 x 8 pixels."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    pixels = (digits.images * 15).astype(np.uint8)[:400]
    folder = tmp_path_factory.mktemp("digits")
    (folder / "images").write_bytes(struct.pack(">IIII", 0x803, *pixels.shape) + pixels.tobytes())
    (folder / "labels").write_bytes(struct.pack(">II", 0x801, 400) + digits.target[:400].astype(np.uint8).tobytes())
    rows = maas.data.read_images((folder / "images", folder / "labels"), task="classification")
    recipe = maas.recipe(maas.nn.ResNet, width=16)
    settings = {"epochs": 3, "learning_rate": 3e-3, "batch_size": 32, "device": "cpu", "progress": False}
    return maas.fit(recipe, rows.take(range(300)), **settings), rows.take(range(300, 400))


def test_a_fused_model_answers_the_same_and_comes_back(images, tmp_path):
    model, test = images
    made = fuse(model, test, max_drop=0.0)
    kinds = [type(one) for one in made.network.modules()]
    assert kinds.count(FusedConv2d) == 7
    assert not {nn.BatchNorm2d, nn.ReLU, nn.Conv2d} & {*kinds}
    wanted = model.predict(test)["probabilities"]
    np.testing.assert_allclose(made.predict(test)["probabilities"], wanted, atol=1e-5)
    loaded = maas.load(made.save(tmp_path / "m"))
    np.testing.assert_array_equal(loaded.predict(test)["probabilities"], made.predict(test)["probabilities"])
    loaded.save(tmp_path / "again")
    assert maas.load(tmp_path / "again").digest == loaded.digest
    assert loaded.card["compression"][0]["method"] == "fuse"
    assert model.recipe.transforms == ()


def test_without_kernels_the_golden_rows_and_the_digest_are_the_same(images, tmp_path, monkeypatch):
    model, test = images
    digests = []
    for kernels in (True, False):
        if not kernels:
            monkeypatch.setattr(_fused, "has_kernels", lambda dtype: False)
        made = fuse(model, test)
        made.save(tmp_path / str(kernels))
        digests.append(maas.load(tmp_path / str(kernels)).digest)
    assert digests[0] == digests[1]
    assert maas.load(tmp_path / "True").digest == digests[0]  # its golden rows were answered by kernels


def test_a_pruned_model_is_fused_and_a_fused_one_stored_in_int8(images, tmp_path):
    model, test = images
    narrow = prune(model, test, share=0.25, max_drop=0.9)
    made = quantize(fuse(narrow, test), test, method="int8_weights", max_drop=0.9)
    kinds = [one.kind for one in made.recipe.transforms]
    assert kinds == ["narrowed", "folded_batch_norm", "fused", "int8_weights"]
    loaded = maas.load(made.save(tmp_path / "m"))
    np.testing.assert_array_equal(loaded.predict(test)["probabilities"], made.predict(test)["probabilities"])


def test_torchvision_networks_are_found_block_by_block():
    schema = maas.schema.Schema((maas.schema.Field("image", "image", "bytes"),))
    preprocess = maas.preprocess.Image(schema, 64, 64, np.zeros(3), np.ones(3))
    recipe = maas.recipe(maas.nn.Backbone, name="resnet18", out_features=3, height=64, width=64)
    torch.manual_seed(0)
    task = maas.task.Classification.learn(np.array(["a", "b", "c"], object))
    model = Model(recipe.build(), recipe=recipe, schema=schema, preprocess=preprocess, task=task)
    made = fused(model)
    kinds = [type(one) for one in made.network.modules()]
    assert (kinds.count(FusedResidual), kinds.count(FusedConv2d)) == (8, 20)
    assert nn.BatchNorm2d not in kinds


def test_bfloat16_is_vouched_for_or_refused(images, tmp_path, monkeypatch):
    model, test = images
    monkeypatch.setattr("maas.model._vouch._gain", lambda model, batch: 2.0)  # which of two is faster is not the point
    made = fuse(model, test, precision="bfloat16", max_drop=0.05)
    assert made.precision == "bfloat16"
    assert made.card["compression"][0]["method"] == "fuse bfloat16"
    assert maas.load(made.save(tmp_path / "m"), precision="bfloat16").card["precision"]["bfloat16"]["held"]
    monkeypatch.setattr("maas.model._vouch._gain", lambda model, batch: 0.9)
    with pytest.raises(CompressionError, match=r"bfloat16 is 0.9 times as fast here; stay in float32"):
        fuse(model, test, precision="bfloat16", max_drop=0.05)


def test_what_cannot_be_fused_is_refused(images, wine_csv):
    model, test = images
    made = fuse(model, test)
    with pytest.raises(CompressionError, match="went through 'folded_batch_norm' already; fuse the one that it was"):
        fuse(made, test)
    with pytest.raises(DataError, match="`precision` must be one of float32, bfloat16, got 'int4'"):
        fuse(model, test, precision="int4")
    with pytest.raises(DataError, match="`max_drop` must be"):
        fuse(model, test, max_drop=-1)
    table = maas.data.read_table(wine_csv, target="cultivar")
    plain = maas.fit(maas.recipe(maas.nn.MLP, hidden=(8,)), table, epochs=1, device="cpu", progress=False)
    with pytest.raises(CompressionError, match="a mlp has no convolution over images that could be fused"):
        fuse(plain, table)


def test_it_takes_part_in_a_search_over_images(images, monkeypatch):
    monkeypatch.setattr("maas.model._vouch._gain", lambda model, batch: 2.0)
    model, test = images
    how = {"shares": (0.5,), "epochs": 1, "fit_options": {}}
    on_top = {"pruned 0.5 + fused", "pruned 0.5 + fused, bfloat16", "distilled + fused"}
    assert on_top <= {one.name for one in grid(test, test, fusible=True, **how)}
    assert not [one for one in grid(test, test, fusible=False, **how) if "fused" in one.name]
    steps = [one for one in grid(test, None, fusible=True, **how) if one.name.startswith("fused")]
    made, tried = _try(model, model.score(test), steps, 0.9, lambda text: None)
    assert {name: one.precision for name, one in made.items()} == {
        "as it is": "float32",
        "fused": "float32",
        "fused, bfloat16": "bfloat16",
    }
    assert tried[1].drop == 0
