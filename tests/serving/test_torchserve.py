"""Against the real TorchServe: answers, refusals, neighbours, and what the network may not reach."""

import concurrent.futures
import json
import os
import socket
import stat
from typing import Any

import httpx
import pytest

import maas
from maas.data import Rows
from maas.errors import RequestRefused, ServerUnavailable, ServingError
from maas.serving import Server
from maas.serving._management import models_of

JSON = {"Content-Type": "application/json"}


def worker_pids(server: Server, model: str) -> list[int]:
    return [worker["pid"] for worker in server.manage(f"/models/{model}")[0]["workers"]]


def test_it_answers_every_held_out_row_as_the_model_does_in_process(
    server: Server, cancer_model: maas.Model, cancer_split: tuple[Rows, Rows]
) -> None:
    _, test = cancer_split
    wanted = cancer_model.predict(test)
    with server.client("cancer") as client:
        answers = client.predict(test.to_dicts())
        alone = [client.predict(row) for row in test.to_dicts()[:20]]
    assert [answer["label"] for answer in answers] == wanted["label"].tolist()
    for answer, want in [*zip(answers, wanted, strict=True), *zip(alone, wanted, strict=False)]:
        assert answer["probabilities"] == pytest.approx(want["probabilities"], abs=1e-6)
    assert answers.model["name"] == "cancer"
    assert answers.model["version"] == "2.1"


def test_the_answer_names_the_model_that_gave_it(http: httpx.Client, wine_model: maas.Model) -> None:
    row = wine_model.preprocess.examples(1)[0]
    body = http.post("/predictions/wine", json=row).json()
    assert body.keys() == {"label", "probabilities", "model"}
    assert body["model"]["name"] == "wine"
    assert len(body["model"]["digest"]) == 64


@pytest.fixture
def good_row(wine_model: maas.Model) -> dict[str, Any]:
    row: dict[str, Any] = wine_model.preprocess.examples(1)[0]
    return row


def bad_bodies() -> dict[str, tuple[Any, int, str]]:
    nested: Any = 1.0
    for _ in range(200):
        nested = [nested]
    return {
        "not JSON": (b"{alcohol: 1}", 400, "must be JSON"),
        "NaN": (lambda row: json.dumps({**row, "alcohol": float("nan")}).encode(), 400, "must be JSON"),
        "infinity by digits": (
            lambda row: json.dumps({**row, "alcohol": 0}).replace('"alcohol": 0', '"alcohol": 1e999').encode(),
            4,
            "",
        ),
        "missing field": (lambda row: {k: v for k, v in row.items() if k != "alcohol"}, 422, "'alcohol' is missing"),
        "extra field": (lambda row: {**row, "colour": 1}, 422, "no field 'colour'"),
        "wrong type": (lambda row: {**row, "alcohol": "strong"}, 422, "'alcohol' must be a number, got 'strong'"),
        "boolean for a number": (lambda row: {**row, "alcohol": True}, 422, "must be a number, got True"),
        "null": (lambda row: {**row, "alcohol": None}, 422, "must be a number, got null"),
        "200 levels": (lambda row: {**row, "alcohol": nested}, 400, "nested 64 levels deep"),
        "a name twice": (lambda row: json.dumps(row)[:-1].encode() + b', "ash": 1}', 400, "'ash' stands twice"),
        "beyond float32": (lambda row: {**row, "alcohol": 1e300}, 422, "'alcohol' is too large"),
        "empty body": (b"", 400, "must be a row"),
        "a list": (lambda row: [row], 422, "must be a row"),
        "no instances": ({"instances": []}, 422, "at least one row"),
        "instances of no rows": ({"instances": [1, "x"]}, 422, "must be an object of fields"),
        "5 MB of garbage": (os.urandom(5_000_000), 400, "must be JSON"),
        "5 MB of brackets": (b"[" * 5_000_000, 400, "must be JSON"),
        "lone surrogate": (b'{"alcohol": "\\ud800"}', 4, ""),
        "text not in UTF-8": (b'{"alcohol": "\xff\xfe"}', 400, "must be JSON"),
        "name with line feeds": (lambda row: {**row, "a\r\nSet-Cookie: x": 1}, 422, "no field"),
        "not ASCII": (lambda row: {**row, "酒精": "高"}, 422, "no field"),
    }


