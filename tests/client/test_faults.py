"""What the client does when a server fails: a real one, that fails on purpose."""

import json
import time
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import pytest

import maas
from maas.client._retry import pause_seconds, retry_after
from maas.client._steps import Failure, Reply
from maas.errors import ClientError, RequestRefused, ServerUnavailable

Start = Callable[..., Any]
Call = Callable[..., Any]

DIED = {"code": 507, "type": "InternalServerException", "message": "Worker died."}
NO_TOKEN = {"code": 400, "type": "InvalidKeyException", "message": "Token Authorization failed."}
PASSING = {
    "reset": "reset",
    "closed": "hang_up",
    "half a body": "half",
    "503": (503, {"code": 503, "message": "no worker"}),
    "502 of a front": (502, b"<html>"),
    "429 of a front": (429, b"", {"Retry-After": "0"}),
    "worker died, 500": (500, DIED),
    "worker died, 507": (507, DIED),
}
LASTING = {
    "400": (400, {"title": "Not JSON", "detail": "no"}),
    "404": (404, {"code": 404, "type": "ModelNotFoundException", "message": "no such model"}),
    "413": (413, b""),
    "422": (422, {"title": "A row cannot be answered", "detail": "no"}),
    "429 that names no time": (429, b""),
}


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING.keys())
def test_what_passes_is_tried_again(fault: Any, faulty: Start, call: Call) -> None:
    server = faulty(fault, fault, "echo")
    assert call(server.url, "predict", {"x": 7}) == {"label": 7}
    assert len(server.asked) == 3


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING.keys())
def test_no_retries_when_they_are_switched_off(fault: Any, faulty: Start, call: Call) -> None:
    server = faulty(fault)
    with pytest.raises(ServerUnavailable):
        call(server.url, "predict", {"x": 7}, retries=0)
    assert len(server.asked) == 1


@pytest.mark.parametrize("refusal", LASTING.values(), ids=LASTING.keys())
def test_a_refusal_is_never_tried_again(refusal: Any, faulty: Start, call: Call) -> None:
    server = faulty(refusal, "echo")
    with pytest.raises(RequestRefused) as caught:
        call(server.url, "predict", {"x": 7})
    assert caught.value.status == refusal[0]
    assert len(server.asked) == 1


@pytest.mark.parametrize("status", [500, 501, 504])
def test_another_error_of_the_server_is_not_tried_again(status: int, faulty: Start, call: Call) -> None:
    server = faulty((status, {"title": "Internal error", "detail": "the network threw"}), "echo")
    with pytest.raises(ServerUnavailable, match=f"{status} Internal error: the network threw$"):
        call(server.url, "predict", {"x": 7})
    assert len(server.asked) == 1


def test_the_error_says_what_was_tried_and_how_often(faulty: Start, call: Call) -> None:
    server = faulty((503, {"code": 503, "type": "ServiceUnavailableException", "message": "no worker"}))
    with pytest.raises(
        ServerUnavailable, match=r"^503 ServiceUnavailableException: no worker; tried 3 times in \d\.\d s"
    ):
        call(server.url, "predict", {"x": 7}, retries=2)
    assert len(server.asked) == 3
    server = faulty("hang_up")
    with pytest.raises(ServerUnavailable, match=r"did not answer \(RemoteProtocolError: .*tried 2 times .*running\?"):
        call(server.url, "predict", {"x": 7}, retries=1)


def test_retry_after_is_waited_for(faulty: Start, call: Call) -> None:
    server = faulty((503, b"", {"Retry-After": "1"}), "echo")
    assert call(server.url, "predict", {"x": 7}) == {"label": 7}
    assert server.asked[1].at - server.asked[0].at >= 1


def test_a_retry_after_beyond_the_time_ends_it_at_once(faulty: Start, call: Call) -> None:
    server = faulty((503, b"", {"Retry-After": "3600"}))
    with pytest.raises(ServerUnavailable, match=r"^503"):
        call(server.url, "predict", {"x": 7}, timeout=60)
    assert len(server.asked) == 1


@pytest.mark.parametrize("fault", ["hang", "drip"])
def test_the_time_of_a_call_is_bounded_and_not_tried_again(fault: str, faulty: Start, call: Call) -> None:
    server = faulty(fault)
    with pytest.raises(ServerUnavailable, match=r"did not answer \(.*is it running\?"):
        call(server.url, "predict", {"x": 7}, timeout=0.5)
    assert len(server.asked) == 1


def test_retries_end_when_the_time_does(faulty: Start, call: Call) -> None:
    server = faulty("reset")
    with pytest.raises(ServerUnavailable, match=r"tried \d+ times"):
        call(server.url, "predict", {"x": 7}, timeout=1, retries=10**6)


