"""What other processes of this user ask of a running front, over a Unix socket in its folder; one line of JSON each."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from maas.client import folder_of_servers
from maas.errors import MaasError, ServingError

SOCKET = "front.sock"
_ASK_SECONDS = 900.0
_READ_SECONDS = 5.0

Actions = Mapping[str, Callable[..., Any]]
"""What can be asked, by name: takes the arguments of the line, gives JSON."""


@contextlib.contextmanager
def listening(folder: Path) -> Iterator[socket.socket]:
    """The socket on which a front is asked."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / SOCKET))
        listener.listen()
        yield listener


def answer_one(listener: socket.socket, actions: Actions, *, wait_seconds: float) -> None:
    """Do what the next process asks, if one does within a time."""
    listener.settimeout(wait_seconds)
    try:
        connection, _ = listener.accept()
    except TimeoutError:
        return
    with connection, contextlib.suppress(OSError):  # whoever asked may be gone
        connection.settimeout(_READ_SECONDS)
        try:
            asked = json.loads(connection.makefile("rb").readline(65_536))
            said = {"done": actions[asked.pop("do")](**asked)}
        except MaasError as error:
            said = {"error": str(error)}
        except (ValueError, LookupError, TypeError, AttributeError, OSError) as error:
            said = {"error": f"the front cannot do that: {error!r}"}
        connection.sendall(json.dumps(said).encode() + b"\n")


def ask_front(do: str, **arguments: Any) -> Any:
    """Ask the front that runs on this machine for this user.

    Raises:
        ServingError: none runs, or more than one, or it cannot do it.
    """
    found = []
    for file in folder_of_servers().glob(f"front-*/{SOCKET}"):
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(str(file))
            found.append(connection)
        except OSError:
            connection.close()
    with contextlib.ExitStack() as stack:
        for connection in found:
            stack.enter_context(connection)
        if len(found) != 1:
            raise ServingError(
                f"{len(found) or 'no'} fronts run here, one is wanted; start one with maas serve --front"
            )
        found[0].settimeout(_ASK_SECONDS)
        try:
            found[0].sendall(json.dumps({"do": do, **arguments}).encode() + b"\n")
            said = json.loads(found[0].makefile("rb").readline())
        except (OSError, ValueError) as error:
            raise ServingError(f"the front does not answer: {error}") from error
    if "error" in said:
        raise ServingError(said["error"])
    return said["done"]