@pytest.mark.parametrize("name", bad_bodies())
def test_a_bad_request_is_refused_with_a_problem_document_and_the_worker_lives(
    name: str, server: Server, http: httpx.Client, good_row: dict[str, Any]
) -> None:
    before = worker_pids(server, "wine")
    body, status, detail = bad_bodies()[name]
    body = body(good_row) if callable(body) else body
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = http.post("/predictions/wine", content=content, headers=JSON)
    assert answer.status_code == status or answer.status_code // 100 == status
    assert answer.headers["content-type"].startswith("application/problem+json")
    problem = answer.json()
    assert problem["type"].startswith("urn:maas:problem:")
    assert problem["status"] == answer.status_code
    assert detail in problem["detail"]
    assert http.post("/predictions/wine", json=good_row).status_code == 200
    assert worker_pids(server, "wine") == before


def test_a_form_is_refused_with_the_remedy(http: httpx.Client, good_row: dict[str, Any]) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}  # what curl -d sends
    answer = http.post("/predictions/wine", content=b"alcohol=1&ash=2", headers=headers)
    assert answer.status_code == 415
    assert "Content-Type: application/json" in answer.json()["detail"]


def test_a_bad_row_among_instances_is_named_and_the_others_are_answered(
    server: Server, good_row: dict[str, Any]
) -> None:
    with server.client("wine") as client:
        wanted = client.predict([good_row])[0]
        with pytest.raises(
            RequestRefused, match=r"2 of 4 rows cannot be answered; row 1: .*'malic_acid' is missing"
        ) as caught:
            client.predict([good_row, {"alcohol": 1.0}, good_row, {**good_row, "ash": "x"}])
    problem = caught.value.problem
    assert (problem["row"], problem["field"]) == (1, "malic_acid")
    assert [error["row"] for error in problem["errors"]] == [1, 3]
    assert problem["predictions"][1] is None
    assert problem["predictions"][0]["label"] == wanted["label"]
    assert problem["predictions"][2]["probabilities"] == pytest.approx(wanted["probabilities"], abs=1e-5)


def test_a_bad_row_far_down_a_long_list_leaves_every_other_row_its_own_answer(
    server: Server, cancer_model: maas.Model, cancer_split: tuple[Rows, Rows]
) -> None:
    rows: list[Any] = [*cancer_split[0].to_dicts(), *cancer_split[1].to_dicts()] * 2
    wanted = cancer_model.predict(rows)["label"].tolist()
    for bad in (3, 550, 1100):
        rows[bad] = {**rows[bad], "mean_radius": "wide"}
    with (
        server.client("cancer") as client,
        pytest.raises(RequestRefused, match=r"3 of 1138 rows cannot be answered; row 3: .*'mean_radius'") as caught,
    ):
        client.predict(rows)
    problem = caught.value.problem
    assert [error["row"] for error in problem["errors"]] == [3, 550, 1100]
    for row, (answer, label) in enumerate(zip(problem["predictions"], wanted, strict=True)):
        assert (answer is None) if row in (3, 550, 1100) else (answer["label"] == label)


@pytest.mark.parametrize("rows", [[{}] * 2_000_000, [0] * 3_000_000], ids=["objects", "numbers"])
def test_a_request_of_millions_of_rows_is_refused_at_once(http: httpx.Client, rows: list[Any]) -> None:
    answer = http.post(
        "/predictions/wine", content=json.dumps({"instances": rows}).replace(" ", "").encode(), headers=JSON
    )
    assert answer.status_code == 413
    assert "may have 10000 rows" in answer.json()["detail"]
    assert answer.elapsed.total_seconds() < 20


