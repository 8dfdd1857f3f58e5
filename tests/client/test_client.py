"""Many rows, arrays, frames and files, on the wire and back; the answers' order; arguments that cannot be used."""

import io
import json
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import maas
from maas.client import LocalFront, LocalServer, folder_of_servers
from maas.errors import ClientError, RequestRefused, ServerUnavailable

Start = Callable[..., Any]
Call = Callable[..., Any]


def respond(connection: Any, status: int, content: bytes, media: str = "application/json") -> None:
    connection.send_response(status)
    connection.send_header("Content-Type", media)
    connection.send_header("Content-Length", str(len(content)))
    connection.end_headers()
    connection.wfile.write(content)


def label_rows(connection: Any, asked: Any, most: int = 10**9, slow: bool = False) -> None:
    """Label each row by its x; refuse too many rows, and rows whose x is negative."""
    rows = json.loads(asked.body)["instances"]
    if slow:
        time.sleep(0.1 if rows[0]["x"] % 1000 == 0 else 0)
    if len(rows) > most:
        return respond(connection, 413, b'{"title": "Too many rows"}')
    answers: list[Any] = [{"label": row["x"]} for row in rows]
    bad = [place for place, row in enumerate(rows) if isinstance(row["x"], int) and row["x"] < 0]
    if not bad:
        return respond(connection, 200, json.dumps({"predictions": answers, "model": {"name": "m"}}).encode())
    for place in bad:
        answers[place] = None
    errors = [{"row": place, "field": "x", "detail": "is negative"} for place in bad]
    problem = {"title": "A row cannot be answered", "detail": "", "errors": errors, "predictions": answers}
    return respond(connection, 422, json.dumps(problem).encode())


def test_many_rows_are_answered_in_order_with_a_bounded_number_under_way(faulty: Start, call: Call) -> None:
    server = faulty(lambda connection, asked: label_rows(connection, asked, slow=True))
    rows = [{"x": x} for x in range(6_200)]
    answers = call(server.url, "predict", rows, parallel=3)
    assert [answer["label"] for answer in answers] == list(range(6_200))
    assert len(server.asked) == 13
    assert 2 <= server.most_at_once <= 3
    assert answers.model == {"name": "m"}


def test_an_iterator_is_read_as_it_is_sent(faulty: Start) -> None:
    server = faulty(label_rows)
    read = 0

    def rows() -> Iterator[dict[str, int]]:
        nonlocal read
        for read in range(5_000):
            yield {"x": read}

    with maas.Client("m", url=server.url, token="t", parallel=1) as client:
        assert len(client.predict(rows())) == 5_000
    assert read == 4_999


def test_requests_are_bounded_by_bytes(faulty: Start, call: Call) -> None:
    server = faulty(label_rows)
    rows = [{"x": x, "text": "é" * 200_000} for x in range(20)]
    assert [answer["label"] for answer in call(server.url, "predict", rows)] == list(range(20))
    assert len(server.asked) > 1
    assert all(len(one.body) < 6_553_500 for one in server.asked)


def test_answers_too_large_for_a_request_come_by_halves(faulty: Start, call: Call) -> None:
    server = faulty(lambda connection, asked: label_rows(connection, asked, most=100))
    rows = [{"x": -1 if x in (3, 450, 700) else x} for x in range(900)]
    with pytest.raises(RequestRefused) as caught:
        call(server.url, "predict", rows)
    assert [error["row"] for error in caught.value.problem["errors"]] == [3, 450, 700]
    assert [answer and answer["label"] for answer in caught.value.problem["predictions"]] == [
        None if x in (3, 450, 700) else x for x in range(900)
    ]


