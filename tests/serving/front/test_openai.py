"""OpenAI's API through Caddy, as the front configures it: models named in the body, streams, errors."""

from __future__ import annotations

import socket
import threading
import time
from http.server import BaseHTTPRequestHandler

import httpx
import pytest

from maas.serving.protocols._openai_problem import OpenAIProblem

from .upstream import GOOD, KEY, Run, problem

CHAT = "/v1/chat/completions"


def test_openais_api_leads_to_the_model_that_the_body_names(front: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIDDEN", '"model": "poet"')
    http, _, upstreams = front(GOOD, generating=["poet", "tiny-2"])
    for path in ("v1/chat/completions", "v1/completions"):
        for text, name in (
            ('{"prompt": "It", "model": "tiny-2"}', "tiny-2"),
            ('{"model":"poet","prompt":"\\"model\\": \\"tiny-2\\" \u8c93"}', "poet"),
            ('{"prompt":"\\"model\\": \\"tiny-2\\"",\n"model" : "poet" }', "poet"),
        ):
            assert http.post(f"/{path}", content=text.encode()).json() == {"label": 1}
            headers, body = upstreams[0].asked[-1]
            assert (headers["x-maas-route"], headers["authorization"]) == (f"/{path}", "Bearer token-0")
            assert upstreams[0].paths[-1] == f"/predictions/{name}"
            assert body == text.encode()
    asked = len(upstreams[0].asked)
    for content in ('{"model": "tiny-"}', '{"model": "none"}', "{env.HIDDEN}", '{"prompt": "tiny-2"}', ""):
        answer = http.post(CHAT, content=content)
        assert answer.status_code == 404
        error = answer.json()["error"]
        assert (error["code"], error["param"]) == ("model_not_found", "model")
        assert error["message"] == "`model` must name a model that is served here: poet, tiny-2"
    assert len(upstreams[0].asked) == asked


def test_openais_list_of_models(front: Run) -> None:
    http, _, _ = front(GOOD, generating=["poet", "tiny-2"])
    listed = http.get("/v1/models").json()
    assert [one["id"] for one in listed["data"]] == ["poet", "tiny-2"]
    assert http.get("/v1/models/poet").json() == listed["data"][0]
    assert http.get("/v1/models/none").json()["error"]["code"] == "not-found"
    refused = http.get("/v1/models", headers={"Authorization": "Bearer wrong"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "unauthorized")


def test_without_a_model_that_generates_there_is_no_such_path(front: Run) -> None:
    http, _, _ = front(GOOD)
    assert [http.get("/v1/models").status_code, http.post(CHAT, json={"model": "wine"}).status_code] == [404, 404]


def test_what_names_its_model_in_the_body_is_sent_on_once_it_is_whole(
    front: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maas.serving.front._config.BODY_SECONDS", 1)
    http, _, upstreams = front(GOOD, generating=["poet"])
    text = b'{"model":"poet","prompt":"It"}'
    head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nContent-Length: {len(text) + 1}\r\n\r\n"
    with socket.create_connection((http.base_url.host, http.base_url.port or 0), timeout=10) as slow:
        slow.sendall(head.encode() + text)
        said = slow.recv(65_536)
    assert said.startswith(b"HTTP/1.1 408 "), said
    chunked = http.post(CHAT, content=iter([text, *[b" " * 65_536] * 100]))
    assert (chunked.status_code, problem(chunked)) == (413, "too-large")
    assert not upstreams[0].asked
    largest = b" " * (6_553_500 - len(text)) + text
    assert http.post(CHAT, content=largest).status_code == 200
    assert len(upstreams[0].asked[-1][1]) == len(largest)


@pytest.mark.parametrize("status", [404, 500])
def test_an_error_in_the_form_of_openais_api_is_the_handlers_own(front: Run, status: int) -> None:
    refused = OpenAIProblem("no-such-route" if status == 404 else "internal", "mine")
    http, _, upstreams = front((status, {"Content-Type": refused.media}, refused.body()), generating=["poet"])
    answer = http.post(CHAT, json={"model": "poet"})
    assert (answer.status_code, answer.json()["error"]["message"]) == (status, "mine")
    assert len(upstreams[0].asked) == 1


def test_a_stream_goes_through_as_it_comes_and_is_not_cut_nor_asked_again(
    front: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maas.serving.front._config.BODY_SECONDS", 1)
    monkeypatch.setattr("maas.serving.front._config.HEADER_SECONDS", 1)
    go, gone = threading.Event(), threading.Event()

    def stream(asked: BaseHTTPRequestHandler) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        asked.wfile.write(head + b"9\r\ndata: 1\n\n\r\n")
        if go.wait(10):
            asked.wfile.write(b"9\r\ndata: 2\n\n\r\n")
            asked.connection.settimeout(10)
            if asked.connection.recv(1) == b"":
                gone.set()

    http, _, upstreams = front(stream, generating=["poet"])
    with http.stream("POST", CHAT, json={"model": "poet"}) as answer:
        texts = answer.iter_text()
        assert next(texts) == "data: 1\n\n"
        time.sleep(1.5)  # longer than a body may take to come
        go.set()
        assert next(texts) == "data: 2\n\n"
    assert gone.wait(10)  # the instance sees that the client has left
    assert len(upstreams[0].asked) == 1


def test_a_stream_that_breaks_off_is_not_asked_again(front: Run) -> None:
    def broken(asked: BaseHTTPRequestHandler) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        asked.wfile.write(head + b"9\r\ndata: 1\n\n\r\n")

    http, _, upstreams = front(broken, generating=["poet"])
    with http.stream("POST", CHAT, json={"model": "poet"}) as answer, pytest.raises(httpx.RemoteProtocolError):
        list(answer.iter_text())
    assert len(upstreams[0].asked) == 1
