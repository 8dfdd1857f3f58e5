"""Images: the served model answers as the one in process, however they are sent, and refuses what is none."""

import base64
import io
import os
from collections.abc import Iterator
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

PREDICT = "/predictions/digits"


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> tuple[maas.Model, maas.data.Rows, Path]:
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


@pytest.fixture(scope="module")
def server(digits: tuple[maas.Model, maas.data.Rows, Path]) -> Iterator[Server]:
    with maas.serve(digits[2], port=None) as server:
        yield server


@pytest.fixture
def http(server: Server) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {server.token()}"}
    with httpx.Client(base_url=server.url, headers=headers, timeout=30, trust_env=False) as client:
        yield client


@pytest.fixture
def threads() -> Iterator[None]:
    """As many as the one worker has."""
    before = torch.get_num_threads()
    torch.set_num_threads(os.cpu_count() or 1)
    yield
    torch.set_num_threads(before)


def photograph(kind: str, **options: Any) -> bytes:
    """A colour image of another size than any in training."""
    ramp = np.linspace(0, 255, 60 * 90 * 3).reshape(60, 90, 3).astype(np.uint8)
    image, buffer = Pillow.fromarray(ramp), io.BytesIO()
    image.convert(options.pop("mode", "RGB")).save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.usefixtures("threads")
def test_served_answers_are_those_in_process_bit_for_bit(
    digits: tuple[maas.Model, maas.data.Rows, Path], server: Server
) -> None:
    model, test, _ = digits
    with server.client("digits") as client:
        assert list(client.predict(test.to_dicts())) == model.predict(test).to_dicts()


def _answer(response: httpx.Response) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    del body["model"]
    return body


@pytest.mark.usefixtures("threads")
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
    digits: tuple[maas.Model, maas.data.Rows, Path], http: httpx.Client, media: str, kind: str, options: dict[str, Any]
) -> None:
    content = photograph(kind, **options)
    wanted = digits[0].predict({"image": content})
    written = base64.b64encode(content).decode()
    assert _answer(http.post(PREDICT, content=content, headers={"Content-Type": media})) == wanted
    assert _answer(http.post(PREDICT, json={"image": written})) == wanted
    assert _answer(http.post(PREDICT, files={"image": ("a.bin", content, media)})) == wanted
    (only,) = _answer(http.post(PREDICT, json={"instances": [{"image": written}]}))["predictions"]
    assert only == wanted


JPEG = photograph("JPEG")
PNG = photograph("PNG")


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
    server: Server, http: httpx.Client, huge_png: bytes, media: str, content: bytes | None, status: int, detail: str
) -> None:
    def pids() -> list[int]:
        return [worker["pid"] for worker in server.manage("/models/digits")[0]["workers"]]

    before = pids()
    body = huge_png if content is None else content
    refused = http.post(PREDICT, content=body, headers={"Content-Type": media})
    assert refused.status_code == status, refused.text
    assert refused.headers["content-type"].startswith("application/problem+json")
    assert detail in refused.json()["detail"]
    assert http.post(PREDICT, content=JPEG, headers={"Content-Type": "image/jpeg"}).status_code == 200
    assert pids() == before


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


def test_the_client_sends_files(
    digits: tuple[maas.Model, maas.data.Rows, Path], server: Server, tmp_path: Path
) -> None:
    model, test, _ = digits
    rows = test.take(range(3))
    files = [tmp_path / f"{number}.png" for number in range(3)]
    for file, row in zip(files, rows.to_dicts(), strict=True):
        file.write_bytes(base64.b64decode(row["image"]))
    with server.client("digits") as client:
        answers = client.predict(files)
    assert answers["label"].tolist() == model.predict(rows)["label"].tolist()