def test_a_row_of_many_unknown_fields_is_refused_at_once(http: httpx.Client) -> None:
    answer = http.post("/predictions/wine", json={f"alcohl{number}": 1 for number in range(150_000)})
    assert answer.status_code == 422
    assert answer.elapsed.total_seconds() < 20


def test_neighbours_in_one_batch_are_answered(server: Server, cancer_model: maas.Model) -> None:
    good = cancer_model.preprocess.examples(1)[0]
    bad = {**good, "mean_radius": "wide"}
    with server.client("cancer") as client:  # its batches wait 20 ms for company
        wanted = client.predict(good)

        def ask(row: dict[str, Any]) -> Any:
            try:
                return client.predict(row)
            except RequestRefused as refused:
                return refused

        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(ask, [good, bad] * 40))
    for answer in answers[::2]:
        assert answer["label"] == wanted["label"]
        assert answer["probabilities"] == pytest.approx(wanted["probabilities"], abs=1e-5)
    for answer in answers[1::2]:
        assert isinstance(answer, RequestRefused)
        assert answer.status == 422
        assert answer.problem["field"] == "mean_radius"
        assert "must be a number, got 'wide'" in answer.problem["detail"]


def test_describe_and_ready(server: Server, wine_model: maas.Model) -> None:
    with server.client("wine") as client:
        assert client.ready()
        described = client.describe()
    assert described["labels"] == [0, 1, 2]
    assert described["schema"] == wine_model.schema.json_schema()
    assert described["example"]["row"] == wine_model.preprocess.examples(1)[0]
    assert described["card"]["training"]["epochs"] == wine_model.card["training"]["epochs"]


def test_no_prediction_without_the_token(server: Server, good_row: dict[str, Any]) -> None:
    with maas.Client("wine", url=server.url, token="wrong") as client:
        with pytest.raises(RequestRefused, match="Token"):
            client.predict(good_row)
        assert not client.ready()


def test_an_unknown_model_is_refused(server: Server, http: httpx.Client) -> None:
    with pytest.raises(ServingError, match="no model 'beer' is served here, there are wine, cancer"):
        server.client("beer")
    assert http.post("/predictions/beer", json={}).status_code == 404


def test_a_server_that_is_gone_is_unavailable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with (
            maas.Client("wine", url=f"http://127.0.0.1:{taken.getsockname()[1]}", token="x") as client,
            pytest.raises(ServerUnavailable, match="is it running"),
        ):
            client.predict({"alcohol": 1.0})


def test_clients_on_this_machine_find_it(server: Server, good_row: dict[str, Any]) -> None:
    with maas.Client("wine") as client:
        assert client.predict(good_row)["label"] in (0, 1, 2)


def test_nothing_but_loopback_listens_and_management_is_a_closed_socket(server: Server) -> None:
    import psutil

    listening = {
        connection.laddr.ip.removeprefix("::ffff:")
        for connection in psutil.Process(server.pid).net_connections(kind="tcp")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {"127.0.0.1"}
    assert stat.S_IMODE(server.folder.stat().st_mode) == 0o700
    assert stat.S_ISSOCK((server.folder / "management.sock").stat().st_mode)
    assert stat.S_IMODE((server.folder / "key_file.json").stat().st_mode) == 0o600


def test_models_cannot_be_registered_through_the_inference_port(http: httpx.Client) -> None:
    assert http.post("/models", params={"url": "evil.mar"}).status_code in (404, 405)
    assert http.delete("/models/wine").status_code in (404, 405)


def test_the_models_of_all_pages_are_found(server: Server) -> None:
    assert len(server.manage("/models?limit=1")["models"]) == 1
    assert sorted(models_of(server.local, page=1)) == sorted(models_of(server.local)) == ["cancer", "wine"]
