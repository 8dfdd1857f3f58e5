"""Starting TorchServe safely, waiting until its models answer, and stopping it."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from maas.archive import read_archive
from maas.client import Client, LocalServer, folder_of_servers, running_servers
from maas.errors import ClientError, ServingError, show
from maas.serving import _management
from maas.serving._handler import IMPORTS
from maas.serving._java import find_java
from maas.serving._settings import Instance

_POLL_SECONDS = 0.1
_STOP_SECONDS = 20.0


class Server:
    """A running TorchServe instance. `serve` gives one; leaving its `with` block stops it.

    Attributes:
        url: of the inference address.
        models: names that it serves.
        folder: its own folder, with its logs, as long as it runs.
    """

    def __init__(self, process: subprocess.Popen[bytes], instance: Instance, models: tuple[str, ...]) -> None:
        self._process = process
        self._instance = instance
        self.url = instance.url
        self.models = models
        self.folder = instance.folder
        self._clients: list[Client] = []
        self._local = LocalServer(str(instance.folder), process.pid, instance.url, models)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Of TorchServe's Java process."""
        return self._process.pid

    def client(self, model: str, *, timeout: float = 60.0) -> Client:
        """A client of one of its models, with the token it needs. Stopping the server closes it.

        Raises:
            ServingError: it serves no such model.
        """
        if model not in self.models:
            raise ServingError(f"no model {show(model)} is served here, there are {', '.join(self.models)}")
        self._clients.append(Client(model, url=self.url, token=self._local.inference_token, timeout=timeout))
        return self._clients[-1]

    def token(self, kind: str = "inference") -> str:
        """TorchServe's token for "inference" or "management"."""
        return self._local.token(kind)

    def manage(self, path: str) -> Any:
        """GET a path of TorchServe's management API, such as "/models", over its socket; gives the JSON.

        Raises:
            ServingError: it does not answer.
        """
        return _management.get(self._instance.management_socket, path, self.token("management"))

    def wait(self) -> int:
        """Wait until TorchServe ends by itself; gives its exit code."""
        return self._process.wait()

    def stop(self) -> None:
        """Stop TorchServe and its workers, and remove its folder. Requests under way are lost."""
        for client in self._clients:
            client.close()
        if self._process.returncode is not None and not self.folder.exists():
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)  # workers that outlived it
            self._process.wait()
            shutil.rmtree(self.folder, ignore_errors=True)

    def _logs(self) -> str:
        """The last lines of the first log that has any."""
        for log in (self._instance.server_log, self._instance.model_log, self._instance.console_log):
            with contextlib.suppress(OSError):
                if lines := log.read_text(errors="replace").splitlines()[-20:]:
                    return "\n".join(lines)
        return "it wrote no log"

    def _wait_ready(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        waiting = list(self.models)
        while waiting:
            if self._process.poll() is not None:
                raise ServingError(f"TorchServe ended while starting: {self._logs()}")
            if failure := _worker_failure(self._instance.model_log):
                raise ServingError(f"a worker could not load its model:\n{failure}")
            if time.monotonic() > deadline:
                raise ServingError(f"{', '.join(waiting)} not ready within {timeout:g} s: {self._logs()}")
            # Until the socket, the key file and the model are there.
            with contextlib.suppress(ServingError, ClientError, LookupError, TypeError):
                found = self.manage(f"/models/{waiting[0]}")
                workers = found[0]["workers"]
                if workers and all(worker["status"] == "READY" for worker in workers):
                    waiting.pop(0)
                    continue
            time.sleep(_POLL_SECONDS)
        self._local.write()


def serve(
    store: str | Path = "model_store",
    models: Sequence[str] | None = None,
    *,
    port: int | None = None,
    imports: Sequence[str] = (),
    timeout: float = 120.0,
) -> Server:
    """Start TorchServe on archives of a model store, and wait until every model answers.

    It listens on loopback only, wants a token for each request (the server's clients have it), and takes management
    requests over a socket that this user alone can open. It keeps all it writes in a folder of its own.

    Args:
        store: folder of `.mar` files.
        models: names of those to serve; by default all.
        port: of the inference address; by default 8080, or a free one when that is taken.
        imports: modules that workers import first: those that register a user's own networks.
        timeout: seconds to wait for the models.

    Returns:
        The server. Use it in a `with` block, or call its `stop`.

    Raises:
        ServingError: TorchServe or Java is missing, the port is taken, or a model cannot be loaded; the message has
            the worker's traceback.
        ArchiveError: an archive is damaged.
    """
    store = Path(store)
    names = _names(store, models)
    if importlib.util.find_spec("ts") is None:
        raise ServingError("TorchServe is not installed; install it with pip install 'maas-torch[serve]'")
    java = find_java()
    for _ in range(3):
        instance = _new_instance(port)
        process = _start(java, instance, store, names, imports)
        server = Server(process, instance, names)
        try:
            server._wait_ready(timeout)
        except BaseException as error:
            clash = isinstance(error, ServingError) and "already in use" in str(error)
            server.stop()
            if not clash or port is not None:
                raise
        else:
            return server
    raise ServingError("no free ports were found in three tries; try again")


def _names(store: Path, models: Sequence[str] | None) -> tuple[str, ...]:
    if not store.is_dir():
        raise ServingError(f"there is no model store {store}; write an archive into it with maas package")
    there = sorted(file.stem for file in store.glob("*.mar"))
    names = tuple(there if models is None else ([models] if isinstance(models, str) else models))
    if not names:
        raise ServingError(f"no archive is in {store}; write one with maas package")
    for name in names:
        if name not in there:
            raise ServingError(f"{store} has no archive {name}.mar, there are {', '.join(there) or 'none'}")
        found = read_archive(store / f"{name}.mar")
        if found.name != name:
            raise ServingError(
                f"{store / name}.mar holds the model {found.name!r}; rename the file to {found.name}.mar"
            )
    return names


def _new_instance(port: int | None) -> Instance:
    if port is not None and not 0 < port < 2**16:
        raise ServingError(f"`port` is from 1 to 65535, got {port}")
    if port is not None and not _free(port):
        raise ServingError(f"port {port} is taken; choose another with port=")
    _sweep(folder_of_servers())
    folder = Path(tempfile.mkdtemp(dir=folder_of_servers(), prefix=f"{os.getpid()}-"))
    for name in ("tmp", "logs"):
        (folder / name).mkdir()
    ports = _free_ports(4)
    instance = Instance(folder, port or (8080 if _free(8080) else ports[0]), *ports[1:])
    (folder / "config.properties").write_text(instance.config_properties())
    (folder / "log4j2.xml").write_text(instance.log4j2_xml())
    return instance


def _start(
    java: Path, instance: Instance, store: Path, names: Sequence[str], imports: Sequence[str]
) -> subprocess.Popen[bytes]:
    spec = importlib.util.find_spec("ts")
    assert spec is not None
    assert spec.origin is not None
    home = Path(spec.origin).parent.parent
    folder = instance.folder
    command = [
        str(java),
        f"-Dmodel_server_home={home}",
        f"-Dlog4j.configurationFile=file://{folder / 'log4j2.xml'}",
        f"-Djava.io.tmpdir={folder / 'tmp'}",
        *("-cp", f".:{home / 'ts' / 'frontend' / '*'}"),
        "org.pytorch.serve.ModelServer",
        *("--python", sys.executable),
        *("-f", str(folder / "config.properties")),
        *("-s", str(store.resolve())),
        "-ncs",
        *("-m", *(f"{name}={name}.mar" for name in names)),
    ]
    environment = {
        **os.environ,
        "TEMP": str(folder / "tmp"),
        "TMPDIR": str(folder / "tmp"),
        "LOG_LOCATION": str(folder / "logs"),
        "METRICS_LOCATION": str(folder / "logs"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
    }
    environment.pop("TS_CONFIG_FILE", None)
    if imports:
        environment[IMPORTS] = ",".join(imports)
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [os.getcwd(), os.environ.get("PYTHONPATH")]))
    with open(instance.console_log, "wb") as console:
        # A session of its own: Ctrl-C in the terminal reaches us, and we stop it in order.
        return subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _sweep(servers: Path) -> None:
    """Remove the folders of servers whose starter and whose Java are gone, as after kill -9."""
    alive = {Path(server.folder) for server in running_servers()}
    for folder in servers.iterdir():
        starter = folder.name.partition("-")[0]
        if starter.isdecimal() and folder not in alive and not _is_running(int(starter)):
            shutil.rmtree(folder, ignore_errors=True)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def _worker_failure(log: Path) -> str | None:
    """The last traceback of a worker that could not load, without the log's own prefixes."""
    try:
        text = log.read_text(errors="replace")
    except OSError:
        return None
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
