"""`maas call` and `maas ready`: their options, files as arguments, exit codes."""

import json
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from maas.cli import main
from maas.client import LocalServer, folder_of_servers

Start = Callable[..., Any]
Capture = pytest.CaptureFixture[str]


def test_files_are_a_row_each(faulty: Start, capsys: Capture, tmp_path: Path) -> None:
    refusal = (422, {"title": "A row cannot be answered", "detail": "is no image", "field": "image", "row": 0})
    server = faulty((200, {"label": 1, "model": {}}), refusal, (200, {"label": 3, "model": {}}))
    files = [tmp_path / name for name in ("a.png", "b.png", "c.png")]
    for file in files:
        file.write_bytes(b"x")
    options = ["--url", server.url, "--token", "t", "--parallel", "1"]
    assert main(["call", "m", *map(str, files), *options]) == 1
    shown = capsys.readouterr()
    assert shown.out.splitlines() == ['{"label": 1}', "null", '{"label": 3}']
    assert shown.err == "maas: row 1: is no image\n"
    assert server.asked[0].headers["content-type"] == "image/png"
    assert server.asked[0].headers["authorization"] == "Bearer t"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (["a.csv", "b.csv"], "one table or stream of rows goes at a time, got a.csv, b.csv"),
        (["photo.png", "b.csv"], "one table or stream of rows goes at a time, got photo.png, b.csv"),
        (["nowhere.png"], "there is no file nowhere.png"),
    ],
)
def test_files_that_cannot_be_sent(data: list[str], message: str, faulty: Start, capsys: Capture) -> None:
    assert main(["call", "m", *data, "--url", faulty("echo").url]) == 2
    assert capsys.readouterr().err == f"maas: {message}\n"


def test_retries_progress_and_version(faulty: Start, capsys: Capture, tmp_path: Path) -> None:
    server = faulty("reset", "echo")
    (tmp_path / "rows.json").write_text(json.dumps([{"x": 7}]))
    command = ["call", "m", str(tmp_path / "rows.json"), "--url", server.url, "--timeout", "20"]
    assert main([*command, "--progress", "--model-version", "2.0"]) == 0
    shown = capsys.readouterr()
    assert shown.out == '{"label": 7}\n'
    assert "1/1" in shown.err
    server = faulty("reset", "echo")
    assert main([*command[:-3], server.url, "--retries", "0"]) == 4
    assert "did not answer" in capsys.readouterr().err


def test_ready_tells_by_its_exit_code(faulty: Start, capsys: Capture) -> None:
    assert main(["ready", "m", "--url", faulty("echo").url]) == 0
    assert capsys.readouterr().out == "m is ready\n"
    down = (503, {"title": "Draining", "detail": "stopping"})
    assert main(["ready", "m", "--url", faulty(down).url]) == 4
    assert capsys.readouterr().err == "maas: m was not ready within 0 s: 503 Draining: stopping\n"
    server = faulty(down, "echo")
    assert main(["ready", "m", "--url", server.url, "--wait", "20", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"models": ["m"], "ready": True}
    assert main(["ready", "nobody-serves-this"]) == 4


def test_ready_without_a_name_asks_all_that_are_served_here(
    faulty: Start, capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("maas.client._local._LONGEST", 1000)
    assert main(["ready"]) == 4
    assert capsys.readouterr().err.startswith("maas: no server runs here; start one with maas serve")
    folder = folder_of_servers() / "1-a"
    folder.mkdir()
    (folder / "key_file.json").write_text(json.dumps({"inference": {"key": "secret"}}))
    server = faulty("echo")
    LocalServer(str(folder), os.getpid(), server.url, ("m",)).write()
    token = tmp_path / "token"
    for _ in range(2):
        assert main(["ready", "--token-file", str(token)]) == 0
    assert capsys.readouterr().out == "m is ready\n" * 2
    assert server.asked[0].headers["authorization"] == "Bearer secret"
    assert token.read_text() == "secret"
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    assert main(["ready", "m", "other"]) == 4
    LocalServer(str(folder), os.getpid(), server.url, ()).write()
    late = threading.Timer(0.5, LocalServer(str(folder), os.getpid(), server.url, ("m",)).write)
    late.start()
    assert main(["ready", "m", "--wait", "30"]) == 0
    late.join()
    assert main(["ready", "other", "--url", faulty("echo").url, "--token-file", str(token)]) == 4
