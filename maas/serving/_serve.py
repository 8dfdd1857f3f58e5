"""Starting TorchServe safely, and waiting until its models answer."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from maas.archive import copy_archive, deployment_keys
from maas.client import LocalServer, folder_of_servers, running_servers
from maas.errors import ServingError
from maas.serving import _java_command, _record
from maas.serving._address import check_address
from maas.serving._batching import CLASS, batching_class
from maas.serving._java import find_java
from maas.serving._ports import free_ports, is_free
from maas.serving._ready import Log, wait_ready
from maas.serving._renew import TokenRenewal
from maas.serving._server import Server, is_running
from maas.serving._settings import Instance
from maas.serving._store import Stored, choose
from maas.signing import PublicKey, read_public_keys

_TOKEN_MINUTES = 12 * 60
_BATCHING = "TorchServe's own, changed so that nobody waits for who does not come (docs/serving.md)\n"


@dataclass(frozen=True)
class Plan:
    """All that a server is started with.

    Args:
        archives: what it serves.
        instance: where it lives and listens.
        java: the runtime.
        imports: modules that workers import first.
        deployment: keys of model-config.yaml that stand in place of the archives' own.
        public_keys: one of them must have signed each archive; None: nothing need be signed.
    """

    archives: Sequence[Stored]
    instance: Instance
    java: Path
    imports: Sequence[str] = ()
    deployment: Mapping[str, int] = field(default_factory=dict)
    public_keys: Sequence[PublicKey] | None = None

    @property
    def files(self) -> dict[str, str]:
        """For each model the file of its archive in the server's own store."""
        return {one.says.name: f"{one.says.name}@{one.says.version}.mar" for one in self.archives}

    def text(self) -> str:
        """Every generated file, the command line and what is set in the environment: for reading, before a start."""
        added, home = _java_command.environment(self.instance, self.imports), _java_command.torchserve_home()
        parts = {
            str(self.instance.folder / "config.properties"): self.instance.config_properties(),
            str(self.instance.folder / "log4j2.xml"): self.instance.log4j2_xml(),
            **({} if batching_class(home) is None else {str(self.instance.classes / CLASS): _BATCHING}),
            "command": " \\\n  ".join(_java_command.command_line(self.java, self.instance, self.files)) + "\n",
            "environment": "".join(f"{name}={value}\n" for name, value in added.items()),
        }
        for one in self.archives:
            says = replace(one.says.deployment, **self.deployment)
            parts[f"model-config.yaml of {one.says.name} {one.says.version}, from {one.path}"] = says.to_yaml()
        return "\n".join(f"# {title}\n{text}" for title, text in parts.items())


def serve(
    store: str | Path = "model_store",
    models: Sequence[str] | None = None,
    *,
    port: int | None = None,
    imports: Sequence[str] = (),
    timeout: float = 120.0,
    workers: int | None = None,
    batch_size: int | None = None,
    max_batch_delay_ms: int | None = None,
    threads: int | None = None,
    logs: str | Path | None = None,
    host: str = "127.0.0.1",
    certificate: str | Path | None = None,
    key: str | Path | None = None,
    token_minutes: int = _TOKEN_MINUTES,
    metrics_port: int | None = None,
    public_keys: Sequence[str | Path] | None = None,
) -> Server:
    """Start TorchServe on archives of a model store, and wait until every model answers.

    It listens on loopback only, wants a token for each request (the server's clients have it), and takes management
    requests over a socket that this user alone can open. It keeps all it writes in a folder of its own.

    Args:
        store: folder of `.mar` files.
        models: names of those to serve, or NAME@VERSION; by default all. Without a version the newest is served.
        port: of the inference address; by default 8080, or a free one when that is taken.
        imports: modules that workers import first: those that register a user's own networks.
        timeout: seconds to wait for the models.
        workers: worker processes of each model; by default as the archive says, as for the next three.
        batch_size: most requests answered in one pass.
        max_batch_delay_ms: milliseconds that a batch waits, at most, until it is as large as the one before.
        threads: CPU threads that each worker computes with.
        logs: folder of the logs, kept after the end; by default in the server's own folder.
        host: IP address of inference; one beyond loopback wants `certificate` and `key`.
        certificate, key: PEM files: inference speaks TLS.
        token_minutes: life of a token; a new one is made at three quarters of it.
        metrics_port: of the metrics for Prometheus, on loopback; by default a free one.
        public_keys: PEM files: every archive, also what is deployed later, must be signed by a key in one of them.

    Returns:
        The server. Use it in a `with` block, or call its `stop`.

    Raises:
        ServingError: TorchServe or Java is missing, the port is taken, or a model cannot be loaded; the message has
            the worker's traceback.
        ArchiveError: an archive is damaged, or a number is none.
        SignatureError: an archive is not signed by one of the keys, or a file holds none.
    """
    deployment = deployment_keys(
        workers=workers, batch_size=batch_size, max_batch_delay_ms=max_batch_delay_ms, threads=threads
    )
    for turn in range(3):
        at = free_ports(1)[0] if turn and port is None else port  # who lost a port does not race for 8080 again
        planned = plan(
            store, models, port=at, imports=imports, deployment=deployment, logs=logs, host=host,
            certificate=certificate, key=key, token_minutes=token_minutes, metrics_port=metrics_port,
            public_keys=public_keys,
        )  # fmt: skip
        try:
            return _start(planned, timeout)
        except _PortTaken as taken:
            if taken.port in (port, metrics_port):
                raise
    raise ServingError("other processes took a port while TorchServe started, three times over; try again")


