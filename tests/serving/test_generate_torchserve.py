"""A small transformer trained by `fit`, asked through the real TorchServe: by the `openai` client, and as rows."""

from __future__ import annotations

import concurrent.futures
import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

import maas
from maas.client import IDENTITY
from maas.serving import Server
from maas.serving._release import check_golden_rows
from maas.serving.protocols import EVENTS

from .test_protocols import over_grpc

ROW = {"prompt": "the cat sees", "max_tokens": 16}
CHAT: Any = {"model": "tiny", "messages": [{"role": "cat", "content": "dog"}], "max_tokens": 12}


@pytest.fixture
def http(texts: Server) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {texts.token()}"}
    with httpx.Client(base_url=texts.url, headers=headers, timeout=60, trust_env=False) as client:
        yield client


@pytest.fixture
def client(texts: Server) -> Iterator[openai.OpenAI]:
    url = f"{texts.url}/predictions/tiny/1.0/v1"
    with (
        httpx.Client(trust_env=False) as http,
        openai.OpenAI(base_url=url, api_key=texts.token(), http_client=http, timeout=60, max_retries=0) as client,
    ):
        yield client


def live(http: httpx.Client) -> int:
    return int(http.get("/predictions/tiny", headers={"Accept": IDENTITY}).json()["live"])


def worker(texts: Server) -> list[int]:
    return [one["pid"] for one in texts.manage("/models/tiny")[0]["workers"]]


def streamed(http: httpx.Client, row: dict[str, Any]) -> list[dict[str, Any]]:
    with http.stream("POST", "/predictions/tiny", json=row, headers={"Accept": EVENTS}) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"] == EVENTS
        return [json.loads(line[6:]) for line in answer.iter_lines() if line]


def test_a_row_is_answered_whole_and_as_events_as_it_is_in_process(http: httpx.Client, tiny_model: maas.Model) -> None:
    wanted = tiny_model.predict(ROW)
    whole = http.post("/predictions/tiny", json=ROW).json()
    assert whole["text"] == wanted["text"]
    assert whole["model"]["name"] == "tiny"
    told = streamed(http, ROW)
    assert "".join(one["text"] for one in told) == wanted["text"]
    for name in ("finish_reason", "prompt_tokens", "completion_tokens", "logprob"):
        assert told[-1][name] == whole[name]


def test_requests_that_join_mid_way_get_the_text_that_they_get_alone(
    http: httpx.Client, tiny_model: maas.Model
) -> None:
    rows = [{"prompt": f"the {noun} sees", "max_tokens": 10 + 4 * at} for at, noun in enumerate(["cat", "dog"] * 4)]

    def ask(at: int) -> str:
        time.sleep(0.01 * at)
        return "".join(one["text"] for one in streamed(http, rows[at]))

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        got = list(pool.map(ask, range(8)))
    assert got == [tiny_model.predict(row)["text"] for row in rows]


def test_a_client_that_leaves_frees_its_slot(http: httpx.Client, texts: Server) -> None:
    before = worker(texts)
    for _ in range(8):  # twice as many as there are slots
        row = {"prompt": "the", "max_tokens": 90, "temperature": 5, "seed": 3}
        with http.stream("POST", "/predictions/tiny", json=row, headers={"Accept": EVENTS}) as answer:
            next(answer.iter_lines())
    deadline = time.monotonic() + 20
    while live(http) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert live(http) == 0
    assert worker(texts) == before


def test_bad_bodies_are_refused_and_the_worker_lives(http: httpx.Client, texts: Server) -> None:
    before = worker(texts)
    for body, status in (
        (b"{", 400), (b"", 400), (b'{"prompt": 3}', 422), (b'{"prompt": "a", "max_tokens": 1e9}', 422),
        (b'{"prompt": "\\ud800"}', 400),
    ):  # fmt: skip
        headers = {"Content-Type": "application/json"}
        answer = http.post("/predictions/tiny", content=body, headers=headers)
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
        answer = http.post("/predictions/tiny", json=ROW)
        assert answer.status_code == 200
    assert worker(texts) == before


def test_a_release_checks_its_golden_rows(texts: Server, tiny_model: maas.Model) -> None:
    rows = tiny_model.preprocess.examples(2)
    example = {"rows": rows, "answers": tiny_model.predict(rows).to_dicts(), "unit": tiny_model.task.unit}
    check_golden_rows(texts.local, "/predictions/tiny/1.0", example, 1e-5)


