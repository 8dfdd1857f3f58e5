"""Caddy, as the front configures it, before instances that answer what TorchServe was seen to: no server starts slower.

TorchServe cannot be made to lose a worker, fill its queue or drain at the moment a test wants it to.
"""

from __future__ import annotations

import json
import os
import socket
import ssl
import stat
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from maas.client import folder_of_servers
from maas.errors import ServingError
from maas.serving._ports import free_ports
from maas.serving.front import _caddy
from maas.serving.front._config import FrontSettings
from maas.serving.front._keys import make_keys, read_keys
from maas.serving.front._slots import COUNT, Slots, spread
from maas.serving.protocols._openai_problem import OpenAIProblem

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


@pytest.fixture
def front(tmp_path: Path) -> Iterator[Run]:
    """Starts Caddy before instances that give certain answers."""
    ends: list[Callable[[], Any]] = []

    def run(*answers: Answer | Write | None, **more: Any) -> tuple[httpx.Client, Path, list[Upstream]]:
        upstreams = [Upstream(answer) for answer in answers]
        ends.extend(one.close for one in upstreams)
        port, *dead = free_ports(2)
        ports = [one.port for one in upstreams] or dead
        folder = folder_of_servers() / f"front-{os.getpid()}-test"
        folder.mkdir(mode=0o700)
        ends.append(lambda: subprocess.run(["rm", "-r", str(folder)], check=True))
        slots = Slots(folder)
        slots.make()
        slots.point(spread(ports, {}))
        for number, one in enumerate(ports):
            slots.put_token(one, f"token-{number}")
        settings = FrontSettings(folder, tmp_path, "127.0.0.1", port, ports, 5, **more)
        (folder / _caddy.CONFIG).write_text(settings.to_json([KEY, "other" * 5]))
        process = _caddy.start_caddy(_caddy.find_caddy(), folder, tmp_path)
        ends.append(lambda: (process.terminate(), process.wait()))
        verify = ssl.create_default_context(cafile=settings.certificate)
        headers = {"Authorization": f"Bearer {KEY}"}
        http = httpx.Client(base_url=settings.url, headers=headers, trust_env=False, timeout=20, verify=verify)
        ends.append(http.close)
        return http, folder, upstreams

    yield run
    for end in reversed(ends):
        end()


def predict(http: httpx.Client, **more: Any) -> httpx.Response:
    return http.post("/predictions/wine", json={"alcohol": 13.2}, **more)


def problem(response: httpx.Response) -> str:
    """The kind of a problem document."""
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert body["status"] == response.status_code
    kind: str = body["type"].removeprefix("urn:maas:problem:")
    return kind


@pytest.mark.parametrize("bad", [DIED, DRAINING, None], ids=["worker died", "draining", "reset"])
def test_what_one_instance_cannot_answer_is_asked_of_the_other(front: Run, bad: Answer | None) -> None:
    http, _, upstreams = front(bad, GOOD)
    assert [predict(http).status_code for _ in range(8)] == [200] * 8
    assert upstreams[0].asked
    assert {body for one in upstreams for _, body in one.asked} == {b'{"alcohol":13.2}'}
    for number, one in enumerate(upstreams):
        assert {asked["authorization"] for asked, _ in one.asked} == {f"Bearer token-{number}"}


def test_an_error_of_the_handler_itself_is_not_tried_again(front: Run) -> None:
    http, _, upstreams = front(OWN_500)
    assert predict(http).json() == {"type": "urn:maas:problem:internal"}
    assert len(upstreams[0].asked) == 1


def test_a_full_queue_is_429_and_says_when_to_come_back(front: Run) -> None:
    http, _, upstreams = front(FULL)
    answer = predict(http)
    assert answer.status_code == 429
    assert problem(answer) == "busy"
    assert answer.headers["retry-after"] == "1"
    assert len(upstreams[0].asked) == 1


def test_nobody_there_is_a_problem_document(front: Run) -> None:
    http, _, _ = front()
    answer = predict(http)
    assert (answer.status_code, problem(answer)) == (502, "bad-gateway")
    assert answer.headers["retry-after"] == "1"
    assert (http.get("/v2/health/ready").status_code, http.get("/v2/health/live").status_code) == (502, 200)


def test_an_instance_takes_another_ones_place_without_a_reload(front: Run) -> None:
    http, folder, upstreams = front(GOOD, OWN_500)
    slots = Slots(folder)
    for to in (0, 1, 0):
        slots.point(spread([upstreams[to].port], {}))
        assert {predict(http).status_code for _ in range(5)} == {(200, 500)[to]}


