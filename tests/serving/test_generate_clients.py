"""Clients of a model that generates text, with TorchServe, and with the front's Caddy before it."""

from __future__ import annotations

import asyncio
import io
import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import openai
import pytest
from openapi_spec_validator import validate

import maas
from maas.cli import main
from maas.client import folder_of_servers
from maas.errors import RequestRefused
from maas.serving import Server
from maas.serving._ports import free_ports
from maas.serving.front import _caddy
from maas.serving.front._config import FrontSettings
from maas.serving.front._slots import Slots, spread

KEY = "k" * 20
ROW = {"prompt": "the cat", "max_tokens": 8}
TALK = [{"role": "user", "content": "dog"}]


@pytest.fixture(scope="module")
def front(texts: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the front's Caddy, as it is set up before instances, before the one of these tests."""
    folder = folder_of_servers() / f"front-{os.getpid()}-texts"
    folder.mkdir(mode=0o700)
    port, instance = free_ports(1)[0], httpx.URL(texts.url).port or 0
    slots = Slots(folder)
    slots.make()
    slots.point(spread([instance], {}))
    slots.put_token(instance, texts.token())
    logs = tmp_path_factory.mktemp("front-logs")
    settings = FrontSettings(folder, logs, "127.0.0.1", port, [instance], 5, generating=["tiny"])
    (folder / _caddy.CONFIG).write_text(settings.to_json([KEY]))
    process = _caddy.start_caddy(_caddy.find_caddy(), folder, logs)
    yield settings.url
    process.terminate()
    process.wait()
    shutil.rmtree(folder)


@pytest.fixture(params=["torchserve", "front"])
def client(request: pytest.FixtureRequest, texts: Server) -> Iterator[maas.Client]:
    if request.param == "torchserve":
        yield texts.client("tiny")
        return
    with maas.Client("tiny", url=request.getfixturevalue("front"), token=KEY) as client:
        yield client


def test_a_stream_joins_to_what_the_model_answers(client: maas.Client, tiny_model: maas.Model) -> None:
    wanted = tiny_model.predict(ROW)
    parts = list(client.stream(ROW))
    assert len(parts) > 2
    assert "".join(part["text"] for part in parts) == wanted["text"]
    assert [part["finish_reason"] for part in parts[:-1]] == [None] * (len(parts) - 1)
    last = parts[-1]
    assert last["logprob"] == pytest.approx(wanted["logprob"], abs=1e-4)
    counts = ("finish_reason", "prompt_tokens", "completion_tokens")
    assert {name: last[name] for name in counts} == {name: wanted[name] for name in counts}
    assert last.model == client.describe()["model"]
    answer = client.predict(ROW)
    assert (answer["text"], answer.model) == (wanted["text"], last.model)
    assert client.predict([ROW, {**ROW, "max_tokens": 1}])[0]["text"] == wanted["text"]
    with pytest.raises(RequestRefused, match="`max_tokens`") as refused:
        next(client.stream({**ROW, "max_tokens": -1}))
    assert refused.value.problem["field"] == "max_tokens"


def test_streams_side_by_side(texts: Server, tiny_model: maas.Model) -> None:
    rows = [{"prompt": f"the {name}", "max_tokens": 6} for name in ("cat", "dog", "bird", "fish", "horse")]

    async def text(client: maas.AsyncClient, row: dict[str, Any]) -> str:
        return "".join([part["text"] async for part in client.stream(row)])

    async def run() -> list[str]:
        async with maas.AsyncClient("tiny", url=texts.url, token=texts.token()) as client:
            return await asyncio.gather(*(text(client, row) for row in rows))

    assert asyncio.run(run()) == tiny_model.predict(rows)["text"].tolist()


@pytest.fixture(scope="module")
def drawn(tiny_model: maas.Model) -> dict[str, Any]:
    """How the model draws a text in answer to `TALK`: of the likeliest token there may be none."""
    options = ({"temperature": 1.0, "seed": seed, "max_tokens": 8} for seed in range(100))
    return next(one for one in options if tiny_model.predict({"messages": TALK, **one})["text"].strip())


def test_openais_client_behind_the_front(front: str, tiny_model: maas.Model, drawn: dict[str, Any]) -> None:
    wanted = tiny_model.predict({"messages": TALK, **drawn})
    with openai.OpenAI(base_url=f"{front}/v1", api_key=KEY, max_retries=0) as client:
        assert [one.id for one in client.models.list()] == ["tiny"]
        assert client.models.retrieve("tiny").id == "tiny"
        asked: dict[str, Any] = {"model": "tiny", "messages": TALK, **drawn}
        whole = client.chat.completions.create(**asked)
        assert whole.choices[0].message.content == wanted["text"]
        assert whole.usage is not None
        assert whole.usage.completion_tokens == wanted["completion_tokens"]
        streamed = client.chat.completions.create(**asked, stream=True)
        assert "".join(chunk.choices[0].delta.content or "" for chunk in streamed) == wanted["text"]
        text = client.completions.create(model="tiny", prompt=ROW["prompt"], max_tokens=8)
        assert text.choices[0].text == tiny_model.predict(ROW)["text"]
        with pytest.raises(openai.NotFoundError, match="`model` must name a model that is served here: tiny"):
            client.chat.completions.create(model="gpt", messages=TALK)  # type: ignore[call-overload]
        with pytest.raises(openai.BadRequestError, match="`prompt` must be a string"):
            client.completions.create(model="tiny", prompt=[1, 2])
        with pytest.raises(openai.AuthenticationError, match="a key of this front is wanted"):
            client.with_options(api_key="other").models.list()


def test_maas_chat(
    front: str, tiny_model: maas.Model, drawn: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("dog\ncat\n"))
    given = ["--max-tokens", "8", "--temperature", "1", "--seed", str(drawn["seed"])]
    assert main(["chat", "tiny", "--url", front, "--token", KEY, *given]) == 0
    first = tiny_model.predict({"messages": TALK, **drawn})["text"]
    said = [*TALK, {"role": "assistant", "content": first}, {"role": "user", "content": "cat"}]
    second = tiny_model.predict({"messages": said, **drawn})["text"]
    assert capsys.readouterr().out == f"{first}\n{second}\n"


def test_the_openapi_document(texts: Server, capsys: Any) -> None:
    assert main(["openapi", "tiny"]) == 0
    document = json.loads(capsys.readouterr().out)
    validate(document)

    def holds(name: str, value: Any) -> None:
        schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        jsonschema.Draft202012Validator(schema).validate(value)

    headers = {"Authorization": f"Bearer {texts.token()}"}
    with httpx.Client(base_url=texts.url, headers=headers, timeout=30, trust_env=False) as http:
        body = document["paths"]["/predictions/tiny"]["post"]["requestBody"]["content"]["application/json"]
        row, many = (body["examples"][name]["value"] for name in ("one row", "many rows"))
        holds("Row", row)
        holds("BareAnswer", http.post("/predictions/tiny", json=row).json())
        holds("Answers", http.post("/predictions/tiny", json=many).json())
        holds("Problem", http.post("/predictions/tiny", json={}).json())
        for path, kind in (("chat/completions", "Chat"), ("completions", "Text")):
            path = f"/predictions/tiny/1.0/v1/{path}"
            example = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["example"]
            holds(f"{kind}Request", example)
            answer = http.post(path, json=example).json()
            holds(kind, answer)
            with pytest.raises(jsonschema.ValidationError):
                holds(kind, {**answer, "object": "other"})
            holds("Error", http.post(path, json={**example, "n": 2}).json())
        holds("ModelList", http.get("/predictions/tiny/1.0/v1/models").json())


def test_of_an_artifact(tiny_artifact: Path, capsys: Any) -> None:
    assert main(["openapi", str(tiny_artifact)]) == 0
    document = json.loads(capsys.readouterr().out)
    validate(document)
    assert "/v1/chat/completions" in document["paths"]
    assert "/explanations/tiny" not in document["paths"]
