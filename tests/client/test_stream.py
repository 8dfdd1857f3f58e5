"""`Client.stream` and the one that awaits, against a real server that streams as the handler does, or fails at it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest

import maas
from maas.client import Prediction
from maas.client._events import Event, EventReader
from maas.errors import ClientError, RequestRefused, ServerUnavailable
from tests.client.conftest import IDENTITY, Act, Asked, Connection, Faulty, echo, reset

ROW = {"prompt": "It", "max_tokens": 3}
TEXTS = ("It ", "was ", "a 貓")
LAST = {"text": "", "finish_reason": "length", "completion_tokens": 3, "model": IDENTITY}
PARTS = [*({"text": text, "finish_reason": None} for text in TEXTS), LAST]
FULL = (503, {"title": "Full", "detail": "every slot is taken"}, {"Retry-After": "0"})


def events(*parts: dict[str, Any] | bytes, end: bool = True, pause: float = 0.0) -> Act:
    """Stream these parts, an event each, in two pieces; then end the answer, or break off."""

    def act(connection: Connection, asked: Asked) -> None:
        assert asked.headers["accept"] == "text/event-stream"
        assert json.loads(asked.body) == ROW
        connection.send_response(200)
        connection.send_header("Content-Type", "text/event-stream; charset=utf-8")
        connection.send_header("Transfer-Encoding", "chunked")
        connection.end_headers()
        for part in parts:
            text = part if isinstance(part, bytes) else b"data: " + json.dumps(part, ensure_ascii=False).encode()
            for piece in (text[:-3], text[-3:] + b"\n\n"):
                connection.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            connection.faulty.closing.wait(pause)
        if end:
            connection.wfile.write(b"0\r\n\r\n")
        else:
            connection.close_connection = True

    return act


Stream = Callable[..., list[Prediction]]


@pytest.fixture(params=["sync", "async"])
def stream(request: pytest.FixtureRequest) -> Stream:
    """The parts of one answer, by a client that blocks or one that awaits; `seen` keeps those before an error."""

    def sync(url: str, row: Any = ROW, seen: list[Prediction] | None = None, **options: Any) -> list[Prediction]:
        found = [] if seen is None else seen
        with maas.Client("m", url=url, token="t", **options) as client:
            for part in client.stream(row):
                found.append(part)
        return found

    def awaited(url: str, row: Any = ROW, seen: list[Prediction] | None = None, **options: Any) -> list[Prediction]:
        found = [] if seen is None else seen

        async def run() -> None:
            async with maas.AsyncClient("m", url=url, token="t", **options) as client:
                async for part in client.stream(row):
                    found.append(part)

        asyncio.run(run())
        return found

    return sync if request.param == "sync" else awaited


Start = Callable[..., Faulty]


def test_parts_come_as_the_server_sends_them(faulty: Start, stream: Stream) -> None:
    found = stream(faulty(events(*PARTS)).url)
    assert found == [*PARTS[:-1], {name: value for name, value in LAST.items() if name != "model"}]
    assert found[-1].model == IDENTITY


def test_the_connection_of_a_whole_answer_is_used_again(faulty: Start) -> None:
    server = faulty(events(*PARTS))
    with maas.Client("m", url=server.url, token="t") as client:
        assert [len(list(client.stream(ROW))) for _ in range(2)] == [4, 4]
    assert len({asked.connection for asked in server.asked}) == 1


@pytest.mark.parametrize("before", ["reset", "hang_up", FULL, events(end=False)], ids=["reset", "end", "503", "empty"])
def test_what_fails_before_the_first_part_is_sent_again(faulty: Start, stream: Stream, before: Any) -> None:
    server = faulty(before, events(*PARTS))
    assert len(stream(server.url)) == 4
    assert len(server.asked) == 2


def test_what_breaks_off_later_is_not_sent_again(faulty: Start, stream: Stream) -> None:
    def torn(connection: Connection, asked: Asked) -> None:
        events(*PARTS[:2], end=False)(connection, asked)
        reset(connection, asked)

    for broken in (torn, events(*PARTS[:2], end=False), events(*PARTS[:2])):
        seen: list[Prediction] = []
        server = faulty(broken)
        with pytest.raises(ServerUnavailable, match=r"broke off after 2 parts, and was not asked again: "):
            stream(server.url, seen=seen)
        assert [part["text"] for part in seen] == list(TEXTS[:2])
        assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("status", "wanted", "match"),
    [
        (422, RequestRefused, "^422 A row cannot be answered: too long"),
        (503, ServerUnavailable, "broke off after 1 parts, and was not asked again: 503 A row cannot be answered: too"),
    ],
)
def test_an_error_among_the_parts(
    faulty: Start, stream: Stream, status: int, wanted: type[Exception], match: str
) -> None:
    problem = {"title": "A row cannot be answered", "detail": "too long", "status": status}
    server = faulty(events(PARTS[0], b"event: error\ndata: " + json.dumps(problem).encode()))
    with pytest.raises(wanted, match=match):
        stream(server.url)
    assert len(server.asked) == 1


def test_refusals_and_answers_that_are_no_streams(faulty: Start, stream: Stream) -> None:
    with pytest.raises(RequestRefused, match=r"^422 No: bad row") as refused:
        stream(faulty((422, {"title": "No", "detail": "bad row"})).url)
    assert refused.value.status == 422
    with pytest.raises(ClientError, match="m answers whole, with application/json, not part by part; use predict"):
        stream(faulty(echo).url)
    with pytest.raises(ServerUnavailable, match="streams what is no part of an answer: "):
        stream(faulty(events(b"data: [1]")).url)
    with pytest.raises(ClientError, match="`row` must be one row, got list of 2"):
        stream("http://127.0.0.1:1", [ROW, ROW])


def test_time_is_up_between_two_parts_or_before_the_first(faulty: Start, stream: Stream) -> None:
    with pytest.raises(ServerUnavailable, match=r"broke off after 1 parts.*ReadTimeout"):
        stream(faulty(events(*PARTS, pause=5)).url, timeout=0.3)
    assert len(stream(faulty(events(*PARTS, pause=0.3)).url, timeout=1)) == 4  # longer than that in all
    for slow in ("hang", events(b": not yet", b": not yet", b": not yet", *PARTS, pause=0.2)):
        server = faulty(slow)
        with pytest.raises(ServerUnavailable, match="did not answer"):
            stream(server.url, timeout=0.3)
        assert len(server.asked) == 1


@pytest.mark.parametrize("way", ["close", "drop", "async"])
def test_a_stream_that_is_closed_early_closes_the_connection(faulty: Start, way: str) -> None:
    gone: list[bool] = []

    def endless(connection: Connection, asked: Asked) -> None:
        events(PARTS[0], end=False)(connection, asked)
        connection.connection.settimeout(5)
        with contextlib.suppress(OSError):
            gone.append(connection.connection.recv(1, socket.MSG_PEEK) == b"")

    server = faulty(endless)
    if way == "async":

        async def run() -> None:
            async with maas.AsyncClient("m", url=server.url, token="t") as client:
                async with contextlib.aclosing(client.stream(ROW)) as parts:
                    assert await anext(parts) == PARTS[0]
                await asyncio.to_thread(_wait_for, gone)

        asyncio.run(run())
        return
    with maas.Client("m", url=server.url, token="t") as client:
        if way == "close":
            parts = client.stream(ROW)
            assert next(parts) == PARTS[0]
            parts.close()
        else:
            for _ in client.stream(ROW):
                break
        _wait_for(gone)


def _wait_for(gone: list[bool]) -> None:
    deadline = time.monotonic() + 5
    while not gone and time.monotonic() < deadline:
        time.sleep(0.01)
    assert gone == [True]


def test_events_are_read_whatever_pieces_they_come_in() -> None:
    text = ': hello\r\ndata: {"a":\r\ndata:1}\n\nevent: error\ndata: "貓"\nid: 7\n\n\ndata: lost'.encode()
    wanted = [Event("message", '{"a":\n1}'), Event("error", '"貓"')]
    for size in (1, 2, 5, len(text)):
        reader = EventReader()
        assert [one for at in range(0, len(text), size) for one in reader.feed(text[at : at + size])] == wanted
