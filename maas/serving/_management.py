"""TorchServe's management API over its Unix socket."""

from __future__ import annotations

import http.client
import json
import socket
from pathlib import Path
from typing import Any

from maas.errors import ServingError


class _Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def get(path: Path, url: str, token: str, *, timeout: float = 10.0) -> Any:
    """GET a path of the management API; gives the JSON of its answer.

    Raises:
        ServingError: it does not answer, or not with JSON.
    """
    connection = _Connection(path, timeout)
    try:
        connection.request("GET", url, headers={"Authorization": f"Bearer {token}"})
        return json.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise ServingError(f"TorchServe's management does not answer: {error}") from error
    finally:
        connection.close()
