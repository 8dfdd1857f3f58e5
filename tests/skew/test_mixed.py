"""Mixed rows: a served photo with a text and fields is answered as in process, to the last bit, however it is sent."""

import base64
import concurrent.futures
import io
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas
import pytest
from PIL import Image as Pillow
from sklearn.datasets import load_digits

import maas
from maas.errors import RequestRefused
from maas.preprocess import AugmentImages, Mixed, Text
from maas.serving import Server

from .conftest import answer_of

PREDICT = "/predictions/mixed"
GOOD = ["a lovely day", "great work", "很好"]
BAD = ["a dull day", "poor work, far too late", "很难看"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[maas.Model, maas.data.Rows, Path]:
    """Digits as files, with a note, a number that may be missing, and a colour."""
    folder = tmp_path_factory.mktemp("mixed")
    random, bunch = np.random.default_rng(0), load_digits()
    rows = []
    for index in range(300):
        image = (bunch.images[index] * 255 / 16).round().astype("uint8")
        Pillow.fromarray(image).save(folder / f"{index}.png")
        good, size = random.random() < 0.5, float(random.normal())
        rows.append(
            {
                "my photo": f"{index}.png",
                "note": str(random.choice(GOOD if good else BAD)),
                "size": None if index % 11 == 0 else size,
                "colour": ["red", "blue"][index % 2],
                "y": "yes" if sum([bunch.target[index] > 4, good, size > 0]) > 1 else "no",
            }
        )
    pandas.DataFrame(rows).to_csv(folder / "rows.csv", index=False)
    read = maas.data.read_table(folder / "rows.csv", target="y", types={"my photo": "image", "note": "text"})
    train, test = read.split(0.3, seed=0)
    model = maas.fit(
        maas.recipe(maas.nn.Fusion, parts={"note": maas.recipe(maas.nn.TextRNN, bidirectional=True)}, width=16),
        train,
        preprocess=Mixed.with_options(note=Text.with_options(longest=20)),
        augment=AugmentImages(flip=False, crop=1),
        epochs=2,
        device="cpu",
        progress=False,
    )
    maas.package(model.save(folder / "mixed"), store=folder)
    return model, test, folder


def test_served_answers_are_those_in_process_bit_for_bit(
    trained: tuple[maas.Model, maas.data.Rows, Path], server: Server
) -> None:
    model, test, folder = trained
    wanted = model.predict(test).to_dicts()
    with server.client("mixed") as client:
        assert list(client.predict(test.to_dicts())) == wanted
        with concurrent.futures.ThreadPoolExecutor(8) as pool:  # batched with others by TorchServe
            alone = list(pool.map(client.predict, test.to_dicts()))
    for one, other in zip(alone, wanted, strict=True):
        assert one["label"] == other["label"]
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-5)
    assert maas.load(folder / "mixed").predict(test).to_dicts() == wanted


def row() -> dict[str, Any]:
    """A photo of another size and kind than those in training, and what stands beside it."""
    buffer = io.BytesIO()
    Pillow.fromarray(np.arange(60 * 40 * 3).reshape(60, 40, 3).astype(np.uint8)).save(buffer, "JPEG")
    return {"my photo": buffer.getvalue(), "note": "一个 lovely day", "size": 1.5, "colour": "red"}


def test_a_row_however_it_is_sent(trained: tuple[maas.Model, maas.data.Rows, Path], http: httpx.Client) -> None:
    given = row()
    wanted = trained[0].predict(given)
    written = {**given, "my photo": base64.b64encode(given["my photo"]).decode()}
    fields = {"note": given["note"], "size": "1.5", "colour": "red"}
    for answer in (
        http.post(PREDICT, json=written),
        http.post(PREDICT, data=fields, files={"my photo": ("a.jpg", given["my photo"], "image/jpeg")}),
        http.post(PREDICT, data={**fields, "colour": '"red"'}, files={"my photo": given["my photo"]}),
    ):
        assert answer_of(answer) == wanted


@pytest.mark.usefixtures("workers_live")
@pytest.mark.parametrize(
    ("change", "field", "detail"),
    [
        ({"my photo": "AAAA"}, "my photo", "must be a JPEG, PNG or WebP image, got 3 bytes"),
        ({"my photo": "huge"}, "my photo", "has 30,000 x 30,000 pixels"),
        ({"my photo": "../../etc/passwd"}, "my photo", "must be bytes written as base64"),
        ({"my photo": None}, "my photo", "must be bytes, got null"),
        ({"note": " "}, "note", "must hold text, got white space or nothing"),
        ({"note": None}, "note", "must be a string, got null"),
        ({"note": "x" * 3_000_000}, "note", "must have at most 100000 characters"),
        ({"size": "wide"}, "size", "must be a number, got 'wide'"),
        ({"size": 1e300}, "size", "is too large for the model"),
        ({"colour": None}, "colour", "must be a label"),
        ({"more": 1}, "more", "there is no field 'more'"),
    ],
)
def test_a_bad_part_is_named_and_its_neighbours_are_answered(
    server: Server, huge_png: bytes, change: dict[str, Any], field: str, detail: str
) -> None:
    good = {**row(), "my photo": base64.b64encode(row()["my photo"]).decode()}
    bad = {**good, **change}
    if bad["my photo"] == "huge":
        bad["my photo"] = base64.b64encode(huge_png).decode()
    with server.client("mixed") as client, pytest.raises(RequestRefused) as caught:
        client.predict([good, bad, good])
    problem = caught.value.problem
    assert (problem["row"], problem["field"]) == (1, field)
    assert detail in problem["detail"]
    assert [answer is None for answer in problem["predictions"]] == [False, True, False]


def test_another_body_is_refused_with_the_remedy(http: httpx.Client) -> None:
    refused = http.post(PREDICT, content=row()["my photo"], headers={"Content-Type": "image/jpeg"})
    assert refused.status_code == 415
    assert "a multipart form with a part for each field" in refused.json()["detail"]
    lacking = http.post(PREDICT, data={"note": "a day", "colour": "red"}, files={"my photo": row()["my photo"]})
    assert lacking.status_code == 422
    assert "field 'size' is missing" in lacking.json()["detail"]