def test_a_row_that_cannot_be_sent_does_not_lose_the_others(faulty: Start, call: Call) -> None:
    rows = [{"x": float("nan") if x in (0, 700) else x} for x in range(1_000)]
    with pytest.raises(RequestRefused, match="2 of 1000 rows cannot be answered; row 0: it cannot be written as JSON"):
        call(faulty(label_rows).url, "predict", rows)
    with pytest.raises(RequestRefused) as caught:
        call(faulty(label_rows).url, "predict", rows)
    assert [one and one["label"] for one in caught.value.problem["predictions"]] == [
        None if x in (0, 700) else x for x in range(1_000)
    ]
    with pytest.raises(RequestRefused, match="400 Not sent: a row cannot be written as JSON: Type is not"):
        call(faulty(label_rows).url, "predict", {"x": object()})


def test_an_error_of_one_request_ends_all(faulty: Start, call: Call) -> None:
    server = faulty(label_rows, (404, {"title": "gone"}))
    with pytest.raises(RequestRefused, match="404 gone"):
        call(server.url, "predict", [{"x": x} for x in range(20_000)], parallel=2)
    assert len(server.asked) < 40
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("maas-client")]


def test_no_rows_and_one_row_in_a_list(faulty: Start, call: Call) -> None:
    server = faulty(label_rows)
    assert call(server.url, "predict", []) == []
    assert call(server.url, "predict", [{"x": 3}]) == [{"label": 3}]


def test_null_beside_what_json_has_no_form_of_its_own_for(faulty: Start, call: Call) -> None:
    server = faulty(label_rows)
    row = {"x": 1, "day": date(2026, 1, 2), "size": None, "shape": np.ones(2)}
    assert call(server.url, "predict", [row]) == [{"label": 1}]
    (sent,) = json.loads(server.asked[0].body)["instances"]
    assert sent == {"x": 1, "day": "2026-01-02", "size": None, "shape": [1, 1]}
    with pytest.raises(RequestRefused, match="it cannot be written as JSON: Out of range float"):
        call(server.url, "predict", [{"x": np.array([1.0, float("nan")])}])


def test_what_pandas_says_is_missing_goes_as_null(faulty: Start, call: Call) -> None:
    server = faulty(label_rows)
    count = pd.array([1, None], dtype="Int64")
    frame = pd.DataFrame({"x": [3, 4], "count": count, "wave": [np.zeros(2), np.ones(2)]})
    assert call(server.url, "predict", frame) == [{"label": 3}, {"label": 4}]
    assert json.loads(server.asked[0].body)["instances"] == [
        {"x": 3, "count": 1, "wave": [0, 0]},
        {"x": 4, "count": None, "wave": [1, 1]},
    ]


def frames() -> dict[str, Any]:
    columns = {"x": [1.5, None, 3.0], "name": ["a", "b", None]}
    return {"pandas": pd.DataFrame(columns), "polars": pl.DataFrame(columns), "pyarrow": pa.table(columns)}


@pytest.mark.parametrize("backend", frames())
def test_a_frame_goes_in_and_comes_out(backend: str, faulty: Start, call: Call) -> None:
    def act(connection: Any, asked: Any) -> None:
        rows = json.loads(asked.body)["instances"]
        answers = [{"label": row["name"], "probabilities": {"a": 0.25, "b": 0.75}} for row in rows]
        respond(connection, 200, json.dumps({"predictions": answers, "model": {}}).encode())

    server = faulty(act)
    answers = call(server.url, "predict", frames()[backend])
    assert json.loads(server.asked[0].body)["instances"] == [
        {"x": 1.5, "name": "a"},
        {"x": None, "name": "b"},
        {"x": 3.0, "name": None},
    ]
    frame = answers.to_frame()
    assert type(frame) is type(frames()[backend])
    made = nw.from_native(frame, eager_only=True)
    assert made.columns == ["label", "probabilities.a", "probabilities.b"]
    assert made["probabilities.b"].to_list() == [0.75] * 3
    assert answers["probabilities"].tolist() == [[0.25, 0.75]] * 3
    assert type(answers[1:]) is type(answers)
    with pytest.raises(ClientError, match="no frame of backend 'abacus' can be made here"):
        answers.to_frame("abacus")


