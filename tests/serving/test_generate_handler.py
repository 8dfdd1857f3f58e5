"""The handler of generated text without a server: parts as TorchServe takes them, refusals, failures, who leaves."""

from __future__ import annotations

import functools
import gc
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import maas
from maas.client import DESCRIPTION, IDENTITY, V2_METADATA
from maas.errors import ServingError
from maas.generation import slots_that_fit
from maas.serving import GenerateHandler
from maas.serving._settings import DRAIN
from maas.serving.protocols import EVENTS, MOST_PROMPTS, PROBLEM_JSON

from .generation import FakeTorchServe


@pytest.fixture
def torchserve(tiny_artifact: Path) -> FakeTorchServe:
    return FakeTorchServe(tiny_artifact)


@pytest.fixture
def handler(torchserve: FakeTorchServe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GenerateHandler]:
    monkeypatch.setenv(DRAIN, str(tmp_path / "drain"))
    threads = torch.get_num_threads()
    handler = GenerateHandler(torchserve)
    torch.set_num_threads(threads)
    yield handler
    assert not handler._generating.live, "a slot is still taken"
    assert not handler._generating.waiting
    assert handler._live == 0


def written(row: Any) -> bytes:
    return json.dumps(row).encode()


def alone(model: maas.Model, row: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = model.predict(row)
    return answer


def events(body: bytes) -> list[dict[str, Any]]:
    return [json.loads(line[6:]) for line in body.decode().split("\n\n") if line.startswith("data: {")]


def test_rows_that_come_at_different_times_get_what_they_get_alone(
    handler: GenerateHandler, torchserve: FakeTorchServe, tiny_model: maas.Model
) -> None:
    rows = [
        {"prompt": f"the {noun} {verb}", "max_tokens": 4 + 3 * at, "logprobs": at % 2}
        for at, (noun, verb) in enumerate([("cat", "sees"), ("dog", "likes"), ("fish", "finds"), ("bird", "likes the")])
    ]
    for at, row in enumerate([*rows, *rows]):  # twice as many as there are slots
        accept = {"accept": EVENTS} if at % 2 else {}
        torchserve.ask(str(at), written(row), **accept)
        torchserve.step(handler)
    torchserve.run(handler)
    for at, row in enumerate([*rows, *rows]):
        status, body = torchserve.answer(str(at))
        wanted = alone(tiny_model, row)
        assert status == 200
        if at % 2 == 0:
            got = json.loads(body)
            assert got["model"]["digest"] == handler.identity.digest
            assert {key: got[key] for key in ("text", "finish_reason")} == {
                key: wanted[key] for key in ("text", "finish_reason")
            }
            assert got["logprob"] == pytest.approx(wanted["logprob"], abs=1e-4)
        else:
            told = events(body)
            assert "".join(one["text"] for one in told) == wanted["text"]
            assert [one["finish_reason"] for one in told[:-1]] == [None] * (len(told) - 1)
            assert told[-1]["finish_reason"] == wanted["finish_reason"]
            assert told[-1]["completion_tokens"] == wanted["completion_tokens"]
            assert sum(len(one.get("logprobs", ())) for one in told) == wanted["completion_tokens"]
            assert torchserve.headers[str(at)]["content-type"] == EVENTS


def test_many_rows_in_one_request_wait_for_slots_in_order(
    handler: GenerateHandler, torchserve: FakeTorchServe, tiny_model: maas.Model
) -> None:
    rows = [{"prompt": f"the {noun}", "max_tokens": 5} for noun in ("cat", "dog", "bird", "fish", "horse", "cat")]
    torchserve.ask("many", written({"instances": rows}))
    torchserve.step(handler)
    assert (handler._generating.live, handler._generating.waiting) == (4, 2)
    torchserve.run(handler)
    got = json.loads(torchserve.answer("many")[1])["predictions"]
    assert [one["text"] for one in got] == [alone(tiny_model, row)["text"] for row in rows]


def test_scored_rows_are_answered_as_in_process(
    handler: GenerateHandler, torchserve: FakeTorchServe, tiny_model: maas.Model
) -> None:
    """Golden rows are such: a release asks for them."""
    rows = tiny_model.preprocess.examples(3)
    torchserve.ask("golden", written({"instances": rows}))
    torchserve.run(handler)
    got = json.loads(torchserve.answer("golden")[1])["predictions"]
    wanted = tiny_model.predict(rows).to_dicts()
    assert [one["prompt_logprob"] for one in got] == pytest.approx([one["prompt_logprob"] for one in wanted], rel=1e-5)
    assert [one.keys() for one in got] == [one.keys() for one in wanted]


BAD = {
    "not JSON": (b"{", {}, 400, "not-json"),
    "empty": (b"", {}, 400, "empty"),
    "a name twice": (b'{"prompt": "a", "prompt": "b"}', {}, 400, "repeated-name"),
    "a list": (b"[1]", {}, 422, "not-a-row"),
    "an unknown field": (b'{"prompt": "a", "tokens": 3}', {}, 422, "bad-row"),
    "no prompt": (b"{}", {}, 422, "bad-row"),
    "too long": (written({"prompt": "the cat " * 99}), {}, 422, "bad-row"),
    "too many tokens": (written({"prompt": "a", "max_tokens": 96}), {}, 422, "bad-row"),
    "too many prompts": (written({"instances": [{"prompt": "a"}] * (MOST_PROMPTS + 1)}), {}, 413, "too-many-rows"),
    "a bad row of two": (written({"instances": [{"prompt": "a"}, {"prompt": 3}]}), {}, 422, "bad-row"),
    "a form": (b"prompt=a", {"content-type": "application/x-www-form-urlencoded"}, 415, "media-type"),
    "an array": (b"\x93NUMPY", {"content-type": "application/x-npy"}, 415, "media-type"),
    "tensors": (written({"inputs": [{"name": "prompt"}]}), {}, 400, "not-supported"),
    "binary tensors": (b"{}", {"Inference-Header-Content-Length": "2"}, 400, "not-supported"),
    "an image": (b'{"prompt": "a"}', {"accept": "image/png"}, 406, "not-acceptable"),
    "a stream of two": (written({"instances": [{"prompt": "a"}] * 2}), {"accept": EVENTS}, 406, "not-acceptable"),
    "an explanation": (b'{"prompt": "a"}', {"explain": "True"}, 501, "not-explainable"),
}


def test_bad_requests_are_refused_and_those_beside_them_are_answered(
    handler: GenerateHandler, torchserve: FakeTorchServe, tiny_model: maas.Model
) -> None:
    row = {"prompt": "the cat sees", "max_tokens": 12}
    torchserve.ask("good", written(row))
    torchserve.ask("stream", written(row), accept=EVENTS)
    for name, (body, headers, _, _) in BAD.items():
        torchserve.ask(name, body, **headers)
    torchserve.run(handler)
    for name, (_, _, status, kind) in BAD.items():
        got, body = torchserve.answer(name)
        assert (got, json.loads(body)["type"]) == (status, f"urn:maas:problem:{kind}"), name
        assert torchserve.headers[name]["content-type"] == PROBLEM_JSON
    wanted = alone(tiny_model, row)["text"]
    assert json.loads(torchserve.answer("good")[1])["text"] == wanted
    assert "".join(one["text"] for one in events(torchserve.answer("stream")[1])) == wanted
    assert handler._tally.errors["bad-row"] == 5
    assert handler._tally.requests == len(BAD) + 2


def test_a_refusal_keeps_nothing_of_its_request(handler: GenerateHandler, torchserve: FakeTorchServe) -> None:
    def refused(turn: str) -> None:
        for name, (body, headers, _, _) in BAD.items():
            torchserve.ask(f"{name} {turn}", body, **headers)
        torchserve.run(handler)

    refused("first")
    gc.collect()
    gc.disable()
    try:
        refused("second")
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_a_client_that_leaves_frees_its_slots_at_once(handler: GenerateHandler, torchserve: FakeTorchServe) -> None:
    torchserve.ask("many", written({"instances": [{"prompt": "the cat", "max_tokens": 80}] * 6}))
    torchserve.step(handler)
    torchserve.ask("next", written({"prompt": "the dog", "max_tokens": 1}))
    torchserve.step(handler)
    assert (handler._generating.live, handler._generating.waiting) == (4, 3)
    del torchserve.jobs["many"]  # as TorchServe does when it finds the connection closed
    torchserve.run(handler, most=3)
    assert torchserve.answer("next")[0] == 200
    assert handler._counts.left == 1


def test_a_unary_client_is_sent_empty_parts_so_that_it_is_noticed_when_it_leaves(
    handler: GenerateHandler, torchserve: FakeTorchServe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maas.serving._generate_handler._NOTICE_SECONDS", 0.0)
    torchserve.ask("unary", written({"prompt": "the cat sees", "max_tokens": 20}))
    torchserve.step(handler)
    assert torchserve.bodies["unary"] == [b""]
    torchserve.run(handler)
    assert json.loads(torchserve.answer("unary")[1])["finish_reason"] in ("stop", "length")


class Fussy:
    """Throws where a row of the poisoned prompt is in a pass, or gives NaN."""

    def __init__(self, network: Any, poison: int, *, throws: bool) -> None:
        self._advance, self._poison, self._throws = network.advance, poison, throws

    def __call__(self, tokens: torch.Tensor, *others: Any) -> torch.Tensor:
        x: torch.Tensor = self._advance(tokens, *others)
        hit = tokens == self._poison
        if self._throws and bool(hit.any()):
            raise RuntimeError("CUDA error: poisoned")
        return torch.where(hit[..., None], torch.nan, x)


@pytest.mark.parametrize(("throws", "status", "kind"), [(True, 500, "internal"), (False, 422, "bad-row")])
@pytest.mark.parametrize("accept", ["application/json", EVENTS])
def test_a_step_that_fails_ends_the_culprit_only(
    accept: str,
    throws: bool,
    status: int,
    kind: str,
    handler: GenerateHandler,
    torchserve: FakeTorchServe,
    tiny_model: maas.Model,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    poison = tiny_model.prepare([{"prompt": "!"}]).batch.inputs["tokens"][0, -1]
    network: Any = handler.model.network
    monkeypatch.setattr(network, "advance", Fussy(network, int(poison), throws=throws))
    row = {"prompt": "the cat sees", "max_tokens": 10}
    for name in "abc":
        torchserve.ask(name, written(row), accept=accept)
    torchserve.step(handler)
    torchserve.ask("bad", written({"prompt": "the!", "max_tokens": 10}), accept=accept)
    torchserve.run(handler)
    got, body = torchserve.answer("bad")
    assert (got, json.loads(body)["type"]) == (status, f"urn:maas:problem:{kind}")
    for name in "abc":
        body = torchserve.answer(name)[1]
        text = "".join(one["text"] for one in events(body)) if accept == EVENTS else json.loads(body)["text"]
        assert text == alone(tiny_model, row)["text"]
    assert handler._tally.errors[kind] == 1


@pytest.mark.parametrize("path", ["", "v1/chat/completions"])
def test_an_error_after_the_first_part_is_an_event(
    path: str, handler: GenerateHandler, torchserve: FakeTorchServe, monkeypatch: pytest.MonkeyPatch
) -> None:
    row: dict[str, Any] = {"max_tokens": 30}
    row |= {"messages": [{"role": "cat", "content": "dog"}]}
    headers = {"url_path": path} if path else {"accept": EVENTS}
    torchserve.ask("stream", written({**row, "stream": True} if path else row), **headers)
    for _ in range(3):
        torchserve.step(handler)

    def fail(*_: object) -> torch.Tensor:
        raise RuntimeError("broken")

    monkeypatch.setattr(handler.model.network, "advance", fail)
    torchserve.run(handler)
    status, body = torchserve.answer("stream")
    last = body.decode().split("\n\n")[-2]
    assert status == 200
    if path:
        error = json.loads(last.removeprefix("data: "))["error"]
        assert (error["type"], error["code"]) == ("server_error", "internal")
        assert b"[DONE]" not in body
    else:
        assert last.startswith("event: error\ndata: ")
        assert json.loads(last.partition("data: ")[2])["type"] == "urn:maas:problem:internal"


def test_while_it_drains_new_requests_are_turned_away_and_live_ones_end(
    handler: GenerateHandler, torchserve: FakeTorchServe, tmp_path: Path
) -> None:
    torchserve.ask("old", written({"prompt": "the cat sees", "max_tokens": 5}))
    torchserve.step(handler)
    (tmp_path / "drain").touch()
    torchserve.ask("new", written({"prompt": "the cat sees", "max_tokens": 5}))
    torchserve.run(handler)
    status, body = torchserve.answer("new")
    assert (status, torchserve.headers["new"]["Retry-After"]) == (503, "1")
    assert (json.loads(body)["worker"], json.loads(body)["live"]) == (os.getpid(), 1)
    assert torchserve.answer("old")[0] == 200


def test_it_says_what_it_is(handler: GenerateHandler, torchserve: FakeTorchServe) -> None:
    for media in (IDENTITY, DESCRIPTION, V2_METADATA):
        torchserve.ask(media, b"", accept=media)
    torchserve.run(handler)
    identity, description, metadata = (
        json.loads(torchserve.answer(media)[1]) for media in (IDENTITY, DESCRIPTION, V2_METADATA)
    )
    assert (identity["worker"], identity["live"]) == (os.getpid(), 0)
    assert description["task"] == "generation"
    assert handler.describe()["model"] == description["model"]
    assert "prompt_logprob" in [one["name"] for one in metadata["outputs"]]


def test_what_would_have_to_be_kept_in_memory_is_refused_before_it_runs(
    handler: GenerateHandler, torchserve: FakeTorchServe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maas.serving._generate_handler.MOST_RESPONSE_BYTES", 10_000)
    row = {"prompt": "the cat", "max_tokens": 30, "logprobs": 5}
    torchserve.ask("whole", written(row))
    torchserve.ask("stream", written(row), accept=EVENTS)
    torchserve.ask("without", written({**row, "logprobs": None}))
    torchserve.run(handler)
    assert [torchserve.answer(name)[0] for name in ("whole", "stream", "without")] == [413, 200, 200]


def test_a_body_beyond_what_torchserve_takes_goes_in_pieces(
    handler: GenerateHandler, torchserve: FakeTorchServe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maas.serving._generate_handler.MOST_RESPONSE_BYTES", 250)
    torchserve.ask("long", written({"prompt": "the cat", "max_tokens": 30}))
    torchserve.run(handler)
    assert max(map(len, torchserve.bodies["long"])) == 250
    assert json.loads(torchserve.answer("long")[1])["model"]["name"] == "tiny"


def test_it_wants_continuous_batching(tiny_artifact: Path) -> None:
    torchserve = FakeTorchServe(tiny_artifact)
    torchserve.model_yaml_config = {}
    with pytest.raises(ServingError, match=r"must say `continuousBatching: true` for maas_generate\.py"):
        GenerateHandler(torchserve)


def test_it_serves_generations_only(wine_artifact: Path) -> None:
    with pytest.raises(ServingError, match=r"maas_generate\.py serves generations, this is a classification"):
        GenerateHandler(FakeTorchServe(wine_artifact))


def test_without_memory_for_one_request_it_says_so(torchserve: FakeTorchServe, monkeypatch: pytest.MonkeyPatch) -> None:
    none: Any = functools.partial(slots_that_fit, memory_bytes=0)
    monkeypatch.setattr("maas.serving._generating.slots_that_fit", none)
    with pytest.raises(ServingError, match=r"the cache of a request does not fit.*give the worker more memory"):
        GenerateHandler(torchserve)


def test_with_memory_for_fewer_requests_the_others_wait(
    torchserve: FakeTorchServe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maas.serving._generating.slots_that_fit", lambda _: 2)
    handler = GenerateHandler(torchserve)
    for name in "abc":
        torchserve.ask(name, written({"prompt": "the cat", "max_tokens": 3}))
    torchserve.step(handler)
    assert (handler._generating.live, handler._generating.waiting) == (2, 1)
    torchserve.run(handler)
    assert [torchserve.answer(name)[0] for name in "abc"] == [200] * 3
