"""Instances that answer what TorchServe was seen to."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

KEY = "k" * 20


Answer = tuple[int, dict[str, str], bytes]


Write = Callable[[BaseHTTPRequestHandler], None]


PLAIN = {"Content-Type": "application/json"}


DIED: Answer = (500, PLAIN, b'{"code":500,"type":"InternalServerException","message":"Worker died."}')


FULL: Answer = (503, PLAIN, b'{"code":503,"type":"ServiceUnavailableException","message":"no worker"}')


DRAINING: Answer = (503, {"Content-Type": "application/problem+json", "Retry-After": "1"}, b"{}")


OWN_500: Answer = (500, {"Content-Type": "application/problem+json"}, b'{"type":"urn:maas:problem:internal"}')


GOOD: Answer = (200, PLAIN, b'{"label":1}')


class Upstream:
    """An instance: gives the same answer to all, and keeps what it was asked. None resets the connection.

    A function writes the answer itself, and ends the connection.
    """

    def __init__(self, answer: Answer | Write | None) -> None:
        self.asked: list[tuple[dict[str, str], bytes]] = []
        self.paths: list[str] = []
        outer = self

        class Asked(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                pass

            def do_POST(self) -> None:
                # A chunked one is read until Caddy gives up: all that these tests send so is too large.
                chunked = self.headers.get("Transfer-Encoding") == "chunked"
                body = self.rfile.read(-1 if chunked else int(self.headers.get("Content-Length") or 0))
                outer.asked.append(({name.lower(): value for name, value in self.headers.items()}, body))
                outer.paths.append(self.path)
                if answer is None:
                    self.connection.shutdown(socket.SHUT_RDWR)
                    self.close_connection = True
                    return
                if callable(answer):
                    self.close_connection = True
                    answer(self)
                    return
                status, headers, content = answer
                self.send_response(status)
                for name, value in {**headers, "x-request-id": "of-torchserve"}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Asked)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


Run = Callable[..., tuple[httpx.Client, Path, list[Upstream]]]


def predict(http: httpx.Client, **more: Any) -> httpx.Response:
    return http.post("/predictions/wine", json={"alcohol": 13.2}, **more)


def problem(response: httpx.Response) -> str:
    """The kind of a problem document."""
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert body["status"] == response.status_code
    kind: str = body["type"].removeprefix("urn:maas:problem:")
    return kind
