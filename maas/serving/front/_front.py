"""A running front: its instances, which of them are asked, releases and canaries, its end."""

from __future__ import annotations

import contextlib
import logging
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maas.client import Client
from maas.errors import MaasError, ServingError, show
from maas.serving import _record
from maas.serving._ports import is_free
from maas.serving._server import DRAIN_SECONDS, Server
from maas.serving._settings import DRAIN_MARK
from maas.serving.front import _caddy
from maas.serving.front._config import FrontSettings
from maas.serving.front._control import answer_one, listening
from maas.serving.front._keys import read_keys
from maas.serving.front._slots import COUNT, Slots, spread

if TYPE_CHECKING:
    from maas.serving.front._golden import Golden

Launch = Callable[[Sequence[str], int], Server]
"""Starts an instance with models ("NAME" or "NAME@VERSION"), on a port."""

_LATE_SECONDS = 0.2
_WATCH_SECONDS = 0.5
_END_SECONDS = 5.0
_AGAIN_SECONDS = 5.0

_log = logging.getLogger("maas.serving")


@dataclass
class Instance:
    """A TorchServe instance behind the front.

    Args:
        server: the instance.
        port: it sits on.
        models: it was started with.
        percent: its share as a canary; 0 of one that shares what the canaries leave.
        again: when to start it again, by `time.monotonic`, after that failed; until then it is asked nothing.
    """

    server: Server
    port: int
    models: tuple[str, ...]
    percent: int = 0
    again: float | None = None