def test_keys(front: Run) -> None:
    http, _, upstreams = front(GOOD)
    for wrong in ("", "Bearer", f"Bearer {KEY[1:]}", f"Bearer {KEY}x", KEY, "Bearer *"):
        answer = predict(http, headers={"Authorization": wrong})
        assert (answer.status_code, problem(answer)) == (401, "unauthorized")
        assert answer.headers["www-authenticate"] == "Bearer"
    assert not upstreams[0].asked
    assert predict(http, headers={"Authorization": "Bearer " + "other" * 5}).status_code == 200
    anyone = {"Authorization": ""}
    assert http.get("/v2/health/live", headers=anyone).json() == {"live": True}
    assert http.get("/v2/health/ready", headers=anyone).json() == {"ready": True}
    assert http.get("/ping", headers=anyone).status_code == 200


def test_keys_are_taken_anew(front: Run) -> None:
    http, folder, _ = front(GOOD)
    config = folder / _caddy.CONFIG
    config.write_text(config.read_text().replace(KEY, "n" * 20))
    _caddy.load(folder)
    assert predict(http).status_code == 401
    config.write_text("{")
    with pytest.raises(ServingError, match="Caddy does not take the new configuration: 400"):
        _caddy.load(folder)
    assert predict(http, headers={"Authorization": "Bearer " + "n" * 20}).status_code == 200


def test_the_clients_request_id_is_kept_and_one_is_made(front: Run) -> None:
    http, _, upstreams = front(GOOD)
    assert predict(http, headers={"X-Request-Id": "mine-7"}).headers["x-request-id"] == "mine-7"
    assert upstreams[0].asked[-1][0]["x-request-id"] == "mine-7"
    for headers in ({}, {"X-Request-Id": "no spaces"}):
        made = predict(http, headers=headers).headers["x-request-id"]
        assert len(made) == 36
        assert upstreams[0].asked[-1][0]["x-request-id"] == made
    refused = http.get("/other", headers={"X-Request-Id": "mine-8"})
    assert (refused.headers["x-request-id"], problem(refused)) == ("mine-8", "not-found")


def test_a_body_beyond_the_limit_is_refused(front: Run) -> None:
    http, _, upstreams = front(GOOD)
    with socket.create_connection((http.base_url.host, http.base_url.port or 0), timeout=10) as client:
        head = (
            f"POST /predictions/wine HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nContent-Length: 6553501\r\n"
        )
        client.sendall(head.encode() + b"\r\n" + b"0" * 300_000)  # Caddy reads as much before it answers
        said = client.recv(65_536)
    assert said.startswith(b"HTTP/1.1 413 ")
    assert b"urn:maas:problem:too-large" in said

    chunked = http.post("/predictions/wine", content=iter([b"0" * 65_536] * 101))
    assert (chunked.status_code, problem(chunked)) == (413, "too-large")
    largest = http.post("/predictions/wine", content=b"0" * 6_553_500)
    assert largest.status_code == 200
    assert len(upstreams[0].asked[-1][1]) == 6_553_500