def test_pauses_grow_at_random_up_to_a_bound() -> None:
    failed = Failure("reset", again=True)
    for tries, most in [(1, 0.1), (2, 0.2), (5, 1.6), (8, 5.0), (10_000, 5.0)]:
        drawn = [pause_seconds(tries, failed) for _ in range(200)]
        assert all(0 <= one <= most for one in drawn)
        assert max(drawn) > most / 2
        assert len(set(drawn)) > 100
    told = Reply(503, "", {"retry-after": "2"}, b"")
    assert all(2 <= pause_seconds(9, told) <= 2.1 for _ in range(20))


def test_retry_after_as_a_date_or_nonsense() -> None:
    assert 58 < (retry_after(formatdate(time.time() + 60, usegmt=True)) or 0) <= 60
    assert retry_after(formatdate(time.time() - 60, usegmt=True)) == 0
    for text in ("", "soon", "-3", "1.5", "²"):
        assert retry_after(text) is None


def wants(token: str, refusal: tuple[int, Any]) -> Callable[..., None]:
    """A server that refuses any other token."""

    def act(connection: Any, asked: Any) -> None:
        good = asked.headers["authorization"] == f"Bearer {token}"
        status, body = (200, {"label": 7, "model": {}}) if good else refusal
        content = json.dumps(body).encode()
        connection.send_response(status)
        connection.send_header("Content-Length", str(len(content)))
        connection.end_headers()
        connection.wfile.write(content)

    return act


@pytest.mark.parametrize("refusal", [(400, NO_TOKEN), (401, {})], ids=["TorchServe", "a front"])
def test_a_renewed_token_is_asked_for_after_a_refusal(refusal: Any, faulty: Start, call: Call) -> None:
    server = faulty(wants("new", refusal))
    tokens = iter(["old", "old", "new"])  # the second: taken by the server, not yet written down
    assert call(server.url, "predict", {"x": 7}, token=lambda: next(tokens), retries=0) == {"label": 7}
    assert len(server.asked) == 2


@pytest.mark.parametrize("token", ["old", lambda: "old"], ids=["a string", "a function"])
def test_a_token_that_stays_the_same_is_refused(token: Any, faulty: Start, call: Call) -> None:
    server = faulty(wants("new", (400, NO_TOKEN)))
    with pytest.raises(RequestRefused, match="InvalidKeyException: Token"):
        call(server.url, "predict", {"x": 7}, token=token)
    assert len(server.asked) == 1


def test_ever_new_tokens_are_not_tried_for_ever(faulty: Start, call: Call) -> None:
    server = faulty((401, {}))
    tokens = map(str, range(100))
    with pytest.raises(RequestRefused, match=r"^401"):
        call(server.url, "predict", {"x": 7}, token=lambda: next(tokens))
    assert [one.headers["authorization"] for one in server.asked] == ["Bearer 0", "Bearer 1", "Bearer 2"]


def test_a_token_is_not_asked_for_while_it_is_taken(faulty: Start) -> None:
    server = faulty("echo")
    asked = []
    with maas.Client("m", url=server.url, token=lambda: asked.append(1) or "t") as client:
        assert [client.predict({"x": x})["label"] for x in range(3)] == [0, 1, 2]
    assert len(asked) == 1


def test_a_function_without_a_token_ends_the_call(faulty: Start, call: Call) -> None:
    def gone() -> str:
        raise ClientError("the key file is gone")

    with pytest.raises(ClientError, match="the key file is gone"):
        call(faulty("echo").url, "predict", {"x": 7}, token=gone)


def test_connections_are_used_again(faulty: Start) -> None:
    server = faulty("echo")
    with maas.Client("m", url=server.url, token="t") as client:
        for x in range(5):
            client.predict({"x": x})
    assert len({one.connection for one in server.asked}) == 1


def test_a_connection_that_a_refusal_closed_does_not_fail_the_next_request(faulty: Start) -> None:
    server = faulty(*[(422, {"title": "no"}), "echo"] * 20)
    with maas.Client("m", url=server.url, token="t", retries=0) as client:
        for x in range(20):
            with pytest.raises(RequestRefused):
                client.predict({"x": x})
            assert client.predict({"x": x}) == {"label": x}


def test_answers_that_are_none(faulty: Start, call: Call) -> None:
    for body, message in [(b"<html>", "without JSON"), (b"[1]", "answered 200 with"), (b"{}", "without 'model'")]:
        with pytest.raises(ServerUnavailable, match=message):
            call(faulty((200, body)).url, "predict", {"x": 7})


def test_ready_and_waiting_for_it(faulty: Start, call: Call) -> None:
    down = (503, {"title": "Draining", "detail": "stopping"})
    assert call(faulty("echo").url, "ready")
    assert not call(faulty(down).url, "ready")
    assert not call(faulty("hang").url, "ready", 0.2)
    server = faulty(down, "reset", (404, b""), "echo")
    assert call(server.url, "wait_ready", 30) is None
    assert len(server.asked) == 4
    with pytest.raises(ServerUnavailable, match=r"m was not ready within 0\.3 s: 503 Draining: stopping"):
        call(faulty(down).url, "wait_ready", 0.3)
