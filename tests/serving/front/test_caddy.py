"""Caddy, as the front configures it, before instances that answer what TorchServe was seen to: no server starts slower.

TorchServe cannot be made to lose a worker, fill its queue or drain at the moment a test wants it to.
"""

from __future__ import annotations

import json
import socket
import stat
import subprocess
import time
from pathlib import Path

import httpx
import psutil
import pytest

from maas.errors import ServingError
from maas.serving.front import _caddy
from maas.serving.front._config import FrontSettings
from maas.serving.front._slots import Slots, spread
from maas.serving.front._start import FrontPlan, _start_caddy

from .upstream import DIED, DRAINING, FULL, GOOD, KEY, OWN_500, Answer, Run, Upstream, predict, problem


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


def test_a_caddy_that_cannot_start_says_why(front: Run, tmp_path: Path) -> None:
    (tmp_path / _caddy.CONFIG).write_text('{"apps": {"nonsense": {}}}')
    with pytest.raises(ServingError, match=r"(?s)Caddy did not start: .*unknown module: nonsense"):
        _caddy.start_caddy(_caddy.find_caddy(), tmp_path, tmp_path)


def test_a_port_that_another_server_took_meanwhile(tmp_path: Path) -> None:
    """Two fronts that start at once both find 8080 free; whoever comes second looks for a port anew."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        settings = FrontSettings(tmp_path, tmp_path, "127.0.0.1", taken, [1], 5)
        planned = FrontPlan(settings, _caddy.find_caddy(), ["wine@1.0"], 2, None)
        with pytest.raises(ServingError, match=f"another process took port {taken} while Caddy started; choose anoth"):
            _start_caddy(planned, [KEY], any_port=False)
        process, found = _start_caddy(planned, [KEY], any_port=True)
        try:
            assert found.port not in (taken, 1)
            assert httpx.get(found.url, trust_env=False).status_code == 401
        finally:
            process.kill()
            process.wait()


def test_no_caddy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    with pytest.raises(ServingError, match=r"needs Caddy 2\.11\.7 or newer; found none\. Install it with pip install"):
        _caddy.find_caddy()
    (tmp_path / "caddy").write_text("#!/bin/sh\necho v2.6.2 h1:x\n")
    (tmp_path / "caddy").chmod(0o700)
    with pytest.raises(ServingError, match=r"found .*caddy \(2\.6\.2\)"):
        _caddy.find_caddy()
