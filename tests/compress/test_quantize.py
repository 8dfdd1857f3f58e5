"""maas.compress.quantize: what it gives answers about as well, is stored smaller, and comes back the same."""

from __future__ import annotations

import os
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import maas
from maas.compress import quantize
from maas.data import Rows
from maas.errors import CompressionError, DataError, FormatError, RecipeError
from maas.model import _stored
from maas.nn import _int8
from maas.nn._int8 import Int8Conv2d, Int8Embedding, Int8Layer, Int8Linear
from maas.preprocess import Text
from maas.schema import Field, Schema


def _digits() -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits

    digits = load_digits()
    return digits.data.astype(np.float32), digits.target


@pytest.fixture(scope="module")
def table() -> tuple[maas.Model, tuple[np.ndarray, np.ndarray]]:
    """An MLP with a heavy layer and a light one, and batch normalisation."""
    x, y = _digits()
    recipe = maas.recipe(maas.nn.MLP, hidden=(1024, 576), normalization="batch")
    model = maas.fit(recipe, (x[:1000], y[:1000]), epochs=2, learning_rate=1e-3, device="cpu", progress=False)
    return model, (x[1000:], y[1000:])


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> tuple[maas.Model, Rows]:
    """A residual network over digits of 24 x 24 pixels."""
    x, y = _digits()
    pixels = (x[:800] * 15).astype(np.uint8).reshape(-1, 8, 8).repeat(3, axis=1).repeat(3, axis=2)
    folder = tmp_path_factory.mktemp("digits")
    (folder / "images").write_bytes(struct.pack(">IIII", 0x803, *pixels.shape) + pixels.tobytes())
    (folder / "labels").write_bytes(struct.pack(">II", 0x801, len(pixels)) + y[:800].astype(np.uint8).tobytes())
    rows = maas.data.read_images((folder / "images", folder / "labels"), task="classification")
    recipe = maas.recipe(maas.nn.ResNet, width=28)
    settings = {"epochs": 2, "learning_rate": 3e-3, "batch_size": 32, "device": "cpu", "progress": False}
    return maas.fit(recipe, rows.take(range(500)), **settings), rows.take(range(500, 800))


@pytest.fixture(scope="module")
def texts() -> tuple[maas.Model, Rows]:
    """A table of vectors, a recurrent network, a light linear layer."""
    random = np.random.default_rng(0)
    words = np.array([f"w{place}" for place in range(2000)])
    lines = [" ".join(random.choice(words, 12)) + (" good" if place % 2 else " bad") for place in range(400)]
    schema = Schema((Field("text", "text", "string"),))
    columns = {"text": np.array(lines, object)}
    rows = Rows(
        schema, columns, target=np.array(["no", "yes"] * 200, object), target_name="label", task="classification"
    )
    recipe = maas.recipe(maas.nn.TextRNN, embedding_dim=96, hidden_size=16)
    preprocess = Text.with_options(tokenizer="word")
    model = maas.fit(recipe, rows, preprocess=preprocess, epochs=2, learning_rate=0.01, device="cpu", progress=False)
    return model, rows


def _size(folder: Path) -> int:
    return os.path.getsize(folder / "model.safetensors")


@pytest.mark.parametrize("kind", ["table", "images", "texts"])
@pytest.mark.parametrize(("method", "times"), [("int8", 3.2), ("int8_weights", 3.2), ("bfloat16", 1.9)])
def test_a_quantised_model_is_smaller_and_comes_back_to_the_bit(kind, method, times, request, tmp_path):
    model, test = request.getfixturevalue(kind)
    before = {name: one.clone() for name, one in model.network.state_dict().items()}
    plain = model.save(tmp_path / "plain")
    found = quantize(model, test, method=method, max_drop=0.02)
    stored = found.save(tmp_path / "small")
    assert _size(plain) / _size(stored) > times
    loaded = maas.load(stored)
    assert loaded.recipe == found.recipe
    x = test[0] if isinstance(test, tuple) else test
    np.testing.assert_array_equal(loaded.predict(x)["probabilities"], found.predict(x)["probabilities"])
    loaded.save(tmp_path / "again")
    assert maas.load(tmp_path / "again").digest == loaded.digest
    assert all(torch.equal(one, before[name]) for name, one in model.network.state_dict().items())
    assert model.recipe.transforms == ()


