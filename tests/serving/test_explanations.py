"""What /explanations/NAME answers: each request by itself, and no other one touched."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pandas as pd
import pytest
import torch

import maas
from maas.errors import ClientError, RequestRefused
from maas.serving import Handler, Server, openapi
from maas.serving.protocols import MOST_EXPLAINED

from .test_handler import FakeContext


def handler_of(artifact: Path) -> tuple[Handler, FakeContext]:
    threads = torch.get_num_threads()
    context = FakeContext(artifact)
    handler = Handler(context)
    torch.set_num_threads(threads)
    return handler, context


@pytest.fixture
def asked(wine_artifact: Path) -> tuple[Handler, FakeContext]:
    return handler_of(wine_artifact)


def ask(asked: tuple[Handler, FakeContext], *requests: tuple[Any, dict[str, str]]) -> list[tuple[int, Any]]:
    """Statuses and answers of a batch of bodies with their headers."""
    handler, context = asked
    context.headers = [headers for _, headers in requests]
    context.status = {}
    bodies = [{"body": one if isinstance(one, bytes) else json.dumps(one).encode()} for one, _ in requests]
    answers = handler.handle(bodies, context)
    return [(context.status.get(at, (200, ""))[0], json.loads(answer)) for at, answer in enumerate(answers)]


EXPLAIN = {"explain": "True"}
PREDICT = {"explain": "False"}


def test_a_batch_may_mix_answers_and_explanations(asked: tuple[Handler, FakeContext]) -> None:
    model = asked[0].model
    rows = model.preprocess.examples(5)
    got = ask(
        asked,
        (rows[0], PREDICT),
        (rows[1], EXPLAIN),
        ({**rows[2], "ash": "x"}, EXPLAIN),
        ({"instances": rows[3:]}, EXPLAIN),
        (b"{", EXPLAIN),
        (rows[2], {}),
    )
    assert [status for status, _ in got] == [200, 200, 422, 200, 400, 200]
    answers = model.predict(rows).to_dicts()
    wanted = json.loads(json.dumps(model.explain(rows)))
    for place, row in ((0, 0), (5, 2)):
        assert got[place][1]["label"] == answers[row]["label"]
        assert got[place][1]["probabilities"] == pytest.approx(answers[row]["probabilities"], abs=1e-5)
    found = [got[1][1], *got[3][1]["explanations"]]
    assert got[1][1].pop("model") == got[3][1]["model"] == asked[0].identity.to_json()
    for one, row in zip(found, (1, 3, 4), strict=True):
        assert list(one) == ["label", "output", "baseline", "gap", "attributions"]
        assert one["label"] == wanted[row]["label"]
        assert one["attributions"] == pytest.approx(wanted[row]["attributions"], abs=1e-5)
    assert (got[2][1]["field"], got[2][1]["row"]) == ("ash", 0)


def test_so_many_rows_and_no_more(asked: tuple[Handler, FakeContext]) -> None:
    rows = asked[0].model.preprocess.examples(MOST_EXPLAINED + 1)
    (most, many) = ask(asked, ({"instances": rows[1:]}, EXPLAIN), ({"instances": rows}, EXPLAIN))
    assert (most[0], len(most[1]["explanations"])) == (200, MOST_EXPLAINED)
    assert (many[0], many[1]["type"]) == (413, "urn:maas:problem:too-many-rows")
    assert "32 rows may be explained at once, got 33" in many[1]["detail"]


@pytest.mark.parametrize(
    ("accept", "status"),
    [("application/x-npy", 406), ("application/x-npy, application/json;q=0.1", 200), ("*/*", 200), ("text/html", 406)],
)
def test_explanations_are_json(accept: str, status: int, asked: tuple[Handler, FakeContext]) -> None:
    row = asked[0].model.preprocess.examples(1)[0]
    ((got, body),) = ask(asked, (row, {**EXPLAIN, "accept": accept}))
    assert got == status
    assert status == 200 or f"the request accepts {accept}; accept that" in body["detail"]


def test_tensors_are_explained_and_refused_as_tensors_are(asked: tuple[Handler, FakeContext]) -> None:
    model = asked[0].model
    rows = model.preprocess.examples(2)
    inputs: list[dict[str, Any]] = [
        {"name": name, "shape": [2], "datatype": "FP64", "data": [row[name] for row in rows]} for name in rows[0]
    ]
    wrong = [{**inputs[0], "shape": [3]}, *inputs[1:]]
    good, bad = ask(asked, ({"inputs": inputs}, EXPLAIN), ({"inputs": wrong}, EXPLAIN))
    wanted = model.explain(rows)
    assert [one["label"] for one in good[1]["explanations"]] == [one["label"] for one in wanted]
    assert bad[0] == 422
    assert bad[1]["error"] == bad[1]["detail"]


class Endless(torch.nn.Module):
    """Gives infinity."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, :3] * torch.inf


