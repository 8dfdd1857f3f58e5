"""The processes of a server under load: which they are, what they hold, and when they rest."""

from __future__ import annotations

import contextlib
import math
import time

import psutil

SETTLE_SECONDS, LOOK_SECONDS, RESTING = 15.0, 0.2, 0.25  # the last: of a core


def python_bytes(pid: int) -> int:
    """Resident memory of all Python processes of the server.

    Args:
        pid: of the process whose children are the workers.
    """
    found = 0
    for process in _processes_of(pid):
        with contextlib.suppress(psutil.Error):
            if "python" in process.name():
                found += process.memory_info().rss
    return found


def settle(pid: int) -> None:
    """Wait until it rests: what clients asked and did not wait for would be answered in the window of another.

    Args:
        pid: of the process whose children are the workers.
    """
    deadline, before = time.monotonic() + SETTLE_SECONDS, -math.inf
    while time.monotonic() < deadline and (now := _processor_seconds(pid)) - before > RESTING * LOOK_SECONDS:
        before = now
        time.sleep(LOOK_SECONDS)


def _processor_seconds(pid: int) -> float:
    found = 0.0
    for process in _processes_of(pid):
        with contextlib.suppress(psutil.Error):
            found += sum(process.cpu_times()[:2])
    return found


def _processes_of(pid: int) -> list[psutil.Process]:
    one = psutil.Process(pid)
    return [one, *one.children(recursive=True)]
