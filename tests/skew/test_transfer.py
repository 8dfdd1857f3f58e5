"""A backbone fine-tuned from given weights: the served model answers as the one in process, whatever is sent."""

import base64
import io
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from sklearn.datasets import load_digits
from torchvision import models

import maas
from maas.preprocess import Image
from maas.serving import Server

from .conftest import answer_of

Served = tuple[maas.Model, maas.data.Rows, Path]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Served:
    """MobileNetV3, from a file under torchvision's names, its head learned on a few digits at 32 x 32 pixels."""
    bunch = load_digits()
    x = (bunch.images[:200] * 255 / 16).round().astype("uint8")
    train, test = maas.data.read_images((x, bunch.target[:200])).split(0.2, seed=0)
    folder = tmp_path_factory.mktemp("transfer")
    torch.manual_seed(0)
    torch.save(models.mobilenet_v3_small(weights=None).state_dict(), folder / "weights.pth")
    model = maas.fit(
        maas.recipe(maas.nn.Backbone, name="mobilenet_v3_small"),
        train,
        preprocess=Image.published("mobilenet_v3_small", size=32),
        start=folder / "weights.pth",
        freeze="body",
        epochs=1,
        device="cpu",
        progress=False,
    )
    maas.package(model.save(folder / "transfer"), store=folder)
    return model, test, folder


def test_served_answers_are_those_in_process_bit_for_bit(trained: Served, server: Server) -> None:
    model, test, _ = trained
    with server.client("transfer") as client:
        assert list(client.predict(test.to_dicts())) == model.predict(test).to_dicts()


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P"])
def test_an_image_of_any_kind_and_size(trained: Served, http: httpx.Client, mode: str) -> None:
    ramp, buffer = np.linspace(0, 255, 300 * 50 * 3).reshape(300, 50, 3).astype(np.uint8), io.BytesIO()
    Pillow.fromarray(ramp).convert(mode).save(buffer, "PNG")
    answer = http.post("/predictions/transfer", content=buffer.getvalue(), headers={"Content-Type": "image/png"})
    assert answer_of(answer) == trained[0].predict({"image": buffer.getvalue()})


def test_a_row_among_others_gets_the_answer_it_gets_alone(trained: Served, server: Server) -> None:
    """Kernels change with the size of a batch: the label is the same, and probabilities to 1e-5."""
    rows = trained[1].to_dicts()[:5]
    with server.client("transfer") as client:
        together, alone = list(client.predict(rows)), [client.predict(row) for row in rows]
    for one, other in zip(together, alone, strict=True):
        assert one["label"] == other["label"]
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-5)


def test_what_is_no_image_is_refused(http: httpx.Client) -> None:
    refused = http.post("/predictions/transfer", json={"image": base64.b64encode(b"text").decode()})
    assert refused.status_code == 422
    assert "must be a JPEG, PNG or WebP image, got 4 bytes" in refused.json()["detail"]


def test_the_artifact_loads_with_its_published_preprocessing(trained: Served) -> None:
    model, test, folder = trained
    again = maas.load(folder / "transfer")
    assert again.preprocess.state()[0] == {"height": 32, "width": 32, "resize": 32, "interpolation": "bilinear"}
    assert again.predict(test).to_dicts() == model.predict(test).to_dicts()
    assert again.card["lineage"]["start"]["name"] == "weights.pth"
