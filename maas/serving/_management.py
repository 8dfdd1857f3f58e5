"""TorchServe's management API over its Unix socket."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from pathlib import Path
from typing import Any

from maas.client import LocalServer
from maas.errors import ServingError
from maas.serving._settings import MANAGEMENT_SOCKET


class SocketConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def manage(server: LocalServer, path: str, method: str = "GET", *, timeout: float = 60.0) -> Any:
    """Ask TorchServe's management; gives the JSON of its answer.

    A token that has expired, as when the process that renews it is gone, is renewed first.

    Raises:
        ServingError: it does not answer, or refuses.
    """
    status, body = _ask(server, path, method, server.token("management"), timeout)
    if status == 400 and body.get("type") == "InvalidKeyException":
        renew(server, "management")
        status, body = _ask(server, path, method, server.token("management"), timeout)
    if status >= 300:
        raise ServingError(f"TorchServe refuses {method} {path}: {status} {body.get('message') or body}")
    return body


def models_of(server: LocalServer, *, page: int = 100) -> list[str]:
    """The names of the models that are loaded; TorchServe tells at most a hundred at a time."""
    names: list[str] = []
    following: str | None = "0"
    while following is not None:
        told = manage(server, f"/models?limit={page}&next_page_token={following}")
        names += [one["modelName"] for one in told["models"]]
        following = told.get("nextPageToken")
    return names


def versions_of(server: LocalServer, name: str) -> list[dict[str, Any]]:
    """What management says of each version of a model that is loaded, with its workers and its queue."""
    found: list[dict[str, Any]] = manage(server, f"/models/{name}/all")
    return found


def default_of(server: LocalServer, name: str) -> str:
    """The version of a model that answers when none is asked for."""
    return str(manage(server, f"/models/{name}")[0]["modelVersion"])


def renew(server: LocalServer, kind: str) -> None:
    """Let TorchServe make a new token, "inference" or "management", in its key file; the old one ends at once.

    Raises:
        ServingError: it does not.
    """
    status, body = _ask(server, f"/token?type={kind}", "GET", server.token("API"), 10.0)
    if status != 200:
        raise ServingError(f"TorchServe does not renew its {kind} token: {status} {body}")


def _ask(server: LocalServer, path: str, method: str, token: str, timeout: float) -> tuple[int, Any]:
    connection = SocketConnection(Path(server.folder) / MANAGEMENT_SOCKET, timeout)
    try:
        connection.request(method, path, headers={"Authorization": f"Bearer {token}"})
        response = connection.getresponse()
        text = response.read()
        body: Any = {}
        with contextlib.suppress(ValueError):
            body = json.loads(text)
        return response.status, body
    except (OSError, http.client.HTTPException) as error:
        raise ServingError(f"TorchServe's management does not answer: {error}") from error
    finally:
        connection.close()
