"""A network elsewhere answers as the model does, from what stands beside it alone; what cannot be exported says why.

Which kinds of networks can be is measured by benchmarks/export_kinds.py; here are some that go different ways.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from safetensors.numpy import load_file

import maas
from maas.data import Rows, read_interactions, read_sequences, read_texts
from maas.errors import ExportError
from maas.exporting import _export
from maas.exporting._scan import with_scans

SETTINGS: dict[str, Any] = {"epochs": 1, "device": "cpu", "progress": False}


def test_wine_as_onnx_by_what_stands_beside_it_alone(
    wine_artifact: Path, wine_split: tuple[Rows, Rows], tmp_path: Path
) -> None:
    """From raw rows to labels without maas, as somebody would write it in another language."""
    model = maas.load(wine_artifact)
    folder = maas.export(model, tmp_path / "wine")
    assert sorted(one.name for one in folder.iterdir()) == ["arrays.safetensors", "model.json", "model.onnx"]
    document, arrays = json.loads((folder / "model.json").read_text()), load_file(folder / "arrays.safetensors")
    assert document["made_of"]["digest"] == model.digest
    assert document["inputs"] == [
        {"name": "x", "dtype": "float32", "shape": ["batch", 13], "below": None, "lengths": None}
    ]
    rows = wine_split[1].to_dicts()
    raw = np.array([[row[field["name"]] for field in document["schema"]] for row in rows])
    x = ((raw - arrays["preprocess.mean"]) / arrays["preprocess.scale"]).astype(np.float32)
    (outputs,) = onnxruntime.InferenceSession(folder / "model.onnx").run(["outputs"], {"x": x})
    assert document["task"]["apply"] == "softmax"
    labels = [document["task"]["state"]["classes"][place] for place in outputs.argmax(axis=1)]
    assert labels == model.predict(wine_split[1])["label"].tolist()
    (given,) = onnxruntime.InferenceSession(folder / "model.onnx").run(["outputs"], {"x": arrays["example.x"]})
    np.testing.assert_allclose(given, arrays["example.outputs"], atol=document["tolerance"])
    assert document["example"]["answers"] == model.predict(document["example"]["rows"]).to_dicts()
    graph = onnx.load(folder / "model.onnx").graph
    assert [one.dim_param or one.dim_value for one in graph.input[0].type.tensor_type.shape.dim] == ["batch", 13]


def _pt2(folder: Path, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
    document = json.loads((folder / "model.json").read_text())
    module = torch.export.load(folder / document["file"]).module()
    outputs: torch.Tensor = module(*[inputs[one["name"]] for one in document["inputs"]])
    return outputs


def test_a_recurrent_network_as_pt2_for_any_number_of_rows_and_steps(tmp_path: Path) -> None:
    drawn = np.random.default_rng(0)
    series = [drawn.normal(row % 3, 1, (drawn.integers(2, 25), 2)) for row in range(60)]
    rows = read_sequences(series, target=["low", "middle", "high"] * 20)
    recurrent = maas.fit(maas.recipe(maas.nn.RNN, cell="gru", hidden_size=4), rows, **SETTINGS)
    folder = maas.export(recurrent, tmp_path / "gru", format="pt2")
    document = json.loads((folder / "model.json").read_text())
    assert [one["shape"] for one in document["inputs"]] == [["batch", "sequence_steps", 2], ["batch"]]
    assert document["inputs"][0]["lengths"] == "sequence_lengths"
    assert document["least"] == {"batch": 1, "sequence_steps": 1}
    generator = torch.Generator().manual_seed(0)
    for count, steps in ((1, 1), (7, 3), (2, 90)):
        lengths = torch.randint(1, steps + 1, (count,), generator=generator)
        inputs = {"sequence": torch.randn(count, steps, 2, generator=generator), "sequence_lengths": lengths}
        with torch.inference_mode():
            torch.testing.assert_close(_pt2(folder, inputs), recurrent.network(**inputs), atol=1e-5, rtol=0)
    # Neither does it say where on this machine the code stands that it was traced from.
    here = str(Path(maas.__file__).parent).encode()
    assert not any(here in file.read_bytes() for file in folder.iterdir())


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_a_scan_computes_what_the_layer_does(cell: str) -> None:
    """Against torch's own layers."""
    network = maas.nn.RNN(3, 2, cell=cell, hidden_size=5, num_layers=2, bidirectional=True, seed=0).eval()
    inputs = torch.randn(4, 9, 3, generator=torch.Generator().manual_seed(0)), torch.tensor([9, 1, 4, 7])
    with torch.inference_mode():
        torch.testing.assert_close(with_scans(network)(*inputs), network(*inputs), atol=1e-6, rtol=0)


