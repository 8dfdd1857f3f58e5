"""Starting the front and the instances behind it."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil

from maas.client import LocalFront, folder_of_servers
from maas.errors import ServingError
from maas.serving._address import check_address
from maas.serving._ports import free_ports, is_free
from maas.serving._serve import serve
from maas.serving._server import DRAIN_SECONDS, Server, is_running
from maas.serving._store import choose
from maas.serving.front import _caddy
from maas.serving.front._config import FrontSettings
from maas.serving.front._front import Front, Instance
from maas.serving.front._keys import make_keys, read_keys
from maas.serving.front._slots import Slots, spread
from maas.signing import read_public_keys

KEYS = "keys"
TRUSTED = "trusted.public.pem"
NAME = "front"
_TIMES = 3  # that a port is chosen
_TOKEN_MINUTES = 10**7
"""Of an instance's tokens, which stay between this user's own processes. Clients have keys, which can be changed."""


@dataclass(frozen=True)
class FrontPlan:
    """All that a front is started with.

    Args:
        settings: of Caddy.
        caddy: its binary.
        models: "NAME@VERSION" of each that an instance serves.
        instances: how many.
        keys: file of the keys; None: one is made.
    """

    settings: FrontSettings
    caddy: Path
    models: Sequence[str]
    instances: int
    keys: Path | None

    def text(self) -> str:
        """Caddy's configuration without its keys, and the command: for reading, before a start."""
        keys = self.keys or self.settings.folder / KEYS
        shown = [f"KEY-{number}" for number in range(1, 1 + len(read_keys(self.keys) if self.keys else [""]))]
        return (
            f"# {self.settings.folder / _caddy.CONFIG}, with the keys of {keys} in place of {', '.join(shown)}\n"
            f"{self.settings.to_json(shown)}\n# command\n"
            f"{self.caddy} run --config {self.settings.folder / _caddy.CONFIG}\n\n"
            f"# instances\n{self.instances} of {', '.join(self.models)}\n"
        )


def serve_front(
    store: str | Path = "model_store",
    models: Sequence[str] | None = None,
    *,
    instances: int = 2,
    port: int | None = None,
    host: str = "127.0.0.1",
    certificate: str | Path | None = None,
    key: str | Path | None = None,
    keys: str | Path | None = None,
    canary: tuple[str, str, int] | None = None,
    otel: bool = False,
    drain_seconds: float = DRAIN_SECONDS,
    logs: str | Path | None = None,
    public_keys: Sequence[str | Path] | None = None,
    **instance: Any,
) -> Front:
    """Start TorchServe instances and Caddy before them, and wait until every model answers.

    Args:
        store, models: as in `maas.serve`.
        instances: how many, at least 2: one can then be stopped without losing a request.
        port: of the front; by default 8080, or a free one when that is taken.
        host: IP address of the front; one beyond loopback wants `certificate` and `key`.
        certificate, key: PEM files: the front speaks TLS.
        keys: file of mode 0600 with the keys that clients may use, one a line; by default one key is made.
        canary: name and version of a model, and the percent of requests that an instance with it gets.
        otel: whether traces are sent to where the OTEL_ environment variables say; they are when one of these is set.
        drain_seconds: that requests in flight have at the end.
        logs: folder of the logs, kept after the end; by default in the front's own folder.
        public_keys: as in `maas.serve`, read once: what is deployed, or started again, later is held against them too.
        instance: further arguments of `maas.serve`, for each instance.

    Raises:
        ServingError: Caddy is missing or does not start, an address or a file cannot be used, or as in `maas.serve`.
        ArchiveError, ArtifactError: an archive is damaged, or not signed by one of the keys.
    """
    trusted = None if public_keys is None else read_public_keys(public_keys)
    planned = plan_front(
        store, models, instances=instances, port=port, host=host, certificate=certificate, key=key, keys=keys,
        otel=otel, drain_seconds=drain_seconds, logs=logs,
    )  # fmt: skip
    settings = planned.settings
    _sweep(settings.folder.parent)
    settings.folder.mkdir(mode=0o700)
    started: list[Instance] = []
    process: subprocess.Popen[bytes] | None = None

    def launch(wanted: Sequence[str], at: int) -> Server:
        own = settings.logs / f"instance-{at}"
        keys = None if trusted is None else [settings.folder / TRUSTED]
        return serve(store, wanted, port=at, token_minutes=_TOKEN_MINUTES, logs=own, public_keys=keys, **instance)

    try:
        settings.logs.mkdir(parents=True, exist_ok=True)
        if trusted is not None:
            (settings.folder / TRUSTED).write_text("".join(key.pem for key in trusted))
        keys_file = planned.keys or settings.folder / KEYS
        if planned.keys is None:
            make_keys(keys_file)
        slots = Slots(settings.folder)
        slots.make()
        slots.point(spread(settings.ports[:instances], {}))
        # First, since its port is free now; until an instance is there it answers 502.
        process, settings = _start_caddy(planned, read_keys(keys_file), any_port=port is None)
        (settings.folder / "caddy.pid").write_text(str(process.pid))
        # One after the other: two that start at a time on few cores take as long, and may end over their time.
        for at in settings.ports[:instances]:
            started.append(Instance(launch(planned.models, at), at, tuple(planned.models)))
            slots.put_token(at, started[-1].server.token())
    except BaseException:
        for one in started:
            one.server.stop(drain_seconds=0)
        if process:
            process.kill()
            process.wait()
        shutil.rmtree(settings.folder, ignore_errors=True)
        raise
    front = Front(settings, process, launch, started, store=Path(store), keys_file=keys_file)
    try:
        if canary:
            front.canary(*canary)
    except BaseException:
        front.stop(drain_seconds=0)
        raise
    shown = None if settings.certificate is None else str(settings.certificate)
    LocalFront(process.pid, front.url, front.models, str(keys_file), shown).write(settings.folder)
    return front


