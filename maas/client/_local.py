"""The servers that `maas serve` runs on this machine for this user: where they are, and their tokens."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from maas.errors import ClientError

_LONGEST = 40
_TRIES = 20
STATE = "server.json"
KEYS = "key_file.json"
FRONT = "front.json"


@dataclass(frozen=True)
class LocalServer:
    """A running server.

    Args:
        folder: its own folder, readable by this user alone.
        pid: of the Java process.
        url: of its inference address.
        models: names that it serves.
        logs: folder of its logs.
        metrics_url: of its metrics, which need no token.
        certificate: PEM file that its inference address shows, where it speaks TLS.
        deployment: what was said at the start in place of the archives' own: keys of model-config.yaml.
        trusted: PEM texts of the public keys that may sign what it serves; empty where nothing need be signed.
    """

    folder: str
    pid: int
    url: str
    models: tuple[str, ...]
    logs: str = ""
    metrics_url: str = ""
    certificate: str | None = None
    deployment: tuple[tuple[str, int], ...] = ()
    trusted: str = ""

    def inference_token(self) -> str:
        """The token that predictions want."""
        return self.token("inference")

    def token(self, kind: str) -> str:
        """TorchServe's token for "inference" or "management", as it stands in the key file now."""
        for _ in range(_TRIES):
            try:
                return str(json.loads((Path(self.folder) / KEYS).read_text())[kind]["key"])
            except ValueError:  # it is being written anew
                time.sleep(0.005)
            except (OSError, LookupError, TypeError) as error:
                raise ClientError(f"the server in {self.folder} has no {kind} token: {error}") from error
        raise ClientError(f"the server in {self.folder} has no {kind} token: {KEYS} is not JSON")

    def write(self) -> None:
        """Make the server known to clients on this machine."""
        _write(Path(self.folder) / STATE, asdict(self))


@dataclass(frozen=True)
class LocalFront:
    """A running front.

    Args:
        pid: of its proxy.
        url: that clients use.
        models: names that it serves.
        keys: the file of its keys.
        certificate: PEM file that it shows, where it speaks TLS.
    """

    pid: int
    url: str
    models: tuple[str, ...]
    keys: str
    certificate: str | None = None

    def inference_token(self) -> str:
        """The first of its keys, as it stands in the file now."""
        try:
            lines = Path(self.keys).read_text().splitlines()
            return next(line.strip() for line in lines if line.strip() and not line.startswith("#"))
        except (OSError, ValueError, StopIteration) as error:
            raise ClientError(f"the front at {self.url} has no key in {self.keys}: {error!r}") from error

    def write(self, folder: Path) -> None:
        """Make the front known to clients on this machine."""
        _write(folder / FRONT, asdict(self))


Local = TypeVar("Local", LocalServer, LocalFront)


def folder_of_servers() -> Path:
    """The folder that holds one folder for each server of this user; made if need be, closed to others.

    Raises:
        ClientError: something else stands there, or it belongs to someone else.
    """
    parent = tempfile.gettempdir()
    if len(parent) > _LONGEST or not parent.isascii() or any(one in parent for one in " &<>\"'$*"):
        parent = "/tmp"  # a socket's path is at most 107 bytes, and TorchServe's configuration knows no quoting
    folder = Path(parent) / f"maas-{os.getuid()}"
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise ClientError(f"{folder} is not a folder of this user alone; remove it, or set TMPDIR to another place")
    return folder


def running_servers() -> list[LocalServer]:
    """The servers of this user that are ready, the last started last."""
    return _ready(STATE, _server_of)


def running_fronts() -> list[LocalFront]:
    """The fronts of this user that are ready, the last started last."""
    return _ready(FRONT, lambda state: LocalFront(**{**state, "models": tuple(state["models"])}))


def running(model: str) -> LocalFront | LocalServer | None:
    """Where a model is served here: by a front, since that loses no request, else by a server; the last started."""
    for found in (running_fronts(), running_servers()):
        if serving := [one for one in found if model in one.models]:
            return serving[-1]
    return None


def _write(file: Path, state: dict[str, Any]) -> None:
    """At once: a reader sees the old or the new."""
    fresh = file.with_suffix(".new")
    fresh.write_text(json.dumps(state))
    fresh.replace(file)


def _ready(name: str, read: Callable[[dict[str, Any]], Local]) -> list[Local]:
    """What wrote a file of this name and runs; what cannot be read, of another version say, is passed over."""
    found = []
    for file in folder_of_servers().glob(f"*/{name}"):
        with contextlib.suppress(OSError, ValueError, TypeError, AttributeError, LookupError):
            one = read(json.loads(file.read_text()))
            os.kill(one.pid, 0)
            found.append((file.stat().st_mtime, one))
    return [one for _, one in sorted(found, key=lambda pair: pair[0])]


def _server_of(state: dict[str, Any]) -> LocalServer:
    known = {field.name for field in fields(LocalServer)}
    state = {key: value for key, value in state.items() if key in known}
    pairs = tuple((str(key), int(value)) for key, value in state.pop("deployment", ()))
    return LocalServer(**{**state, "models": tuple(state["models"])}, deployment=pairs)