def test_texts_as_onnx_with_a_threshold(tmp_path: Path) -> None:
    said = (["good day", "a bad night", "good", "bad bad day"] * 15, ["yes", "no"] * 30)
    recipe = maas.recipe(maas.nn.TextTransformer, width=8, num_heads=2, num_layers=1)
    model = maas.fit(recipe, read_texts(said), **SETTINGS)
    folder = maas.export(model, tmp_path / "text")
    document = json.loads((folder / "model.json").read_text())
    assert document["inputs"][0]["shape"][:2] == ["batch", "tokens_steps"]
    assert document["task"]["apply"] == "sigmoid"
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    batch = model.prepare([{"text": "good bad good day and a night of it"}]).batch
    (outputs,) = session.run(["outputs"], {name: one.numpy() for name, one in batch.inputs.items()})
    expected = model.predict([{"text": "good bad good day and a night of it"}])["probabilities"][0, 1]
    assert 1 / (1 + np.exp(-outputs[0, 0])) == pytest.approx(expected, abs=1e-5)


def test_a_network_whose_work_depends_on_the_data_is_refused_with_the_reason(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pairs = [(f"u{user}", f"i{item}") for user in range(10) for item in range(user % 3, 9, 2)]
    clicks = read_interactions({"user": [user for user, _ in pairs], "item": [item for _, item in pairs]})
    model = maas.fit(maas.recipe(maas.nn.ItemNeighbours, neighbours=3), clicks, device="cpu")
    with pytest.raises(
        ExportError,
        match=r"the network 'item_neighbours' cannot be written as pt2: Could not extract .*; docs/export\.md lists",
    ):
        maas.export(model, tmp_path / "clicks", format="pt2")
    assert not (tmp_path / "clicks").exists()
    assert capfd.readouterr() == ("", "")  # torch would print its graph


def test_an_export_that_answers_otherwise_is_not_kept(
    wine_model: maas.Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exporter with a fault: what it wrote gives outputs that are a thousandth off."""
    write, run = _export.FORMATS["pt2"]

    def off(path: Path, names: tuple[str, ...]) -> Any:
        right = run(path, names)
        return lambda inputs: right(inputs) + 1e-3

    monkeypatch.setitem(_export.FORMATS, "pt2", (write, off))
    with pytest.raises(ExportError, match=r"as pt2 answers otherwise than the model: outputs differ by 0\.001"):
        maas.export(wine_model, tmp_path / "wine", format="pt2")
    monkeypatch.setitem(
        _export.FORMATS, "pt2", (write, lambda *_: lambda inputs: torch.full((len(inputs["x"]), 3), torch.nan))
    )
    with pytest.raises(ExportError, match="outputs differ by nan"):
        maas.export(wine_model, tmp_path / "wine", format="pt2")
    assert not (tmp_path / "wine").exists()


def test_what_cannot_be_asked(wine_model: maas.Model, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="`format` must be one of onnx, pt2, got 'tflite'"):
        maas.export(wine_model, tmp_path / "wine", format="tflite")
    (tmp_path / "mine.txt").write_text("hello")
    with pytest.raises(ExportError, match="is not an export and will not be replaced; choose another folder"):
        maas.export(wine_model, tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "hello"
    wine_model.set_precision("bfloat16")
    try:
        with pytest.raises(ExportError, match="answers in bfloat16; export it on the CPU and in float32"):
            maas.export(wine_model, tmp_path / "wine")
    finally:
        wine_model.set_precision("float32")
