"""Images: the served model answers as the one in process, however they are sent, and refuses what is none."""

import base64
import io
import os
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from sklearn.datasets import load_digits

import maas
from maas.serving import Server

from .conftest import answer_of

PREDICT = "/predictions/digits"
Trained = tuple[maas.Model, maas.data.Rows, Path]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """scikit-learn's digits, 8 x 8 pixels, as images."""
    bunch = load_digits()
    x = (bunch.images * 255 / 16).round().astype("uint8")
    train, test = maas.data.read_images((x, bunch.target)).split(0.1, seed=0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    model = maas.fit(maas.recipe(maas.nn.CNN), train, epochs=2, learning_rate=3e-3, device="cpu")
    torch.set_num_threads(threads)
    folder = tmp_path_factory.mktemp("digits")
    maas.package(model.save(folder / "digits"), store=folder)
    return model, test, folder


def photograph(kind: str, **options: Any) -> bytes:
    """A colour image of another size than any in training."""
    ramp = np.linspace(0, 255, 60 * 90 * 3).reshape(60, 90, 3).astype(np.uint8)
    image, buffer = Pillow.fromarray(ramp), io.BytesIO()
    image.convert(options.pop("mode", "RGB")).save(buffer, kind, **options)
    return buffer.getvalue()


def test_served_answers_are_those_in_process_bit_for_bit(trained: Trained, server: Server) -> None:
    model, test, _ = trained
    with server.client("digits") as client:
        assert list(client.predict(test.to_dicts())) == model.predict(test).to_dicts()


@pytest.mark.parametrize(
    ("media", "kind", "options"),
    [
        ("image/png", "PNG", {}),
        ("image/jpeg", "JPEG", {"mode": "CMYK"}),
        ("image/webp", "WEBP", {}),
        ("application/octet-stream", "PNG", {"mode": "LA"}),
    ],
)
def test_an_image_however_it_is_sent(
    trained: Trained, http: httpx.Client, media: str, kind: str, options: dict[str, Any]
) -> None:
    content = photograph(kind, **options)
    wanted = trained[0].predict({"image": content})
    written = base64.b64encode(content).decode()
    assert answer_of(http.post(PREDICT, content=content, headers={"Content-Type": media})) == wanted
    assert answer_of(http.post(PREDICT, json={"image": written})) == wanted
    assert answer_of(http.post(PREDICT, files={"image": ("a.bin", content, media)})) == wanted
    (only,) = answer_of(http.post(PREDICT, json={"instances": [{"image": written}]}))["predictions"]
    assert only == wanted


JPEG = photograph("JPEG")
PNG = photograph("PNG")


@pytest.mark.usefixtures("workers_live")
@pytest.mark.parametrize(
    ("media", "content", "status", "detail"),
    [
        ("image/jpeg", b"a text file named .jpg\n", 422, "must be a JPEG, PNG or WebP image, got 23 bytes that start"),
        ("image/jpeg", JPEG[: len(JPEG) // 2], 422, "is a JPEG image of"),
        ("image/png", PNG[:70] + bytes([PNG[70] ^ 1]) + PNG[71:], 422, "cannot be decoded: it is truncated or damaged"),
        ("image/png", None, 422, "has 30,000 x 30,000 pixels; it must have 1 to 50,000,000 in all"),
        ("image/png", os.urandom(5_000_000), 422, "must be a JPEG, PNG or WebP image, got 5,000,000 bytes"),
        ("image/png", b"", 400, "must be a row"),
        ("text/plain", JPEG, 415, "Content-Type: application/octet-stream"),
        ("application/json", JPEG, 400, "must be JSON"),
        ("application/json", b'{"image": "not base64!"}', 422, "'image' must be bytes written as base64"),
        ("application/json", b'{"image": [[0, 1], [2, 3]]}', 422, "'image' must be bytes, got list"),
        ("application/json", b'{"image": ""}', 422, "'image' must have 1 to 20000000 bytes, got 0"),
    ],
)
def test_what_is_no_image_is_refused_and_the_worker_lives(
    http: httpx.Client, huge_png: bytes, media: str, content: bytes | None, status: int, detail: str
) -> None:
    body = huge_png if content is None else content
    refused = http.post(PREDICT, content=body, headers={"Content-Type": media})
    assert refused.status_code == status, refused.text
    assert refused.headers["content-type"].startswith("application/problem+json")
    assert detail in refused.json()["detail"]
    assert http.post(PREDICT, content=JPEG, headers={"Content-Type": "image/jpeg"}).status_code == 200


def test_a_bad_image_among_good_ones_is_told_by_its_row(http: httpx.Client) -> None:
    good, bad = (base64.b64encode(one).decode() for one in (JPEG, JPEG[:-30]))
    refused = http.post(PREDICT, json={"instances": [{"image": good}, {"image": bad}, {"image": good}]})
    assert refused.status_code == 422
    problem = refused.json()
    assert (problem["row"], problem["field"]) == (1, "image")
    assert [answer is None for answer in problem["predictions"]] == [False, True, False]


def test_a_form_with_another_name_is_refused(http: httpx.Client) -> None:
    refused = http.post(PREDICT, files={"picture": ("a.jpg", JPEG, "image/jpeg")})
    assert refused.status_code == 422
    assert "field 'image' is missing" in refused.json()["detail"]


def test_the_client_sends_files(trained: Trained, server: Server, tmp_path: Path) -> None:
    model, test, _ = trained
    rows = test.take(range(3))
    files = [tmp_path / f"{number}.png" for number in range(3)]
    for file, row in zip(files, rows.to_dicts(), strict=True):
        file.write_bytes(base64.b64decode(row["image"]))
    with server.client("digits") as client:
        answers = client.predict(files)
    assert answers["label"].tolist() == model.predict(rows)["label"].tolist()
