"""A running TorchServe instance: its clients, its management, its end."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from maas.client import Client, LocalServer, running_servers
from maas.errors import MaasError, ServingError, show
from maas.serving import _management, _status
from maas.serving._idle import wait_idle
from maas.serving._settings import DRAIN_MARK

if TYPE_CHECKING:
    from maas.serving._renew import TokenRenewal

DRAIN_SECONDS = 30.0
_KILL_SECONDS = 20.0


class Server:
    """A running TorchServe instance: `serve` gives one, and its `with` block stops it; `attach` one of another process.

    Attributes:
        url: of the inference address.
        models: names that it serves.
        folder: its own folder, as long as it runs.
        logs: folder of its logs; they outlive it where one was named.
        pid: of TorchServe's Java process.
        metrics_url: for Prometheus, on loopback and without a token.
    """

    def __init__(
        self,
        local: LocalServer,
        process: subprocess.Popen[bytes] | None = None,
        renewal: TokenRenewal | None = None,
    ) -> None:
        self._local = local
        self._process = process
        self._renewal = renewal
        self._clients: list[Client] = []
        self.url = local.url
        self.folder = Path(local.folder)
        self.logs = Path(local.logs)
        self.pid = local.pid
        self.metrics_url = local.metrics_url

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def local(self) -> LocalServer:
        """Where it is, as clients on this machine find it."""
        return self._local

    @property
    def models(self) -> tuple[str, ...]:
        """The models that it was told to serve, by name."""
        return self._local.models

    def client(self, model: str, *, timeout: float = 60.0) -> Client:
        """A client of one of its models, with the token it needs. Stopping the server closes it.

        Raises:
            ServingError: it serves no such model.
        """
        if model not in self.models:
            raise ServingError(f"no model {show(model)} is served here, there are {', '.join(self.models)}")
        local = self._local
        self._clients.append(
            Client(model, url=self.url, token=local.inference_token, timeout=timeout, verify=local.certificate)
        )
        return self._clients[-1]

    def token(self, kind: str = "inference") -> str:
        """TorchServe's token for "inference" or "management", as it is now."""
        return self._local.token(kind)

    def manage(self, path: str, method: str = "GET") -> Any:
        """Ask TorchServe's management API, such as "/models", over its socket; gives the JSON.

        Raises:
            ServingError: it does not answer, or refuses.
        """
        return _management.manage(self._local, path, method)

    def status(self) -> dict[str, Any]:
        """What it serves: versions, workers and their memory, queues, requests. Takes a second, to see the rate.

        Raises:
            ServingError: its management does not answer.
        """
        return _status.status(self._local)

    def deploy(
        self, name: str, version: str, *, store: str | Path = "model_store", drain_seconds: float = DRAIN_SECONDS
    ) -> None:
        """Put another version of a model in the place of the one that is served, without losing a request.

        Args:
            name: of the model.
            version: that is in the store, as `NAME@VERSION.mar` or `NAME.mar`.
            store: folder of `.mar` files.
            drain_seconds: to wait at most for the work that the old version has in flight.

        Raises:
            ServingError: a step failed; the message says which, and which version serves.
            ArchiveError: the archive is not whole; nothing was changed.
            SignatureError: it is not signed by a key that the server was told to trust; nothing was changed.
        """
        from maas.serving import _release  # it loads models: torch

        self._local = _release.deploy(self._local, name, version, store=Path(store), drain_seconds=drain_seconds)

    def rollback(self, name: str, *, drain_seconds: float = DRAIN_SECONDS) -> str:
        """Go back to the version that was served before; gives it. It is loaded again from the server's own copy.

        Raises:
            ServingError: there is none, or as in `deploy`.
        """
        from maas.serving import _release

        return _release.rollback(self._local, name, drain_seconds=drain_seconds)

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return self._process.poll() is None if self._process is not None else _is_ours(self._local)

    def wait_idle(self, seconds: float) -> bool:
        """Wait until all that its models were asked before is answered; gives whether it was in time.

        Raises:
            ServingError: it does not answer.
        """
        deadline = time.monotonic() + seconds
        return all(
            wait_idle(self._local, name, version["modelVersion"], seconds=max(0.0, deadline - time.monotonic()))
            for name in _management.models_of(self._local)
            for version in _management.versions_of(self._local, name)
        )

    def wait(self) -> int:
        """Wait until TorchServe ends; gives its exit code, 0 where it was told to."""
        if self._process is not None:
            code = self._process.wait()
        else:
            code = 1
            while _is_ours(self._local):
                time.sleep(0.2)
        return 0 if self._drain_mark.exists() or not self.folder.exists() else code

    def stop(self, drain_seconds: float = DRAIN_SECONDS) -> bool:
        """Stop TorchServe and its workers, and remove its folder.

        From now on its workers answer 503 with `Retry-After`. Once all that came before is answered, it ends.

        Args:
            drain_seconds: to wait at most for that; 0 stops at once, and what is in flight is lost.

        Returns:
            Whether all that was in flight has been answered.
        """
        try:
            return self._drain(drain_seconds)
        finally:
            if self._renewal:
                self._renewal.stop()
            for client in self._clients:
                client.close()
            self._end()

    @property
    def _drain_mark(self) -> Path:
        return self.folder / DRAIN_MARK

    def _drain(self, seconds: float) -> bool:
        if not self.alive:
            return True
        with contextlib.suppress(MaasError, OSError):
            self._drain_mark.touch()
            return self.wait_idle(seconds)
        return False

    def _end(self) -> None:
        family = _family(self.pid) if self.alive else []
        # SIGTERM lets Java go on for some six seconds, in which it takes requests that it will not answer.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if family:
                os.killpg(self.pid, signal.SIGKILL)
        if self._process is not None:
            self._process.wait()
        deadline = time.monotonic() + _KILL_SECONDS
        while any(map(_lives, family)) and time.monotonic() < deadline:
            time.sleep(0.02)
        if self._process is not None or not _starter_runs(self.folder):
            shutil.rmtree(self.folder, ignore_errors=True)


def attach(which: str | None = None) -> Server:
    """A server that another process of this user has started on this machine.

    Args:
        which: name of a model that it serves, or its url; by default the only one that runs.

    Raises:
        ServingError: there is none, or more than one.
    """
    servers = [server for server in running_servers() if _is_ours(server)]
    found = [server for server in servers if which is None or which in (*server.models, server.url)]
    if len(found) == 1:
        return Server(found[0])
    there = "; ".join(f"{', '.join(server.models)} on {server.url}" for server in servers)
    if not found:
        wanted = "" if which is None else f" that serves {show(which)}, or has that url"
        raise ServingError(f"no server runs here{wanted}; {there or 'start one with maas serve'}")
    raise ServingError(f"{len(found)} servers run here: {there}; say which by its url")


def _is_ours(server: LocalServer) -> bool:
    """Whether the process is the one that was started, and not another that was given its number."""
    try:
        process = psutil.Process(server.pid)
        return _lives(process) and f"{server.folder}/config.properties" in process.cmdline()
    except psutil.Error:
        return False


def _family(pid: int) -> list[psutil.Process]:
    """Java and what it has started."""
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.Error:
        return []


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _starter_runs(folder: Path) -> bool:
    """Whether the process that made a server's folder is there, to remove it."""
    starter = folder.name.partition("-")[0]
    return starter.isdecimal() and int(starter) != os.getpid() and is_running(int(starter))


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