def array_of(asked: Any) -> Any:
    return np.load(io.BytesIO(asked.body), allow_pickle=False)


def npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def test_an_array_is_sent_as_npy(faulty: Start, call: Call) -> None:
    def act(connection: Any, asked: Any) -> None:
        assert asked.headers["content-type"] == "application/x-npy"
        answers = [{"value": float(row.sum())} for row in array_of(asked)]
        respond(connection, 200, json.dumps({"predictions": answers, "model": {}}).encode())

    server = faulty(act)
    array = np.asfortranarray(np.arange(48_000, dtype=np.float32).reshape(12_000, 4))
    assert call(server.url, "predict", array)["value"].tolist() == array.sum(1).tolist()
    assert len(server.asked) == 3


def test_an_array_is_answered_by_an_array(faulty: Start, call: Call) -> None:
    def act(connection: Any, asked: Any) -> None:
        array = array_of(asked)
        if len(array) > 2_000:
            respond(connection, 413, b"")
        elif asked.headers["accept"] == "application/x-npy":
            respond(connection, 200, npy(array * 2), "application/x-npy")

    array = np.arange(24_000.0).reshape(12_000, 2)
    assert np.array_equal(call(faulty(act).url, "predict_array", array), array * 2)
    with pytest.raises(ClientError, match="answers arrays with 'application/json', not with arrays; use predict"):
        call(faulty("hang_up", (200, {"predictions": []})).url, "predict_array", array)


def test_a_refused_row_of_an_array_is_counted_from_its_start(faulty: Start, call: Call) -> None:
    good = (200, npy(np.zeros((5_000, 1))))
    refusal = (422, {"title": "bad", "detail": "no", "row": 7, "errors": [{"row": 7, "field": "x", "detail": "no"}]})
    with pytest.raises(RequestRefused) as caught:
        call(faulty(good, refusal).url, "predict_array", np.zeros((10_000, 1)), parallel=1)
    assert caught.value.problem["row"] == caught.value.problem["errors"][0]["row"] == 5_007


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.zeros((0, 3)), "must have rows along its first axis, got shape \\(0, 3\\)"),
        (np.float32(3.0), "must have rows along its first axis, got shape \\(\\)"),
        (np.array(["a"]), "must hold numbers, got dtype '<U1'"),
        (3, "must be a row as a mapping, .* got 'int'"),
    ],
)
def test_rows_of_no_known_form(rows: Any, message: str, faulty: Start, call: Call) -> None:
    with pytest.raises(ClientError, match=message):
        call(faulty("echo").url, "predict", rows)


def test_an_array_that_was_taken_for_one_row(faulty: Start, call: Call) -> None:
    with pytest.raises(ClientError, match=r"answered as one row, not as many; .* array\[None\]"):
        call(faulty((200, {"label": 1, "model": {}})).url, "predict", np.zeros(4))


def test_bytes_files_and_texts(faulty: Start, call: Call, tmp_path: Path) -> None:
    def act(connection: Any, asked: Any) -> None:
        body = {"label": [asked.headers["content-type"], asked.body.decode()], "model": {}}
        respond(connection, 200, json.dumps(body).encode())

    server = faulty(act)
    names = ["a.png", "b.wav", "c.txt", "d.html", "e"]
    for name in names:
        (tmp_path / name).write_text(name)
    answers = call(server.url, "predict", [tmp_path / name for name in names])
    assert [answer["label"][1] for answer in answers] == names
    assert [answer["label"][0] for answer in answers][::2] == [
        "image/png",
        "text/plain; charset=utf-8",
        "application/octet-stream",
    ]
    assert answers[1]["label"][0].startswith("audio/")
    assert answers[3]["label"][0] == "application/octet-stream"
    assert call(server.url, "predict", b"raw") == {"label": ["application/octet-stream", "raw"]}
    assert call(server.url, "predict", tmp_path / "a.png")["label"][0] == "image/png"
    assert call(server.url, "predict", "schön")["label"] == ["text/plain; charset=utf-8", "schön"]
    with pytest.raises(FileNotFoundError):
        call(server.url, "predict", tmp_path / "nowhere.png")


