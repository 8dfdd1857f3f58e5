"""What is stored of a model and loaded again: the same bits, cards, golden rows, and networks of one's own."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

import maas
from maas import Model, artifact
from maas.data import Rows
from maas.errors import ArtifactError, DataError, FormatError, RowError, SkewError
from maas.nn._register import _REGISTER
from maas.preprocess import Table
from maas.schema import Field, Schema
from maas.task import Answers, Classification, Regression

from .conftest import edit, rehash

Parts = tuple[Rows, Rows]


def _equal(one: Answers, other: Answers) -> bool:
    return one.names == other.names and all(np.array_equal(one[name], other[name]) for name in one.columns)


def _copy(artifact: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(artifact, tmp_path / "copy"))


@pytest.mark.parametrize("name", ["wine_model", "cancer_model", "mixed_model", "vector_model"])
def test_saved_and_loaded_it_answers_bit_for_bit(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    model = request.getfixturevalue(name)
    rows = model.preprocess.examples(50)
    path = model.save(tmp_path / "a" / "b")
    loaded = maas.load(path)
    assert _equal(loaded.predict(rows), model.predict(rows))
    assert (loaded.schema, loaded.recipe, loaded.task, loaded.target) == (
        model.schema,
        model.recipe,
        model.task,
        model.target,
    )
    assert not loaded.network.training
    assert maas.load(loaded.save(tmp_path / "again")).digest == loaded.digest
    assert sorted(one.name for one in (tmp_path / "a").iterdir()) == ["b"]


def test_a_card_can_be_edited_without_making_another_model(wine_artifact: Path, tmp_path: Path) -> None:
    folder = _copy(wine_artifact, tmp_path)
    edit(folder, "card.json", note="checked by hand")
    loaded = maas.load(folder)
    assert loaded.digest == maas.load(wine_artifact).digest
    assert loaded.card["note"] == "checked by hand"


def test_saving_replaces_an_artifact(wine_model: Model, cancer_model: Model, tmp_path: Path) -> None:
    wine_model.save(tmp_path / "a")
    cancer_model.save(tmp_path / "a")
    assert maas.load(tmp_path / "a").target == "diagnosis"
    assert [one.name for one in tmp_path.iterdir()] == ["a"]


def test_the_evaluation_goes_into_the_card(wine_model: Model, wine_split: Parts, tmp_path: Path) -> None:
    evaluation = wine_model.evaluate(wine_split[1])
    card = maas.load(wine_model.save(tmp_path / "a", evaluation=evaluation)).card
    assert maas.Evaluation.from_json(card["evaluation"]) == evaluation
    assert card["num_parameters"] == 13 * 16 + 16 + 16 * 3 + 3


def test_a_users_examples_are_the_golden_rows(wine_model: Model, wine_split: Parts, tmp_path: Path) -> None:
    rows = wine_split[1].to_dicts()[:2]
    loaded = maas.load(wine_model.save(tmp_path / "a", examples=rows))
    assert loaded.example["rows"] == rows
    assert loaded.example["answers"] == wine_model.predict(rows).to_dicts()
    with pytest.raises(RowError, match="row 1: field 'hue' must be a number, got null"):
        wine_model.save(tmp_path / "b", examples=[rows[0], {**rows[1], "hue": None}])
    assert not (tmp_path / "b").exists()


def _by_hand(network: nn.Module, recipe: maas.Recipe, task: Any, fields: int = 2) -> Model:
    schema = Schema(tuple(Field(f"f{place}", "numeric", "number") for place in range(fields)))
    return Model(network, recipe=recipe, schema=schema, preprocess=Table.identity(schema), task=task, target="y")


def test_a_network_trained_by_hand_goes_the_same_way(tmp_path: Path) -> None:
    """Reference: the torch module itself, on the raw numbers."""
    network = maas.nn.MLP(2, 3, hidden=(4,), seed=0)
    model = _by_hand(network, maas.recipe(maas.nn.MLP, in_features=2, out_features=3, hidden=(4,)), _three())
    loaded = maas.load(model.save(tmp_path / "a"))
    x = np.random.default_rng(0).normal(size=(9, 2))
    with torch.no_grad():
        wanted = torch.softmax(network(torch.from_numpy(x).float()), 1).numpy()
    answers = loaded.predict([{"f0": one, "f1": other} for one, other in x.tolist()])
    np.testing.assert_array_equal(answers["probabilities"], wanted)


def _three() -> Classification:
    return Classification(("a", "b", "c"))


def test_a_registered_class_of_ones_own(tmp_path: Path) -> None:
    @maas.network("test.scaled")
    class Scaled(nn.Module):
        def __init__(self, width: int, *, factor: float = 2.0) -> None:
            super().__init__()
            self.linear = nn.Linear(width, 1)
            self.register_buffer("factor", torch.tensor(factor))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.linear(x) * self.factor

    network = Scaled(2, factor=3.0)
    model = _by_hand(network, maas.recipe(Scaled, width=2, factor=3.0), Regression(10.0, 5.0))
    path = model.save(tmp_path / "a")
    with torch.no_grad():
        wanted = 10 + 5 * network(torch.tensor([[0.5, -1.0]])).item()
    assert maas.load(path).predict({"f0": 0.5, "f1": -1.0}) == {"value": wanted}
    del _REGISTER["test.scaled"]
    with pytest.raises(FormatError, match=r"no network is registered as 'test.scaled'; import the module"):
        maas.load(path)


def test_the_stored_recipe_has_every_default_bound(tmp_path: Path) -> None:
    """docs/artifact-format.md: "all arguments of the network, with every default bound"."""
    recipe = maas.recipe(maas.nn.MLP, in_features=2, out_features=3, hidden=())
    path = _by_hand(maas.nn.MLP(2, 3, hidden=()), recipe, _three()).save(tmp_path / "a")
    stored = json.loads((path / "artifact.json").read_text())["recipe"]["arguments"]
    assert {"activation", "dropout", "normalization", "initialization"} <= set(stored)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_answer_nothing_finite_are_not_saved(bad: float, tmp_path: Path) -> None:
    network = maas.nn.MLP(2, 3, hidden=())
    model = _by_hand(network, maas.recipe(maas.nn.MLP, in_features=2, out_features=3, hidden=()), _three())
    with torch.no_grad():
        network.output.bias[1] = bad
    with pytest.raises(ArtifactError, match="the model answers its example rows with NaN or infinity and will not be"):
        model.save(tmp_path / "a")
    assert list(tmp_path.iterdir()) == []
    row = model.preprocess.examples(1)[0]
    with pytest.raises(DataError, match="row 0: the network gives no finite number for this row"):
        model.predict(row)  # as the served model says


def test_what_is_no_artifact_is_not_replaced(wine_model: Model, tmp_path: Path) -> None:
    folder, file = tmp_path / "folder", tmp_path / "file"
    folder.mkdir()
    (folder / "thesis.txt").write_text("years of work")
    file.write_text("more of it")
    for path in (folder, file):
        with pytest.raises(ArtifactError, match="is not an artifact and will not be replaced; choose another folder"):
            wine_model.save(path)
    assert (folder / "thesis.txt").read_text() == "years of work"
    assert file.read_text() == "more of it"
    assert {one.name for one in tmp_path.iterdir()} == {"folder", "file"}


@pytest.mark.parametrize("which", ["label", "probability", "missing class", "type"])
def test_other_answers_are_skew(which: str, wine_artifact: Path, tmp_path: Path) -> None:
    folder = _copy(wine_artifact, tmp_path)
    answers = json.loads((folder / "example.json").read_text())["answers"]
    if which == "label":
        answers[1]["label"] = (answers[1]["label"] + 1) % 3
    elif which == "probability":
        answers[1]["probabilities"]["0"] += 1e-3
    elif which == "missing class":
        del answers[1]["probabilities"]["0"]
    else:
        answers[1]["label"] = str(answers[1]["label"])
    edit(folder, "example.json", answers=answers)
    with pytest.raises(SkewError, match=r"golden row 1 was answered .* when the model was saved, and is answered"):
        maas.load(folder)


@pytest.mark.parametrize(("tolerance", "loads"), [(2e-3, True), (5e-4, False)])
def test_the_tolerance_decides(tolerance: float, loads: bool, wine_artifact: Path, tmp_path: Path) -> None:
    """docs/artifact-format.md: numbers may differ by tolerance times the larger of 1 and the expected number."""
    folder = _copy(wine_artifact, tmp_path)
    answers = json.loads((folder / "example.json").read_text())["answers"]
    answers[0]["probabilities"]["1"] += 1e-3
    edit(folder, "example.json", answers=answers, tolerance={"float32": tolerance})
    if loads:
        assert maas.load(folder).example["tolerance"] == {"float32": tolerance}
    else:
        with pytest.raises(SkewError, match="golden row 0"):
            maas.load(folder)


def test_large_numbers_may_differ_in_proportion(tmp_path: Path) -> None:
    recipe = maas.recipe(maas.nn.MLP, in_features=2, out_features=1, hidden=())
    model = _by_hand(maas.nn.MLP(2, 1, hidden=(), seed=0), recipe, Regression(1e6, 1.0))
    folder = model.save(tmp_path / "a")
    answers = json.loads((folder / "example.json").read_text())["answers"]
    for step, loads in ((9.0, True), (11.0, False)):  # 1e-5 of a million
        edit(folder, "example.json", answers=[{"value": one["value"] + step} for one in answers])
        if loads:
            maas.load(folder)
        else:
            with pytest.raises(SkewError, match="golden row 0"):
                maas.load(folder)


@pytest.mark.parametrize("unit", [1e-7, 1.0, 1e9])
def test_golden_rows_see_another_network_whatever_the_targets_unit(unit: float, tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(80, 3))
    model = maas.fit(maas.recipe(maas.nn.MLP, hidden=(4,)), (x, x.sum(axis=1) * unit), epochs=3, device="cpu")
    folder = model.save(tmp_path / "m")
    assert np.abs(maas.load(folder).predict(x)["value"] - model.predict(x)["value"]).max() <= 1e-5 * unit * 2
    tensors = safetensors.torch.load_file(folder / "model.safetensors")
    tensors["network.output.weight"] *= 1.001
    safetensors.torch.save_file(tensors, folder / "model.safetensors")
    rehash(folder)
    with pytest.raises(SkewError, match="golden row"):
        maas.load(folder)


@maas.network("test.with_buffer")
class WithBuffer(torch.nn.Module):
    """Computes a buffer when it is built, which `state_dict` leaves out."""

    scale: torch.Tensor

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.output = torch.nn.Linear(in_features, out_features)
        self.register_buffer("scale", torch.arange(1.0, in_features + 1), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        outputs: torch.Tensor = self.output(x * self.scale)
        return outputs


def test_a_buffer_that_is_not_stored_is_computed_again(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(60, 3))
    recipe = maas.recipe(WithBuffer, in_features=3, out_features=1)
    model = maas.fit(recipe, (x, (x[:, 0] > 0).astype(int)), epochs=1, device="cpu")
    assert maas.load(model.save(tmp_path / "m")).predict(x).to_dicts() == model.predict(x).to_dicts()


def test_a_reader_never_sees_two_savings_mixed(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(60, 3))
    models = [
        maas.fit(maas.recipe(maas.nn.MLP, hidden=(4,)), (x, x[:, 0]), epochs=1, seed=seed, device="cpu", progress=False)
        for seed in (0, 1)
    ]
    digests = set()
    for model in models:
        digests.add(maas.load(model.save(tmp_path / "m")).digest)
    done = threading.Event()

    def write() -> None:
        while not done.is_set():
            for model in models:
                model.save(tmp_path / "m")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        seen = {artifact.read(tmp_path / "m").digest for _ in range(300)}
    finally:
        done.set()
        writer.join()
    assert seen <= digests


def test_what_nobody_could_read_back_is_not_written(
    wine_model: maas.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = wine_model.save(tmp_path / "wine")
    size = (good / "artifact.json").stat().st_size
    monkeypatch.setattr("maas.artifact._MOST_JSON_BYTES", size - 1)
    with pytest.raises(ArtifactError, match=f"artifact.json would have {size:,} bytes, and may have {size - 1:,}"):
        wine_model.save(tmp_path / "wine")
    with pytest.raises(ArtifactError, match="larger than"):  # the same limit that reading has
        maas.load(good)
    monkeypatch.setattr("maas.artifact._MOST_JSON_BYTES", max(one.stat().st_size for one in good.glob("*.json")))
    maas.load(wine_model.save(tmp_path / "wine"))