def test_what_was_done_stands_in_the_card(table, tmp_path):
    model, test = table
    evaluation = model.evaluate(test)
    model.card["precision"] = {"bfloat16": {"held": True}}
    loaded = maas.load(model.save(tmp_path / "plain", evaluation=evaluation))
    card = maas.load(quantize(loaded, test, max_drop=0.02).save(tmp_path / "small")).card
    del model.card["precision"]
    assert card["lineage"] == {"parent": loaded.digest}
    (outcome,) = card["compression"]
    assert (outcome["method"], outcome["primary"], outcome["num_rows"]) == ("quantize int8", "accuracy", len(test[0]))
    assert outcome["before"] == pytest.approx(evaluation.scores["accuracy"])
    assert card["evaluation"] is None  # it is the other model's
    assert "precision" not in card
    assert card["training"] == loaded.card["training"]


def test_heavy_layers_compute_in_integers_and_light_ones_in_floats(table, images, texts):
    def kinds(model: maas.Model) -> list[type[nn.Module]]:
        return [type(one) for one in model.network.modules() if isinstance(one, (Int8Layer, Int8Embedding, nn.Linear))]

    assert kinds(quantize(*table, max_drop=0.02)) == [nn.Linear, Int8Linear, nn.Linear]
    small = quantize(*images, max_drop=0.02)
    assert kinds(small).count(Int8Conv2d) == 6
    assert not any(isinstance(one, nn.BatchNorm2d) for one in small.network.modules())
    assert kinds(quantize(*texts, max_drop=0.02)) == [Int8Embedding, nn.Linear]
    assert [one.kind for one in small.recipe.transforms] == ["folded_batch_norm", "int8", "int8_weights"]


def test_a_processor_without_kernels_answers_its_golden_rows_too(images, tmp_path, monkeypatch):
    model, test = images
    found = quantize(model, test, max_drop=0.02)
    found.save(tmp_path / "m")
    monkeypatch.setattr(_int8, "has_kernels", lambda: False)
    other = maas.load(tmp_path / "m")  # the golden rows are answered here
    np.testing.assert_allclose(other.predict(test)["probabilities"], found.predict(test)["probabilities"], atol=0.02)


def _copy(model: maas.Model) -> maas.Model:
    parts = {"schema": model.schema, "preprocess": model.preprocess, "task": model.task}
    made = maas.Model(model.recipe.build(), recipe=model.recipe, **parts)
    made.network.load_state_dict(model.network.state_dict())
    return made


def test_over_budget_is_refused_with_the_scores(table):
    """Pixel 0 is always 0, so that its weights change no answer, but take all codes of their rows."""
    model, (x, _) = table
    assert (x[:, 0] == 0).all()
    broken = _copy(model)
    with torch.no_grad():
        broken.network.get_parameter("hidden.0.weight")[:, 0] *= 1e5
    judge = (x, broken.predict(x)["label"])
    with pytest.raises(CompressionError, match=r"quantize int8_weights takes accuracy from 1\.0000 to .*may cost 0"):
        quantize(broken, judge, method="int8_weights", max_drop=0.0)