def test_a_client_that_does_not_send_its_body_in_time(front: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maas.serving.front._config.BODY_SECONDS", 1)
    monkeypatch.setattr("maas.serving.front._config.HEADER_SECONDS", 1)
    http, _, upstreams = front(GOOD)
    address = (http.base_url.host, http.base_url.port or 0)
    head = f"POST /predictions/wine HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n"
    begun = time.monotonic()
    with socket.create_connection(address, timeout=10) as slow, socket.create_connection(address, timeout=10) as slower:
        slow.sendall(f"{head}Content-Length: 100\r\n\r\nten bytes.".encode())
        slower.sendall(b"POST /predictions/wine HTTP/1.1\r\nHost")
        said = slow.recv(65_536)
        assert slower.recv(65_536).startswith(b"HTTP/1.1 400 ")
    assert time.monotonic() - begun < 8
    assert said.startswith(b"HTTP/1.1 408 "), said
    assert b"\r\nConnection: close\r\n" in said
    assert b"urn:maas:problem:timeout" in said
    assert not upstreams[0].asked


def test_logs_are_json_without_keys(front: Run, tmp_path: Path) -> None:
    http, _, _ = front(GOOD)
    predict(http, headers={"X-Request-Id": "mine-9", "Cookie": "secret"})
    predict(http, headers={"Authorization": "Bearer almost-the-key"})
    deadline = time.monotonic() + 5
    while (text := (tmp_path / "access.log").read_text()).count("\n") < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    lines = [json.loads(line) for line in text.splitlines()]
    assert [(line["status"], line["request"]["uri"]) for line in lines] == [
        (200, "/predictions/wine"),
        (401, "/predictions/wine"),
    ]
    assert lines[0]["resp_headers"]["X-Request-Id"] == ["mine-9"]
    every = "".join(file.read_text() for file in tmp_path.glob("*.log"))
    assert not [word for word in (KEY, "almost", "secret", "token-0") if word in every]


def test_its_admin_is_a_socket_of_this_user_alone(front: Run) -> None:
    http, folder, _ = front(GOOD)
    assert stat.S_IMODE((folder / _caddy.ADMIN).stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    caddy = next(one for one in psutil.Process().children() if one.name() == "caddy")
    listens = [one.laddr for one in caddy.net_connections("inet") if one.status == psutil.CONN_LISTEN]
    assert [(one.ip, one.port) for one in listens] == [("127.0.0.1", http.base_url.port)]


def test_tls(front: Run, tmp_path: Path) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    made = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"
    subprocess.run([*made.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True)
    http, _, _ = front(GOOD, certificate=certificate, key=key)
    assert http.base_url.scheme == "https"
    assert predict(http).json() == {"label": 1}


def test_traces_go_to_an_opentelemetry_collector(front: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    collector = Upstream((200, {"Content-Type": "application/x-protobuf"}, b""))
    try:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{collector.port}")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        http, _, upstreams = front(GOOD, otel=True)
        predict(http)
        assert "traceparent" in upstreams[0].asked[0][0]
        deadline = time.monotonic() + 10
        while not collector.asked and time.monotonic() < deadline:
            time.sleep(0.05)
        assert b"maas" in collector.asked[0][1]
        assert KEY.encode() not in collector.asked[0][1]
    finally:
        collector.close()


def test_v2_of_one_version_is_asked_of_the_handler(front: Run) -> None:
    http, _, upstreams = front(GOOD)
    assert http.get("/v2").json()["name"] == "maas"
    for path, media in (("", "v2-metadata"), ("/ready", "identity"), ("/versions/2.0", "v2-metadata")):
        assert http.get(f"/v2/models/wine{path}").status_code == 200
        assert upstreams[0].asked[-1][0]["accept"] == f"application/vnd.maas.{media}+json"
    assert http.get("/v2/models/wine/ready").json() == {"ready": True}


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


def test_a_caddy_that_cannot_start_says_why(front: Run, tmp_path: Path) -> None:
    (tmp_path / _caddy.CONFIG).write_text('{"apps": {"nonsense": {}}}')
    with pytest.raises(ServingError, match=r"(?s)Caddy did not start: .*unknown module: nonsense"):
        _caddy.start_caddy(_caddy.find_caddy(), tmp_path, tmp_path)


def test_a_port_that_another_server_took_meanwhile(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        settings = FrontSettings(tmp_path, tmp_path, "127.0.0.1", other.getsockname()[1], [1], 5)
        (tmp_path / _caddy.CONFIG).write_text(settings.to_json([KEY]))
        with pytest.raises(ServingError, match=r"(?s)Caddy did not start: .*address already in use"):
            _caddy.start_caddy(_caddy.find_caddy(), tmp_path, tmp_path)


def test_no_caddy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    with pytest.raises(ServingError, match=r"needs Caddy 2\.11\.7 or newer; found none\. Install it with pip install"):
        _caddy.find_caddy()
    (tmp_path / "caddy").write_text("#!/bin/sh\necho v2.6.2 h1:x\n")
    (tmp_path / "caddy").chmod(0o700)
    with pytest.raises(ServingError, match=r"found .*caddy \(2\.6\.2\)"):
        _caddy.find_caddy()


def test_the_file_of_keys(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    make_keys(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(read_keys(file)[0]) > 40
    file.write_text(f"# of ours\n\n{KEY}\n{KEY}2\n")
    assert read_keys(file) == [KEY, f"{KEY}2"]
    for text, match in (("# none\n", "holds no key"), ("short\n", "line 1 is no key"), ("a*" * 20, "line 1 is no key")):
        file.write_text(text)
        with pytest.raises(ServingError, match=match):
            read_keys(file)
    file.chmod(0o640)
    with pytest.raises(ServingError, match="can be read by others, its mode is 640; chmod 600"):
        read_keys(file)
    with pytest.raises(ServingError, match="cannot be read: "):
        read_keys(tmp_path / "none")


def test_shares() -> None:
    assert spread([1, 2], {}) == [1, 2] * (COUNT // 2)
    shared = spread([1, 2], {3: 10})
    assert [shared.count(port) for port in (1, 2, 3)] == [9, 9, 2]
