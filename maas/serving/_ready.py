"""Waiting until a model's workers are ready, and the worker's own traceback when they never will be."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable
from pathlib import Path

from maas.client import LocalServer
from maas.errors import ClientError, ServingError
from maas.serving import _management

_POLL_SECONDS = 0.1
_LOG_SECONDS = 0.5


class Log:
    """A log from now on: what is in the file already, of an earlier server or model, is passed over."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._start = path.stat().st_size if path.exists() else 0

    def text(self) -> str:
        """What has been written since; all of the file where it was begun anew, empty where there is none."""
        try:
            with open(self.path, "rb") as file:
                file.seek(self._start if self.path.stat().st_size >= self._start else 0)
                return file.read().decode(errors="replace")
        except OSError:
            return ""

    def last_lines(self) -> str:
        """The last 20, without the frames of Java's stack."""
        return "\n".join([line for line in self.text().splitlines() if not line.startswith("\tat ")][-20:])


def wait_ready(
    server: LocalServer, model: str, log: Log, *, deadline: float, check: Callable[[], None] = lambda: None
) -> None:
    """Wait until each worker of a model is ready.

    Args:
        server: where it is served.
        model: "NAME" or "NAME/VERSION".
        log: the model log, since before the model was loaded.
        deadline: by `time.monotonic`.
        check: raises where there is no more point in waiting.

    Raises:
        ServingError: a worker could not load the model, or time is up.
    """
    while True:
        check()
        if worker_failure(log):
            time.sleep(_LOG_SECONDS)  # its traceback is still being written, or why the server ends
            check()
            raise ServingError(f"a worker could not load its model:\n{worker_failure(log)}")
        # Until the socket, the key file and the model are there.
        with contextlib.suppress(ServingError, ClientError, LookupError, TypeError):
            workers = _management.manage(server, f"/models/{model}")[0]["workers"]
            if workers and all(worker["status"] == "READY" for worker in workers):
                return
        if time.monotonic() > deadline:
            raise ServingError(f"{model} was not ready within the time given: {log.last_lines() or 'it wrote no log'}")
        time.sleep(_POLL_SECONDS)


def worker_failure(log: Log) -> str | None:
    """The last traceback of a worker that could not load, without the log's own prefixes."""
    text = log.text()
    if "Backend worker process died" not in text:
        return None
    lines = [re.sub(r"^\d{4}-\d\d-\d\dT\S+ \S+ - ", "", line) for line in text.splitlines()]
    starts = [place for place, line in enumerate(lines) if line.startswith("Traceback (most recent call last)")]
    if not starts:
        return "\n".join(lines[-20:])
    block = lines[starts[-1] :]
    last = next(
        (place for place, line in enumerate(block[1:], 1) if line and not line.startswith(" ")),
        len(block) - 1,
    )
    return "\n".join(block[: last + 1])
