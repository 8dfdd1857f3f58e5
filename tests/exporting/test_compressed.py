"""What compression made is exported where a format holds it, and else refused with the reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from safetensors.numpy import load_file

import maas
from maas.compress import prune, quantize
from maas.errors import ExportError

Rows = tuple[np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def digits() -> tuple[Rows, Rows]:
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return (x[:1000].astype(np.float32), y[:1000]), (x[1000:].astype(np.float32), y[1000:])


@pytest.fixture(scope="module")
def model(digits: tuple[Rows, Rows]) -> maas.Model:
    """An MLP whose layers are heavy enough for int8 kernels."""
    recipe = maas.recipe(maas.nn.MLP, hidden=(1024, 576))
    return maas.fit(recipe, digits[0], epochs=2, learning_rate=1e-3, device="cpu", progress=False)


@pytest.fixture(params=["pruned", "int8_weights", "bfloat16"])
def smaller(request: pytest.FixtureRequest, model: maas.Model, digits: tuple[Rows, Rows]) -> maas.Model:
    if request.param != "pruned":
        return quantize(model, digits[1], method=request.param, max_drop=0.5)
    return prune(model, digits[1], share=0.5, max_drop=0.9)


@pytest.mark.parametrize("format", ["onnx", "pt2"])
def test_a_compressed_model_answers_elsewhere_as_it_does_here(smaller: maas.Model, tmp_path: Path, format: str) -> None:
    saved = maas.load(smaller.save(tmp_path / "artifact"))
    folder = maas.export(saved, tmp_path / "export", format=format)
    assert (folder / f"model.{format}").stat().st_size > 100_000
    if format == "onnx":
        arrays = load_file(folder / "arrays.safetensors")
        (given,) = onnxruntime.InferenceSession(folder / "model.onnx").run(["outputs"], {"x": arrays["example.x"]})
        np.testing.assert_allclose(given, arrays["example.outputs"], atol=1e-3)


def test_a_pruned_network_is_exported_as_small_as_it_is(
    model: maas.Model, digits: tuple[Rows, Rows], tmp_path: Path
) -> None:
    made = prune(model, digits[1], share=0.5, max_drop=0.9)
    sizes = [(maas.export(one, tmp_path / "export") / "model.onnx").stat().st_size for one in (model, made)]
    assert sizes[1] < 0.5 * sizes[0]


@pytest.mark.parametrize("format", ["onnx", "pt2"])
def test_kernels_that_no_format_holds_are_refused(
    model: maas.Model, digits: tuple[Rows, Rows], tmp_path: Path, format: str
) -> None:
    made = quantize(model, digits[1], max_drop=0.5)
    assert made.recipe.transforms
    with pytest.raises(
        ExportError, match=r"it was compressed \(int8, int8_weights\): export the model that it was made of"
    ):
        maas.export(made, tmp_path / "export", format=format)
    assert not (tmp_path / "export").exists()
