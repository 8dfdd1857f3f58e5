"""maas serve as systemd and containers run it; maas status and maas stop, in a folder of servers of their own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

import maas
from maas.cli import main

MAAS = [sys.executable, "-m", "maas.cli"]


@pytest.fixture(scope="module")
def store(wine_artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli-store")
    maas.package(wine_artifact, store=folder, name="wine")
    return folder


@pytest.fixture(scope="module")
def own() -> Iterator[dict[str, str]]:
    """An environment in which no other server is seen: `maas stop --all` stops those of this file alone."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="maas-t") as folder:
        yield {**os.environ, "TMPDIR": folder}


@contextlib.contextmanager
def serving(store: Path, own: dict[str, str], *more: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """`maas serve wine`, and what it says of itself once it serves."""
    command = [*MAAS, "serve", "wine", "--store", str(store), "--json", *more]
    process = subprocess.Popen(command, env=own, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        line = process.stdout.readline()
        assert line, process.stderr.read()
        yield process, json.loads(line)
    finally:
        process.terminate()
        process.communicate(timeout=60)


def run(own: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*MAAS, *arguments], env=own, capture_output=True, text=True, check=False)


def test_it_tells_systemd_and_drains_on_sigterm_under_load(store: Path, own: dict[str, str]) -> None:
    """Until it is gone, each request is answered, or told to come again."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        address = f"{own['TMPDIR']}/notify"
        systemd.bind(address)
        systemd.settimeout(60)
        with serving(store, {**own, "NOTIFY_SOCKET": address}) as (process, said):
            assert systemd.recv(100) == b"READY=1"
            (one,) = json.loads(run(own, "status", "--json").stdout)
            assert (one["url"], one["pid"]) == (said["url"], said["pid"])
            assert [(model["version"], model["default"]) for model in one["models"]] == [("1.0", True)]
            assert "wine 1.0  0 requests/s, 0 waiting" in run(own, "status").stdout
            outcomes: Counter[str] = Counter()
            over = threading.Event()
            keys = json.loads((Path(said["folder"]) / "key_file.json").read_text())
            row = {"alcohol": 1.0}  # it lacks fields: 422, an answer as any other

            def ask() -> None:
                headers = {"Authorization": f"Bearer {keys['inference']['key']}"}
                with httpx.Client(base_url=said["url"], headers=headers, timeout=5, trust_env=False) as http:
                    while not over.is_set():
                        try:
                            answer = http.post("/predictions/wine", json=row)
                        except (httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError, httpx.WriteError):
                            outcomes["gone"] += 1
                            return
                        outcomes[f"{answer.status_code} {answer.headers.get('Retry-After')}"] += 1

            threads = [threading.Thread(target=ask) for _ in range(3)]
            for thread in threads:
                thread.start()
            time.sleep(0.5)
            process.send_signal(signal.SIGTERM)
            assert systemd.recv(100) == b"STOPPING=1"
            assert process.wait(60) == 0
            over.set()
            for thread in threads:
                thread.join()
    assert set(outcomes) <= {"422 None", "503 1", "gone"}, outcomes
    assert outcomes["422 None"] > 0
    assert not Path(said["folder"]).exists()


def test_torchserve_that_ends_by_itself_is_exit_code_4_and_its_logs_stay(
    store: Path, own: dict[str, str], tmp_path: Path
) -> None:
    with serving(store, own, "--logs", str(tmp_path / "logs")) as (process, said):
        os.kill(said["pid"], signal.SIGKILL)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 4
    assert "TorchServe ended by itself with exit code -9; its logs are in" in errors
    assert (tmp_path / "logs" / "model_log.log").stat().st_size > 0
    assert not Path(said["folder"]).exists()


def test_the_server_of_a_starter_that_was_killed_is_stopped_from_elsewhere(store: Path, own: dict[str, str]) -> None:
    with serving(store, own) as (process, said):
        process.kill()
        process.wait()
        assert psutil.pid_exists(said["pid"])
        stopped = run(own, "stop", "--all", "--json")
    assert json.loads(stopped.stdout) == [{"url": said["url"], "models": ["wine"], "drained": True}]
    assert not psutil.pid_exists(said["pid"]) or psutil.Process(said["pid"]).status() == psutil.STATUS_ZOMBIE
    assert not Path(said["folder"]).exists()


def test_where_no_server_runs(own: dict[str, str], tmp_path: Path) -> None:
    empty = {**own, "TMPDIR": str(tmp_path)} if len(str(tmp_path)) <= 40 else own
    assert "no server runs here; start one with maas serve" in run(empty, "status").stdout
    for command in (["stop", "wine"], ["deploy", "wine", "--version", "2"], ["rollback", "wine"]):
        done = run(empty, *command)
        assert done.returncode == 4
        assert "no server runs here that serves 'wine', or has that url; start one with maas serve" in done.stderr
    assert run(empty, "stop", "--all").returncode == 0


def test_stop_is_told_what_to_stop(capsys: pytest.CaptureFixture[str]) -> None:
    for more in ([], ["wine", "--all"]):
        assert main(["stop", *more]) == 2
        assert "say which server: a model that it serves, its url, or --all" in capsys.readouterr().err


def test_a_dry_run_prints_and_starts_nothing(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "wine", "--store", str(store), "--dry-run", "--workers", "3", "--port", "18080"]) == 0
    out = capsys.readouterr().out
    assert "inference_address=http://127.0.0.1:18080\n" in out
    assert "minWorkers: 3\n" in out
    assert main(["serve", "wine", "--store", str(store), "--dry-run", "--host", "0.0.0.0"]) == 4
    assert "give `certificate` and `key` (PEM)" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["serve", "stop", "status", "deploy", "rollback"])
def test_help_teaches_by_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert f"maas {command}" in capsys.readouterr().out.split("example", 1)[1]


def test_status_and_stop_load_no_torch() -> None:
    code = "import sys; from maas.serving import attach; print({'torch', 'numpy'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