def test_over_grpc_the_answer_comes_whole(texts: Server, tiny_model: maas.Model, http: httpx.Client) -> None:
    got = json.loads(over_grpc(texts, {"data": json.dumps(ROW).encode()}, model="tiny"))
    assert got["text"] == tiny_model.predict(ROW)["text"]
    assert json.loads(over_grpc(texts, {"data": b"{"}, model="tiny"))["status"] == 400
    assert json.loads(over_grpc(texts, {}, model="tiny"))["status"] == 400
    assert live(http) == 0


def test_chat(client: openai.OpenAI, tiny_model: maas.Model) -> None:
    wanted = tiny_model.predict({key: CHAT[key] for key in ("messages", "max_tokens")})
    whole = client.chat.completions.create(**CHAT)
    assert whole.choices[0].message.content == wanted["text"]
    assert whole.choices[0].message.role == "assistant"
    assert whole.choices[0].finish_reason == wanted["finish_reason"]
    assert whole.system_fingerprint is not None
    assert (whole.model, len(whole.system_fingerprint)) == ("tiny", 64)
    assert whole.usage is not None
    assert whole.usage.prompt_tokens == wanted["prompt_tokens"]
    assert whole.usage.completion_tokens == wanted["completion_tokens"]
    assert whole.usage.total_tokens == wanted["prompt_tokens"] + wanted["completion_tokens"]
    parts = [{"role": "cat", "content": [{"type": "text", "text": "dog"}], "refusal": None}]
    chunks = list(
        client.chat.completions.create(
            **{**CHAT, "messages": parts}, stream=True, stream_options={"include_usage": True}, user="me", store=False
        )
    )
    assert "".join(one.choices[0].delta.content or "" for one in chunks[:-1]) == wanted["text"]
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [one.choices[0].finish_reason for one in chunks[:-1]] == [None] * (len(chunks) - 2) + [
        wanted["finish_reason"]
    ]
    assert chunks[-1].choices == []
    assert chunks[-1].usage == whole.usage
    assert len({one.id for one in chunks}) == 1


def test_completions_of_several_prompts(client: openai.OpenAI, tiny_model: maas.Model) -> None:
    prompts = ["the cat sees", "the dog likes"]
    wanted = [tiny_model.predict({"prompt": one, "max_tokens": 8})["text"] for one in prompts]
    whole = client.completions.create(model="tiny", prompt=prompts, max_tokens=8)
    assert [one.text for one in whole.choices] == wanted
    texts = ["", ""]
    for chunk in client.completions.create(model="tiny", prompt=prompts, max_tokens=8, stream=True, echo=True):
        texts[chunk.choices[0].index] += chunk.choices[0].text
    assert texts == [prompt + text for prompt, text in zip(prompts, wanted, strict=True)]


def test_stop_and_seed(client: openai.OpenAI, tiny_model: maas.Model) -> None:
    text = tiny_model.predict(ROW)["text"]
    stop = text[9:12]
    stopped = client.completions.create(model="tiny", **ROW, stop=stop)  # type: ignore[arg-type]
    assert (stopped.choices[0].text, stopped.choices[0].finish_reason) == (text.partition(stop)[0], "stop")
    drawn = [
        client.completions.create(model="tiny", prompt="the", max_tokens=12, temperature=2, seed=seed).choices[0].text
        for seed in (1, 1, 2)
    ]
    assert drawn[0] == drawn[1] != drawn[2]


def test_log_probabilities(client: openai.OpenAI, tiny_model: maas.Model) -> None:
    wanted = tiny_model.predict({"messages": CHAT["messages"], "max_tokens": 12, "logprobs": 2})["logprobs"]
    chat = client.chat.completions.create(**CHAT, logprobs=True, top_logprobs=2).choices[0].logprobs
    assert chat is not None
    assert chat.content is not None
    assert [one.token for one in chat.content] == [one["token"] for one in wanted]
    assert [one.logprob for one in chat.content] == pytest.approx([one["logprob"] for one in wanted], abs=1e-4)
    assert [len(one.top_logprobs) for one in chat.content] == [2] * len(wanted)
    assert bytes(chat.content[0].bytes or []).decode() == wanted[0]["token"]
    chunks = client.chat.completions.create(**CHAT, logprobs=True, top_logprobs=2, stream=True)
    told = [one for chunk in chunks if (got := chunk.choices[0].logprobs) for one in got.content or ()]
    assert [one.token for one in told] == [one["token"] for one in wanted]
    scored = tiny_model.predict({"prompt": "the cat sees", "max_tokens": 0, "echo": True})
    text = client.completions.create(model="tiny", prompt="the cat sees", max_tokens=0, echo=True, logprobs=1)
    found = text.choices[0].logprobs
    assert found is not None
    assert found.token_logprobs is not None
    assert found.token_logprobs[0] is None
    assert sum(found.token_logprobs[1:]) == pytest.approx(scored["prompt_logprob"], abs=1e-4)
    assert found.tokens is not None
    assert found.text_offset is not None
    assert found.text_offset[2] == len(found.tokens[0]) + len(found.tokens[1])
    assert text.choices[0].text == "the cat sees"


