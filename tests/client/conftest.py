"""A small real HTTP server that does what servers do when they fail, and remembers what it was asked."""

import asyncio
import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

import maas

IDENTITY = {"name": "m", "version": "1.0", "digest": "0" * 64}


@dataclass
class Asked:
    """A request as it arrived."""

    at: float
    headers: Message
    body: bytes
    connection: int


Act = Callable[["Connection", Asked], None]


@dataclass
class Faulty:
    """The server: request by request it does what `acts` says; the last one goes on for ever."""

    acts: list[Act]
    asked: list[Asked] = field(default_factory=list)
    most_at_once: int = 0
    at_once: int = 0
    url: str = ""
    closing: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)


class Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    faulty: Faulty

    def do_POST(self) -> None:
        faulty = self.faulty
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        asked = Asked(time.monotonic(), self.headers, body, self.client_address[1])
        with faulty.lock:
            faulty.asked.append(asked)
            act = faulty.acts.pop(0) if len(faulty.acts) > 1 else faulty.acts[0]
            faulty.at_once += 1
            faulty.most_at_once = max(faulty.most_at_once, faulty.at_once)
        try:
            act(self, asked)
        finally:
            with faulty.lock:
                faulty.at_once -= 1

    do_GET = do_POST

    def log_message(self, *_: object) -> None:
        pass


def answer(status: int, body: Any, headers: Mapping[str, str]) -> Act:
    """Give this answer; as TorchServe does, close after a refusal."""

    def act(connection: Connection, asked: Asked) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        connection.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            connection.send_header(name, value)
        connection.send_header("Content-Length", str(len(content)))
        if status >= 400:
            connection.send_header("Connection", "close")
            connection.close_connection = True
        connection.end_headers()
        connection.wfile.write(content)

    return act


def echo(connection: Connection, asked: Asked) -> None:
    """Answer each row's x as its label, and a GET with who it is."""
    rows = json.loads(asked.body or b"{}")
    body: dict[str, Any] = {**IDENTITY} if not asked.body else {"label": rows.get("x"), "model": IDENTITY}
    if "instances" in rows:
        body = {"predictions": [{"label": row["x"]} for row in rows["instances"]], "model": IDENTITY}
    answer(200, body, {})(connection, asked)


def reset(connection: Connection, asked: Asked) -> None:
    """Break the connection off, as a killed server does."""
    connection.close_connection = True
    connection.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.connection.close()


def hang_up(connection: Connection, asked: Asked) -> None:
    """Close in order, without an answer."""
    connection.close_connection = True


def half(connection: Connection, asked: Asked) -> None:
    """Half a body."""
    connection.close_connection = True
    connection.wfile.write(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"label": 1,')


def hang(connection: Connection, asked: Asked) -> None:
    """No answer."""
    connection.close_connection = True
    connection.faulty.closing.wait(30)


def drip(connection: Connection, asked: Asked) -> None:
    """A body that comes byte by byte, and never ends in time."""
    connection.close_connection = True
    connection.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    for _ in range(1000):
        connection.wfile.write(b" ")
        if connection.faulty.closing.wait(0.05):
            return


ACTS = {"echo": echo, "reset": reset, "hang_up": hang_up, "half": half, "hang": hang, "drip": drip}


def _act(given: Any) -> Act:
    if isinstance(given, str):
        return ACTS[given]
    if isinstance(given, tuple):
        status, body, headers = (*given, {})[:3]
        return answer(status, body, headers)
    made: Act = given
    return made


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:  # a client that gives up is what some tests are about
        pass


@pytest.fixture
def faulty() -> Iterator[Callable[..., Faulty]]:
    """Starts a server that does these, one a request: names of `ACTS`, (status, body, headers), or functions."""
    running = []

    def start(*acts: Any, tls: ssl.SSLContext | None = None) -> Faulty:
        state = Faulty([_act(act) for act in acts])
        server = _Server(("127.0.0.1", 0), type("Bound", (Connection,), {"faulty": state}))
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        state.url = f"http{'s' * (tls is not None)}://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        running.append((state, server, thread))
        return state

    yield start
    for state, server, thread in running:
        state.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(params=["sync", "async"])
def call(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Calls a method of a client that blocks, or of one that awaits: `call(url, "predict", rows, retries=2)`."""

    def sync(url: str, method: str, *arguments: Any, **options: Any) -> Any:
        with maas.Client("m", url=url, **{"token": "t", **options}) as client:
            return getattr(client, method)(*arguments)

    def awaited(url: str, method: str, *arguments: Any, **options: Any) -> Any:
        async def run() -> Any:
            async with maas.AsyncClient("m", url=url, **{"token": "t", **options}) as client:
                return await getattr(client, method)(*arguments)

        return asyncio.run(run())

    return sync if request.param == "sync" else awaited