def _start_caddy(
    planned: FrontPlan, keys: Sequence[str], *, any_port: bool
) -> tuple[subprocess.Popen[bytes], FrontSettings]:
    """Start Caddy; also gives the settings, which have another port where the first was taken meanwhile.

    Raises:
        ServingError: as in `start_caddy`, or the port was taken and it may not be another.
    """
    settings = planned.settings
    config = settings.folder / _caddy.CONFIG
    config.touch(mode=0o600)
    for _ in range(_TIMES):
        config.write_text(settings.to_json(keys))
        try:
            return _caddy.start_caddy(planned.caddy, settings.folder, settings.logs), settings
        except _caddy.PortTaken:
            if not any_port:
                raise ServingError(
                    f"another process took port {settings.port} while Caddy started; choose another with port="
                ) from None
        free = free_ports(1 + len(settings.ports))
        settings = replace(settings, port=next(one for one in free if one not in settings.ports))
    raise ServingError(f"other processes took the front's port while Caddy started, {_TIMES} times over; try again")


def plan_front(
    store: str | Path,
    models: Sequence[str] | None,
    *,
    instances: int,
    port: int | None,
    host: str,
    certificate: str | Path | None,
    key: str | Path | None,
    keys: str | Path | None,
    otel: bool,
    drain_seconds: float,
    logs: str | Path | None,
) -> FrontPlan:
    """What `serve_front` would start; nothing is written.

    Raises:
        ServingError, ArchiveError: as in `serve_front`, as far as it can be seen before a start.
    """
    if instances < 2:
        raise ServingError(f"`instances` is at least 2, got {instances}: one alone cannot be stopped without a loss")
    chosen = [one.says for one in choose(store, models)]
    found = [f"{one.name}@{one.version}" for one in chosen]
    pair = check_address(host, certificate, key)
    if port is not None and not 0 < port < 2**16:
        raise ServingError(f"`port` is from 1 to 65535, got {port}")
    if port is not None and not is_free(port, host):
        raise ServingError(f"port {port} is taken; choose another with port=")
    if keys is not None:
        keys = Path(keys).resolve()
        read_keys(keys)
    # Those that run, as many beside them for a release, and a canary with its own.
    spare, *ports = free_ports(1 + 2 * instances + 2)
    folder = folder_of_servers() / f"{NAME}-{os.getpid()}-{secrets.token_hex(4)}"
    settings = FrontSettings(
        folder=folder,
        logs=folder / "logs" if logs is None else Path(logs).resolve(),
        host="127.0.0.1" if host == "localhost" else host,
        port=port or (8080 if is_free(8080, host) else spare),
        ports=ports,
        drain_seconds=drain_seconds,
        certificate=pair[0],
        key=pair[1],
        otel=otel or _has_otel(os.environ),
        generating=[one.name for one in chosen if one.deployment.continuousBatching],
    )
    return FrontPlan(settings, _caddy.find_caddy(), found, instances, keys)


def _has_otel(environment: Mapping[str, str]) -> bool:
    return any(name.startswith("OTEL_EXPORTER_OTLP") for name in environment)


def _sweep(servers: Path) -> None:
    """End the Caddy, and remove the folder, of fronts whose starter is gone, as after kill -9."""
    for folder in servers.glob(f"{NAME}-*"):
        starter = folder.name.split("-")[1]
        if starter.isdecimal() and not is_running(int(starter)):
            try:
                process = psutil.Process(int((folder / "caddy.pid").read_text()))
                if str(folder / _caddy.CONFIG) in process.cmdline():
                    process.kill()
            except (OSError, ValueError, psutil.Error):
                pass
            shutil.rmtree(folder, ignore_errors=True)