class Broken(torch.nn.Module):
    """Throws."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("CUDA error: broken")


@pytest.mark.parametrize(
    ("network", "status", "detail"),
    [(Endless(), 422, "no finite explanation of this row"), (Broken(), 500, "the row could not be answered")],
)
def test_a_network_that_fails_fails_that_request(
    network: torch.nn.Module, status: int, detail: str, asked: tuple[Handler, FakeContext]
) -> None:
    asked[0].model.network = network
    row = asked[0].model.preprocess.examples(1)[0]
    got = ask(asked, (row, EXPLAIN), (b"", PREDICT), ({"instances": [row, row]}, EXPLAIN))
    assert [one for one, _ in got] == [status, 400, status]
    assert detail in got[0][1]["detail"]
    assert "CUDA" not in json.dumps(got)


@pytest.fixture(scope="module")
def recommender(tmp_path_factory: pytest.TempPathFactory) -> Path:
    frame = pd.DataFrame({"user": list("aabbcc"), "item": list("xyxyxy")})
    rows = maas.data.read_interactions(frame, user="user", item="item")
    return maas.fit(maas.recipe(maas.nn.Popularity), rows).save(tmp_path_factory.mktemp("artifact") / "popular")


def test_a_model_that_cannot_be_explained_says_why(recommender: Path) -> None:
    asked = handler_of(recommender)
    explained, answered = ask(asked, ({"user": "a"}, EXPLAIN), ({"user": "a"}, PREDICT))
    assert (explained[0], explained[1]["type"]) == (501, "urn:maas:problem:not-explainable")
    assert "tables, images, texts and sequences can be" in explained[1]["detail"]
    assert answered[0] == 200


def test_a_text_is_explained_by_its_tokens(tmp_path: Path) -> None:
    frame = pd.DataFrame({"text": ["good film", "bad film"] * 8, "ok": [True, False] * 8})
    rows = maas.data.read_texts(frame, text="text", target="ok")
    model = maas.fit(maas.recipe(maas.nn.TextCNN), rows, epochs=1, device="cpu", progress=False)
    asked = handler_of(model.save(tmp_path / "mood"))
    ((status, body),) = ask(asked, (b"A good film", {**EXPLAIN, "content-type": "text/plain"}))
    assert status == 200
    assert [one["token"] for one in body["attributions"]["text"]["tokens"]] == ["a", "good", "film"]


@pytest.fixture
def row(wine_model: maas.Model) -> dict[str, Any]:
    found: dict[str, Any] = wine_model.preprocess.examples(1)[0]
    return found


def test_torchserve_and_the_client_give_what_the_model_says(
    server: Server, http: httpx.Client, wine_model: maas.Model, row: dict[str, Any]
) -> None:
    wanted = json.loads(json.dumps(wine_model.explain(row)))
    forged = http.post("/predictions/wine", json=row, headers={"explain": "True"}).json()
    assert "attributions" not in forged
    body = http.post("/explanations/wine", json=row).json()
    many = http.post("/explanations/wine/1.0", json={"instances": [row, row]}).json()
    with server.client("wine") as client:
        told = client.explain(row)
        document = openapi(client.describe())

    async def ask() -> Any:
        async with maas.AsyncClient("wine", version="1.0") as client:
            return await client.explain(row)

    for found in (body, *many["explanations"], told, asyncio.run(ask())):
        assert found["label"] == wanted["label"]
        assert found["attributions"] == pytest.approx(wanted["attributions"], abs=1e-4)
    assert told.model == body["model"]
    for name, value in (("BareExplanation", body), ("Explanations", many)):
        schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        jsonschema.Draft202012Validator(schema).validate(value)


def test_the_client_asks_about_one_row_and_says_what_is_refused(server: Server, row: dict[str, Any]) -> None:
    with server.client("wine") as client:
        with pytest.raises(ClientError, match="`row` must be one row, got"):
            client.explain([row])  # type: ignore[arg-type]
        with pytest.raises(RequestRefused, match="field 'ash' must be a number"):
            client.explain({**row, "ash": "x"})