class _PortTaken(ServingError):
    """Another process listened first on a port that was free when it was chosen."""

    def __init__(self, port: int) -> None:
        super().__init__(f"another process took port {port} while TorchServe started; choose another")
        self.port = port


def plan(
    store: str | Path,
    models: Sequence[str] | None,
    *,
    port: int | None,
    imports: Sequence[str],
    deployment: Mapping[str, int],
    logs: str | Path | None,
    host: str,
    certificate: str | Path | None,
    key: str | Path | None,
    token_minutes: int,
    metrics_port: int | None = None,
    public_keys: Sequence[str | Path] | None = None,
) -> Plan:
    """What `serve` would start; nothing is written.

    Raises:
        ServingError, ArchiveError, SignatureError: as in `serve`, as far as it can be seen before a start.
    """
    keys = None if public_keys is None else read_public_keys(public_keys)
    archives = choose(store, models)
    for one in archives:
        replace(one.says.deployment, **deployment)
    _java_command.torchserve_home()
    if type(token_minutes) is not int or not 1 <= token_minutes <= 10**7:
        raise ServingError(f"`token_minutes` is an integer from 1 to 10,000,000, got {token_minutes!r}")
    pair = check_address(host, certificate, key)
    for name, given, at in (("port", port, host), ("metrics_port", metrics_port, "127.0.0.1")):
        if given is not None and not 0 < given < 2**16:
            raise ServingError(f"`{name}` is from 1 to 65535, got {given}")
        if given is not None and not is_free(given, at):
            raise ServingError(f"port {given} is taken; choose another with {name}=")
    servers = folder_of_servers()
    folder = servers / f"{os.getpid()}-{secrets.token_hex(4)}"
    spare, metrics, grpc, grpc_management = free_ports(4)
    instance = Instance(
        folder=folder,
        logs=folder / "logs" if logs is None else Path(logs).resolve(),
        host=host,
        port=port or (8080 if is_free(8080, host) else spare),
        metrics_port=metrics_port or metrics,
        grpc_port=grpc,
        grpc_management_port=grpc_management,
        token_minutes=token_minutes,
        certificate=pair[0],
        key=pair[1],
    )
    return Plan(archives, instance, find_java(), imports, deployment, keys)


def _start(planned: Plan, timeout: float) -> Server:
    deadline = time.monotonic() + timeout
    instance = planned.instance
    _sweep(instance.folder.parent)
    instance.folder.mkdir(mode=0o700)
    try:
        for folder in (instance.folder / "tmp", instance.store):
            folder.mkdir()
        instance.logs.mkdir(parents=True, exist_ok=True)
        (instance.folder / "config.properties").write_text(instance.config_properties())
        (instance.folder / "log4j2.xml").write_text(instance.log4j2_xml())
        batching = batching_class(_java_command.torchserve_home())
        if batching is not None:
            (instance.classes / CLASS).parent.mkdir(parents=True)
            (instance.classes / CLASS).write_bytes(batching)
        for one in planned.archives:
            says = replace(one.says.deployment, **planned.deployment)
            copied = instance.store / planned.files[one.says.name]
            copy_archive(one.path, copied, says, public_keys=planned.public_keys)
        console_log, server_log = Log(instance.console_log), Log(instance.server_log)
        model_log = Log(instance.model_log)
        process = _java_command.start(planned.java, instance, planned.files, planned.imports)
    except BaseException:
        shutil.rmtree(instance.folder, ignore_errors=True)
        raise
    local = LocalServer(
        str(instance.folder),
        process.pid,
        instance.url,
        tuple(planned.files),
        str(instance.logs),
        f"http://127.0.0.1:{instance.metrics_port}/metrics",
        None if instance.certificate is None else str(instance.certificate),
        tuple(planned.deployment.items()),
        "".join(key.pem for key in planned.public_keys or ()),
    )

    def check() -> None:
        # First: while Java ends for want of a port, its workers die, which looks as if they could not load.
        taken = re.search(r"Failed to bind to address\S* \S*:(\d+)\s", console_log.text())
        if taken and "Address already in use" in console_log.text():
            raise _PortTaken(int(taken[1]))
        if process.poll() is not None:
            said = server_log.last_lines() or console_log.last_lines() or "it wrote no log"
            raise ServingError(f"TorchServe ended while starting: {said}")

    try:
        for name in planned.files:
            wait_ready(local, name, model_log, deadline=deadline, check=check)
        for one in planned.archives:
            _record.write(instance.folder, "serve", one.says.name, one.says.version)
        local.write()
        return Server(local, process, TokenRenewal(local, instance.token_minutes))
    except BaseException:
        Server(local, process).stop(drain_seconds=0)
        raise


def _sweep(servers: Path) -> None:
    """Remove the folders of servers whose starter and whose Java are gone, as after kill -9."""
    alive = {Path(server.folder) for server in running_servers()}
    for folder in servers.iterdir():
        starter = folder.name.partition("-")[0]
        if starter.isdecimal() and folder not in alive and not is_running(int(starter)):
            shutil.rmtree(folder, ignore_errors=True)
