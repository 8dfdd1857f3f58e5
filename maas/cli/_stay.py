"""Staying in the foreground with a server or a front, until it ends or a signal stops it in order."""

from __future__ import annotations

import os
import signal
import socket
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

from maas.cli import _registry
from maas.cli._print import note, tell
from maas.errors import ServingError


class Running(Protocol):
    """A server, or a front."""

    folder: Path

    def wait(self) -> int: ...
    def stop(self, drain_seconds: float) -> bool: ...


Started = TypeVar("Started", bound=Running)


def stop_at_signals() -> None:
    """Let SIGTERM, and the closing of the terminal, stop what serves as Ctrl-C does."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)


def stay(
    options: Namespace, start: Callable[[], Started], tell_started: Callable[[Namespace, Started], None], program: str
) -> bool:
    """Start it, say so, and wait until it ends; a second signal while it drains stops it at once.

    Args:
        options: of the command.
        start: gives it once it answers.
        tell_started: prints where it is.
        program: that may end by itself, for messages.

    Raises:
        ServingError: it cannot be started, or ended by itself.
    """
    try:
        server = start()
    except KeyboardInterrupt:
        tell(options, "stopped before it was ready")
        return False
    try:
        _registry.remember(options, server.folder)
        tell_started(options, server)
        _notify("READY=1")
        code = server.wait()
    except KeyboardInterrupt:
        _notify("STOPPING=1")
        try:
            tell(options, f"draining, {options.drain_seconds:g} s at most; once more stops at once ...")
            if not server.stop(options.drain_seconds):
                note("requests were still in flight, and are lost")
        except KeyboardInterrupt:
            server.stop(drain_seconds=0)
        return False
    except BaseException:
        server.stop(drain_seconds=0)
        raise
    server.stop(drain_seconds=0)
    if code:
        where = f"its logs are in {options.logs}" if options.logs else "--logs DIR keeps its logs"
        raise ServingError(f"{program} ended by itself with exit code {code}; {where}")
    return False  # it was told to stop by another process, as by maas stop


def _notify(state: str) -> None:
    """Tell systemd, where it has asked to be told (sd_notify)."""
    if address := os.environ.get("NOTIFY_SOCKET"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
            told.connect("\0" + address[1:] if address.startswith("@") else address)
            told.sendall(state.encode())