def test_layers_that_cost_too_much_stay_in_floats(images):
    """A layer reads a channel that is always 500 and that it has no use for; the truth is what the float model answers.

    The budget is one that this layer in integers breaks.
    """
    model, test = images
    broken = _copy(model)
    with torch.no_grad():
        _, norm, _ = broken.network.first
        norm.weight[0], norm.bias[0] = 0.0, 500.0
        broken.network.stages[0][0].weight[:, 0] = 0.0
    judge = replace(test, target=np.array(broken.predict(test)["label"].tolist(), object))
    whole = quantize(broken, judge, max_drop=0.9)
    (int8,) = [one for one in whole.recipe.transforms if one.kind == "int8"]
    drop = whole.card["compression"][0]["drop"]
    assert drop > 0.02
    better = quantize(broken, judge, max_drop=drop / 2)
    left = [form.name for one in better.recipe.transforms if one.kind == "int8" for form in one.layers]
    assert 0 < len(left) < len(int8.layers)
    assert "stages.0.0" not in left


@pytest.mark.parametrize("method", ["int8", "int8_weights", "bfloat16"])
def test_a_quantised_model_is_not_quantised_again_nor_trained(table, method):
    model, test = table
    found = quantize(model, test, method=method, max_drop=0.02)
    with pytest.raises(CompressionError, match="already; quantize the one that it was made from"):
        quantize(found, test)
    with pytest.raises(RecipeError, match="cannot be trained once it went through"):
        maas.fit(found.recipe, test, start=found, epochs=1, progress=False)


def test_integers_have_no_gradients_and_no_other_precision(table):
    model, test = table
    found = quantize(model, test, max_drop=0.02)
    with pytest.raises(DataError, match=r"'int8' has no gradients.*explain those of the model that it was made from"):
        found.explain(test[0][:1])
    with pytest.raises(DataError, match="computes in integers and has no other precision"):
        found.set_precision("bfloat16")
    with pytest.raises(DataError, match="has no other precision"):
        found.vouch(test)
    assert found.to("cpu").precision == "float32"
    stored = quantize(model, test, method="int8_weights", max_drop=0.02)
    assert len(stored.explain(test[0][:1])) == 1
    assert stored.set_precision("bfloat16").predict(test[0][:1])["label"].shape == (1,)


def test_the_rows_that_integers_span_can_be_given(table):
    model, (x, y) = table
    (ours,) = [one for one in quantize(model, (x, y), max_drop=0.02).network.modules() if isinstance(one, Int8Linear)]
    other = quantize(model, (x, y), calibration=x * 3, max_drop=0.5).network
    (theirs,) = [one for one in other.modules() if isinstance(one, Int8Linear)]
    assert theirs.get_buffer("input_scale") > 1.5 * ours.get_buffer("input_scale")


def test_arguments_are_checked(table):
    model, test = table
    with pytest.raises(CompressionError, match="`method` must be one of int8, int8_weights, bfloat16, got 'int4'"):
        quantize(model, test, method="int4")
    with pytest.raises(DataError, match="max_drop"):
        quantize(model, test, max_drop=1.0)
    with pytest.raises(DataError, match="has no target"):
        quantize(model, test[0])
    none = maas.data.from_arrays(test[0]).take([])
    with pytest.raises(CompressionError, match="`calibration` has no row that the model can read"):
        quantize(model, test, calibration=none)


def test_tensors_of_a_file_are_checked(table):
    model, test = table
    found = quantize(model, test, max_drop=0.02)
    _, tensors = _stored.description_of(found)
    network = {name.removeprefix("network."): one for name, one in tensors.items() if name.startswith("network.")}
    (int8,) = [one for one in found.recipe.transforms if one.kind == "int8"]
    (form,) = int8.layers
    for name, value, message in (
        ("weight", torch.full_like(network[f"{form.name}.weight"], -128), "from -127 to 127"),
        ("weight_scale", network[f"{form.name}.weight_scale"] * torch.nan, "finite and above 0"),
        ("input_scale", torch.tensor(0.0), "scale of the input of .* finite and above 0"),
        ("input_scale", torch.tensor(torch.inf), "scale of the input of .* finite and above 0"),
        ("input_zero_point", torch.tensor(256, dtype=torch.int32), "zero point of the input of .* from 0 to 255"),
    ):
        with pytest.raises(FormatError, match=message):
            int8.restored({**network, f"{form.name}.{name}": value})