class Front:
    """A running front: `serve_front` gives one, and its `with` block stops it.

    Attributes:
        url: of the address that clients use.
        folder: its own folder, as long as it runs.
        logs: folder of its logs.
        keys_file: the file of its keys.
        instances: the TorchServe instances behind it.
    """

    def __init__(
        self,
        settings: FrontSettings,
        process: subprocess.Popen[bytes],
        launch: Launch,
        instances: list[Instance],
        *,
        store: Path,
        keys_file: Path,
    ) -> None:
        self._settings = settings
        self._process = process
        self._launch = launch
        self._slots = Slots(settings.folder)
        self._store = store
        self._clients: list[Client] = []
        self.url = settings.url
        self.folder = settings.folder
        self.logs = settings.logs
        self.keys_file = keys_file
        self.instances = instances
        self.pid = process.pid

    def __enter__(self) -> Front:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def models(self) -> tuple[str, ...]:
        """The models that it was told to serve, by name."""
        return self.instances[0].server.models

    def client(self, model: str, *, timeout: float = 60.0) -> Client:
        """A client of one of its models, with a key of the front. Stopping the front closes it.

        Raises:
            ServingError: it serves no such model.
        """
        if model not in self.models:
            raise ServingError(f"no model {show(model)} is served here, there are {', '.join(self.models)}")
        verify = None if self._settings.certificate is None else str(self._settings.certificate)
        key = read_keys(self.keys_file)[0]
        self._clients.append(Client(model, url=self.url, token=key, timeout=timeout, verify=verify))
        return self._clients[-1]

    def restart(self, place: int, *, drain_seconds: float = DRAIN_SECONDS) -> None:
        """Stop an instance and start it again, while the others answer.

        Args:
            place: of the instance in `instances`.
            drain_seconds: to wait at most for what it has in flight; what is then left is asked of another.

        Raises:
            ServingError: there is none in that place, or no other, or it does not start again; it is tried again as
                long as `wait` runs.
        """
        if not 0 <= place < len(self.instances):
            raise ServingError(f"there is no instance {place}, they are counted from 0 to {len(self.instances) - 1}")
        instance = self.instances[place]
        rest = [one for one in self.instances if one is not instance and one.again is None]
        if all(one.percent for one in rest):
            raise ServingError("an instance is restarted while another answers, and there is none; use --instances 2")
        self._point(rest)
        self._end([instance], drain_seconds)
        self._start_again(place)
        self._point(self.instances)

    def deploy(self, name: str, version: str, *, drain_seconds: float = DRAIN_SECONDS) -> None:
        """Put new instances, with another version of a model, in the place of those that run.

        They are started beside, and answer their golden rows over HTTP before they get a request. Canaries end.

        Raises:
            ServingError: a step failed; the instances from before serve on.
            ArchiveError, ArtifactError: the archive cannot be trusted; nothing was changed.
        """
        self._release(name, version, "deploy", drain_seconds)

    def rollback(self, name: str, *, drain_seconds: float = DRAIN_SECONDS) -> None:
        """Go back to the version of a model that was served before the last release, as `deploy` goes to one.

        Raises:
            ServingError, ArchiveError, ArtifactError: there is none, or as in `deploy`.
        """
        before = _record.before(self.folder, name)
        if before is None:
            raise ServingError(f"no other version of {show(name)} was served here before; there is none to go back to")
        self._release(name, before, "rollback", drain_seconds)

    def _release(self, name: str, version: str, action: str, drain_seconds: float) -> None:
        stable = [one for one in self.instances if not one.percent]
        models = _with(stable[0].models, name, version)
        golden = self._golden(name, version)
        with self._fresh(name, version) as fresh:
            for _ in stable:
                fresh.append(self._start(models))
                golden.check(fresh[-1].server)
        if not any(line["model"] == name for line in _record.read(self.folder)):
            for line in _record.read(stable[0].server.folder):  # what it began with, to go back to
                if line["model"] == name:
                    _record.write(self.folder, "serve", name, line["version"])
        self._replace(self.instances, fresh, drain_seconds)
        _record.write(self.folder, action, name, version)

    def canary(self, name: str, version: str, percent: int, *, drain_seconds: float = DRAIN_SECONDS) -> None:
        """Give a share of all requests to an instance that has another version of a model; 0 ends it.

        Args:
            name: of the model.
            version: that is in the store.
            percent: from 0 to 50, in steps of 5.
            drain_seconds: as in `deploy`.

        Raises:
            ServingError, ArchiveError, ArtifactError: as in `deploy`.
        """
        step = 100 // COUNT
        if percent % step or not 0 <= percent <= 50:
            raise ServingError(f"`percent` of a canary is from 0 to 50 in steps of {step}, got {percent}")
        models = _with(self.instances[0].models, name, version)
        there = [one for one in self.instances if one.percent and one.models == models]
        if percent and there:
            there[0].percent = percent
            self._point(self.instances)
            return
        old = [one for one in self.instances if one.percent]
        with self._fresh(name, version) as fresh:
            if percent:
                golden = self._golden(name, version)
                fresh.append(self._start(models, percent))
                golden.check(fresh[0].server)
        self._replace(old, fresh, drain_seconds)

    def take_keys(self) -> None:
        """Read the file of keys again. Clients that are between two requests meet a closed connection.

        Raises:
            ServingError: there is no key in it; those from before go on.
        """
        file = self.folder / _caddy.CONFIG
        before = file.read_text()
        file.write_text(self._settings.to_json(read_keys(self.keys_file)))
        try:
            _caddy.load(self.folder)
        except ServingError:
            file.write_text(before)
            raise

    def status(self) -> dict[str, Any]:
        """What it runs, in JSON values; `percent` of an instance is its share of all requests."""
        shares = Counter(file.read_text() for file in self._slots.files)
        return {
            "url": self.url,
            "pid": self.pid,
            "logs": str(self.logs),
            "keys": str(self.keys_file),
            "instances": [
                {
                    "url": one.server.url,
                    "pid": one.server.pid,
                    "models": list(one.models),
                    "percent": shares[f"127.0.0.1:{one.port}"] * 100 // COUNT,
                    "canary": bool(one.percent),
                }
                for one in self.instances
            ],
        }

    def wait(self) -> int:
        """Run until Caddy ends or nothing is left to serve; gives an exit code, 0 where it was told to.

        Until then it starts again what has died, and does what other processes ask with `maas front`.
        """
        actions: dict[str, Callable[..., Any]] = {
            "status": self.status,
            "deploy": self.deploy,
            "rollback": self.rollback,
            "canary": self.canary,
            "restart": self.restart,
            "keys": self.take_keys,
        }
        with listening(self.folder) as listener:
            while (code := self.watch()) is None:
                answer_one(listener, actions, wait_seconds=_WATCH_SECONDS)
        return code

    def watch(self) -> int | None:
        """Start again what has died; gives Caddy's exit code where it has ended, or 0 where nothing is left to serve.

        An instance that was told to stop, as by `maas stop`, is let go. One that does not start again is tried anew
        every few seconds, as long as others answer.

        Raises:
            ServingError: none answers, and one does not start again.
        """
        if (code := self._process.poll()) is not None:
            return code
        alive = [one for one in self.instances if one.server.alive]
        gone = [one for one in self.instances if one not in alive and (one.again or 0) < time.monotonic()]
        if not gone:
            return None
        if told := [one for one in gone if one.again is None and _was_told(one.server)]:
            self._end(told, 0)
            self.instances = [one for one in self.instances if one not in told]
        if not self.instances:
            return 0
        others_answer = any(not one.percent for one in alive)
        if others_answer:
            self._point(alive)
        for place, one in enumerate(self.instances):
            if one in gone:
                self._end([one], 0)
                try:
                    self._start_again(place)
                except MaasError as error:
                    if not others_answer:
                        raise
                    _log.warning("an instance does not start again, and is tried anew: %s", error)
        self._point(self.instances)
        return None

    def stop(self, drain_seconds: float = DRAIN_SECONDS) -> bool:
        """Stop: Caddy takes no more connections and answers what it has, then the instances end.

        Args:
            drain_seconds: 0 stops at once; else what was said at the start counts.

        Returns:
            Whether all that was in flight has been answered.
        """
        for client in self._clients:
            client.close()
        if not drain_seconds:
            self._process.kill()
        elif self._process.poll() is None:
            self._process.terminate()
        try:
            # Its own grace period ends it; a connection that does not end then is cut.
            self._process.wait(self._settings.drain_seconds + _END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        drained = self._end(self.instances, min(drain_seconds, _END_SECONDS))
        shutil.rmtree(self.folder, ignore_errors=True)
        return drained

    def _start(self, models: Sequence[str], percent: int = 0) -> Instance:
        used = {one.port for one in self.instances if one.server.alive}  # those being started hold their ports
        port = next((port for port in self._settings.ports if port not in used and is_free(port)), None)
        if port is None:
            raise ServingError("every port that was set apart for instances is taken; stop the front and start it anew")
        server = self._launch(models, port)
        self._slots.put_token(port, server.token())
        return Instance(server, port, tuple(models), percent)

    def _start_again(self, place: int) -> None:
        """Start an instance that has ended; where that fails, it stays in its place, to be tried again."""
        one = self.instances[place]
        one.again = time.monotonic() + _AGAIN_SECONDS
        self.instances[place] = self._start(one.models, one.percent)

    def _golden(self, name: str, version: str) -> Golden:
        from maas.serving.front._golden import Golden  # it loads models: torch

        return Golden(self._store, name, version)

    @contextlib.contextmanager
    def _fresh(self, name: str, version: str) -> Iterator[list[Instance]]:
        """Instances that are being started; where one fails, all end, and those from before were never touched."""
        fresh: list[Instance] = []
        try:
            yield fresh
        except BaseException as error:
            self._end(fresh, 0)
            if not isinstance(error, MaasError):
                raise
            raise ServingError(
                f"{name} {version} does not serve: {error}\nthe instances from before serve on"
            ) from error

    def _replace(self, old: Sequence[Instance], new: Sequence[Instance], drain_seconds: float) -> None:
        kept = [one for one in self.instances if one not in old]
        self.instances = [*[one for one in new if not one.percent], *kept, *[one for one in new if one.percent]]
        self._point(self.instances)
        self._end(old, drain_seconds)

    def _point(self, instances: Sequence[Instance]) -> None:
        """Let the slots lead to instances, by their shares; to none that waits to be started again."""
        instances = [one for one in instances if one.again is None]
        canaries = {one.port: one.percent for one in instances if one.percent}
        self._slots.point(spread([one.port for one in instances if not one.percent], canaries))

    def _end(self, instances: Sequence[Instance], drain_seconds: float) -> bool:
        """Let instances that get no more requests answer what they have, and stop them; gives whether they had."""

        def end(instance: Instance) -> bool:
            idle = True
            if drain_seconds and instance.server.alive:
                time.sleep(_LATE_SECONDS)  # a request that has read its slot is in the instance's queue by now
                with contextlib.suppress(MaasError):
                    idle = instance.server.wait_idle(drain_seconds)
            return instance.server.stop(min(drain_seconds, _END_SECONDS)) and idle

        with ThreadPoolExecutor(max(1, len(instances))) as pool:
            return all(list(pool.map(end, instances)))


def _was_told(server: Server) -> bool:
    """Whether a server that has ended was told to."""
    return not server.folder.exists() or (server.folder / DRAIN_MARK).exists()


def _with(models: Sequence[str], name: str, version: str) -> tuple[str, ...]:
    """The models with another version of one."""
    if name not in {one.partition("@")[0] for one in models}:
        raise ServingError(f"no model {show(name)} is served here, there are {', '.join(models)}")
    return tuple(f"{name}@{version}" if one.partition("@")[0] == name else one for one in models)
