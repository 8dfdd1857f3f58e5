"""The load generator: against servers that fail in known ways, and against TorchServe."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pytest

import maas
from maas.client import LocalServer
from maas.errors import ServingError
from maas.serving import Server
from maas.serving._load import Body, measure

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
FULL = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
NO_TOKEN = b'HTTP/1.1 400 Bad Request\r\nContent-Length: 31\r\n\r\n{"type":"InvalidKeyException"} '
BODIES = [Body(b"{}")]
Start = Callable[[Callable[[bytes], bytes | None]], LocalServer]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a server that answers each request with what a function of its head gives; None closes."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=200)

    def serve(answer: Callable[[bytes], bytes | None]) -> LocalServer:
        def talk(connection: socket.socket) -> None:
            with connection:
                while head := connection.recv(65536):
                    said = answer(head)
                    if said is None:
                        return
                    connection.sendall(said)
                    if said.startswith((b"HTTP/1.1 4", b"HTTP/1.1 5")):
                        return  # as TorchServe does

        def accept() -> None:
            while True:
                try:
                    connection = listening.accept()[0]
                except OSError:
                    return
                threading.Thread(target=talk, args=[connection], daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        (tmp_path / "key_file.json").write_text(json.dumps({"inference": {"key": "old"}}))
        return LocalServer(str(tmp_path), 0, f"http://127.0.0.1:{listening.getsockname()[1]}", ("model",))

    yield serve
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()


def test_requests_come_at_the_rate_asked_for_and_carry_what_they_must(start: Start) -> None:
    heads: list[bytes] = []

    def answer(head: bytes) -> bytes:
        heads.append(head)
        return OK

    body = Body(b'{"x": 1}', {"Content-Type": "application/json"})
    found = measure(start(answer), "model", [body], rate=200, seconds=2, warm_seconds=0.5)
    assert 320 <= found.requests <= 480  # Poisson of mean 400: four deviations
    assert found.outcomes.keys() == {"200"}
    assert found.goodput == found.within / 2
    assert 0 < found.latency.p50 <= found.latency.p99 <= found.latency.p999
    assert heads[0].startswith(b"POST /predictions/model HTTP/1.1\r\n")
    assert b"\r\nAuthorization: Bearer old\r\n" in heads[0]
    assert b"\r\nContent-Type: application/json\r\n" in heads[0]
    assert heads[0].endswith(b'\r\n\r\n{"x": 1}')


def test_a_stall_counts_for_all_that_were_due_meanwhile(start: Start) -> None:
    """Coordinated omission: one client after the other would see one slow request; an open loop sees all of them."""
    first: list[float] = []

    def answer(head: bytes) -> bytes:
        first.append(time.monotonic())
        time.sleep(max(0.0, first[0] + 0.5 - time.monotonic()))  # as one worker does that stands still
        return OK

    found = measure(start(answer), "model", BODIES, rate=100, seconds=1, warm_seconds=0, limit=0.2, connections=1)
    assert found.outcomes.keys() == {"200"}
    assert 0.4 < found.latency.p99 < 5
    assert found.requests - found.within >= 15  # those of some 0.3 s


def test_failures_took_for_ever(start: Start) -> None:
    numbers = iter(range(10**6))
    answers = {0: OK, 1: FULL, 2: None}
    found = measure(start(lambda head: answers[next(numbers) % 3]), "model", BODIES, rate=150, seconds=1)
    assert found.outcomes.keys() == {"200", "503", "reset"}
    assert found.requests == sum(one.count for one in found.outcomes.values())
    assert found.latency.p99 == float("inf")
    assert found.outcomes["503"].p99 < float("inf")
    assert found.within <= found.count("200")


def test_no_answer_is_hung(start: Start) -> None:
    def answer(head: bytes) -> bytes:
        time.sleep(5)
        return OK

    found = measure(start(answer), "model", BODIES, rate=20, seconds=0.5, warm_seconds=0, timeout=0.5)
    assert found.outcomes.keys() == {"hung"}
    assert found.share_within == 0


def test_a_renewed_token_is_read_again(start: Start, tmp_path: Path) -> None:
    def answer(head: bytes) -> bytes:
        if b"Bearer new" in head:
            return OK
        (tmp_path / "key_file.json").write_text(json.dumps({"inference": {"key": "new"}}))
        return NO_TOKEN

    found = measure(start(answer), "model", BODIES, rate=50, seconds=0.5, warm_seconds=0)
    assert found.outcomes.keys() == {"200"}


def test_a_server_that_is_gone(tmp_path: Path) -> None:
    gone = LocalServer(str(tmp_path), 0, "http://127.0.0.1:9", ("model",))
    with pytest.raises(ServingError, match=r"the load generator failed: (?s:.*)has no inference token"):
        measure(gone, "model", BODIES, rate=1, seconds=0.1)


def test_torchserve_answers_a_closed_loop_and_an_open_one(server: Server, wine_model: maas.Model) -> None:
    rows = wine_model.preprocess.examples(8)
    bodies = [Body(orjson.dumps(row), {"Content-Type": "application/json"}) for row in rows]
    lone = measure(server, "wine", bodies, rate=None, seconds=0.5, warm_seconds=0.1, connections=1)
    assert lone.outcomes.keys() == {"200"}
    assert lone.connections == 1
    many = measure(server, "wine", [*bodies, Body(b"{")], rate=60, seconds=1, warm_seconds=0.1)
    assert many.outcomes.keys() == {"200", "400"}
    assert many.count("200") > many.count("400")