def test_models(client: openai.OpenAI) -> None:
    assert [one.id for one in client.models.list()] == ["tiny"]
    assert client.models.retrieve("tiny").object == "model"
    with pytest.raises(openai.NotFoundError, match="there is the model tiny here"):
        client.models.retrieve("gpt")


REFUSED: dict[str, tuple[dict[str, Any], type[openai.APIStatusError], str, str]] = {
    "two answers": ({"n": 2}, openai.BadRequestError, "n", "it must be 1, or be left out"),
    "a penalty": ({"presence_penalty": 1}, openai.BadRequestError, "presence_penalty", "must be 0"),
    "tools": ({"tools": [{"type": "function"}]}, openai.BadRequestError, "tools", "not supported"),
    "biases": ({"logit_bias": {"1": 3}}, openai.BadRequestError, "logit_bias", "not supported"),
    "JSON": ({"response_format": {"type": "json_object"}}, openai.BadRequestError, "response_format", "not supp"),
    "misspelt": ({"extra_body": {"temprature": 1}}, openai.BadRequestError, "temprature", "did you mean 'temper"),
    "top without": ({"top_logprobs": 2}, openai.BadRequestError, "top_logprobs", "goes with `logprobs`"),
    "hot": ({"temperature": 1000}, openai.UnprocessableEntityError, "temperature", "from 0 to 100"),
    "too long": ({"max_tokens": 95}, openai.UnprocessableEntityError, "max_tokens", "96 in all"),
    "too many scores": (
        {"logprobs": True, "top_logprobs": 99}, openai.UnprocessableEntityError, "top_logprobs", "from 0 to 20",
    ),
    "an image": (
        {"messages": [{"role": "cat", "content": [{"type": "image_url"}]}]},
        openai.BadRequestError, "messages[0].content", "parts of type text only",
    ),
    "a tool's answer": (
        {"messages": [{"role": "tool", "content": "x", "tool_call_id": "1"}]},
        openai.BadRequestError, "messages[0].tool_call_id", "a message is role and content",
    ),
    "no messages": ({"messages": None}, openai.BadRequestError, "messages", "is missing"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_the_client_raises_its_own_errors_with_the_reason(name: str, client: openai.OpenAI) -> None:
    more, kind, param, reason = REFUSED[name]
    for stream in (False, True):
        with pytest.raises(kind) as caught:
            client.chat.completions.create(**{**CHAT, **more, "stream": stream})
        assert caught.value.param == param
        assert reason in caught.value.message
        assert caught.value.type == "invalid_request_error"


def test_what_changes_no_answer_is_let_pass(client: openai.OpenAI) -> None:
    client.chat.completions.create(
        **CHAT, n=1, presence_penalty=0, logit_bias={}, tools=[], metadata={"a": "b"}, service_tier="auto",
        response_format={"type": "text"}, extra_body={"top_k": 3, "repetition_penalty": 1.1},
    )  # fmt: skip


def test_metrics_of_text(http: httpx.Client, texts: Server) -> None:
    def scraped() -> dict[str, float]:
        lines = httpx.get(texts.metrics_url, trust_env=False).text.splitlines()
        return {line.partition("{")[0]: float(line.split()[-1]) for line in lines if line.startswith("maas_")}

    before = scraped().get("maas_completion_tokens_total", 0)
    made = http.post("/predictions/tiny", json=ROW).json()["completion_tokens"]
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:  # the slot that the request had is told free by a later step
        after = scraped()
        if after.get("maas_completion_tokens_total", 0) >= before + made and after["maas_free_slots"] == 4:
            break
        time.sleep(0.2)
    assert after["maas_completion_tokens_total"] >= before + made
    assert after["maas_first_token_seconds_count"] >= 1
    assert after["maas_token_seconds_count"] >= made - 1
    assert (after["maas_free_slots"], after["maas_waiting_rows"]) == (4, 0)
    assert after["maas_cache_bytes"] == 4 * 2 * 2 * 96 * 48 * 4  # slots, layers, keys and values, tokens, width, bytes


def test_status_shows_it(texts: Server) -> None:
    (model,) = texts.status()["models"]
    assert (model["name"], model["batch_size"]) == ("tiny", 4)
    assert [one["status"] for one in model["workers"]] == ["READY"]