def test_a_refused_file_does_not_lose_the_others(faulty: Start, call: Call) -> None:
    refusal = (422, {"title": "A row cannot be answered", "detail": "is no image", "field": "image", "row": 0})
    server = faulty((200, {"label": 1, "model": {}}), refusal, (200, {"label": 3, "model": {}}))
    with pytest.raises(RequestRefused, match=r"422 .*1 of 3 rows cannot be answered; row 1: is no image") as caught:
        call(server.url, "predict", [b"a", b"b", b"c"], parallel=1)
    assert caught.value.problem["predictions"] == [{"label": 1}, None, {"label": 3}]
    assert caught.value.problem["errors"] == [{"row": 1, "field": "image", "detail": "is no image"}]


def test_models_of_a_release_are_named(faulty: Start, call: Call) -> None:
    replies = [(200, {"label": 1, "model": {"version": version}}) for version in ("1", "1", "2")]
    answers = call(faulty(*replies).url, "predict", [b"a", b"b", b"c"], parallel=1)
    assert answers.models == [{"version": "1"}, {"version": "2"}]
    assert [answer.model["version"] for answer in answers] == ["1", "1", "2"]


def test_a_bar_when_it_is_asked_for(faulty: Start, capsys: pytest.CaptureFixture[str]) -> None:
    with maas.Client("m", url=faulty(label_rows).url, token="t") as client:
        client.predict([{"x": x} for x in range(1_200)], progress=True)
        assert "1200/1200" in capsys.readouterr().err
        client.predict([{"x": x} for x in range(1_200)])
        assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"url": "host:8080"}, "`url` must begin with http:// or https://, got 'host:8080'"),
        ({"timeout": 0}, "`timeout` must be above 0"),
        ({"retries": -1}, "`retries` at least 0"),
        ({"parallel": 0}, "`parallel` at least 1"),
        ({"verify": "nowhere.pem"}, "`verify` must be a PEM file of certificates, nowhere.pem is none"),
    ],
)
def test_arguments_that_cannot_be_used(options: dict[str, Any], message: str) -> None:
    for kind in (maas.Client, maas.AsyncClient):
        with pytest.raises(ClientError, match=message):
            kind("m", **{"url": "http://127.0.0.1:9", **options})


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
def test_https_with_a_certificate_of_ones_own(
    faulty: Start, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", tmp_path / "key.pem", "-out", tmp_path / "ca.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "ca.pem", tmp_path / "key.pem")
    server = faulty("echo", tls=context)
    assert call(server.url, "predict", {"x": 7}, verify=tmp_path / "ca.pem") == {"label": 7}
    with pytest.raises(ServerUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
        call(server.url, "predict", {"x": 7}, retries=0)
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="maas-t") as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        for local in (LocalServer, LocalFront):  # a front goes before a server
            own = folder_of_servers() / local.__name__
            own.mkdir()
            (own / "key_file.json").write_text('{"inference": {"key": "t"}}')
            (own / "keys").write_text("# of the front\nkey\n")
            shown = str(tmp_path / "ca.pem")
            if local is LocalServer:
                LocalServer(str(own), os.getpid(), server.url, ("m",), certificate=shown).write()
            else:
                LocalFront(os.getpid(), server.url, ("m",), str(own / "keys"), shown).write(own)
            with maas.Client("m") as client:
                assert client.predict({"x": 7}) == {"label": 7}
                assert client._core.token() == ("t" if local is LocalServer else "key")
        (own / "keys").write_text("# none\n")
        with pytest.raises(ClientError, match="has no key in"), maas.Client("m") as client:
            client.predict({"x": 7})


def test_importing_it_loads_nothing_heavy() -> None:
    code = "import sys, maas.client; print({'torch', 'numpy', 'httpx', 'tqdm', 'narwhals'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
