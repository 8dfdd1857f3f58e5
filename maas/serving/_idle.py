"""Knowing that a model has no work in flight, by asking each of its workers."""

from __future__ import annotations

import contextlib
import json
import ssl
import time
import urllib.error
import urllib.request
from typing import Any

from maas.client import IDENTITY, LocalServer
from maas.errors import ServingError
from maas.serving import _management

_POLL_SECONDS = 0.02


def ask_inference(
    server: LocalServer, path: str, *, rows: list[Any] | None = None, timeout: float = 60.0
) -> tuple[int, Any]:
    """Ask a model over HTTP, at the address that clients use; gives status and JSON.

    Args:
        server: whose model.
        path: such as "/predictions/wine/2.0".
        rows: to predict; without them the model is asked who it is.
        timeout: seconds to wait.

    Raises:
        ServingError: there is no answer, or none in JSON.
    """
    headers = {"Authorization": f"Bearer {server.inference_token()}", "Content-Type": "application/json"}
    data = None
    if rows is None:
        headers["Accept"] = IDENTITY
    else:
        data = json.dumps({"instances": rows}).encode()
    request = urllib.request.Request(server.url + path, data, headers)
    # Our own server, found through our own folder; its certificate may be for another name.
    context = ssl._create_unverified_context() if server.url.startswith("https:") else None
    handlers = [urllib.request.ProxyHandler({})] + ([urllib.request.HTTPSHandler(context=context)] if context else [])
    try:
        with urllib.request.build_opener(*handlers).open(request, timeout=timeout) as response:
            return int(response.status), json.loads(response.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, _json(error.read())
    except (OSError, ValueError) as error:
        raise ServingError(f"{server.url}{path} does not answer: {error}") from error


def wait_idle(server: LocalServer, name: str, version: str, *, seconds: float) -> bool:
    """Wait until every request that a model was sent before this call has been answered.

    A worker works on one batch at a time, so one that answers a question asked now has done what it was given
    before; one that generates text says how many requests are live. The question goes to whichever worker is free, so
    it is asked until each has answered; the queue, which is first in first out, is then empty of what came before.

    Args:
        server: where the model is served.
        name, version: of the model.
        seconds: to wait at most.

    Returns:
        Whether all was answered in time. A model without a worker has nothing in flight that could be answered.
    """
    deadline = time.monotonic() + seconds
    answered: set[int] = set()
    while (left := deadline - time.monotonic()) > 0:
        if len(answered) >= len(ready_workers(server, name, version)):
            return True
        with contextlib.suppress(ServingError, TypeError):
            _, body = ask_inference(server, f"/predictions/{name}/{version}", timeout=left)
            if "worker" in body and not body.get(
                "live"
            ):  # not in an answer of TorchServe's own, as when its queue is full
                answered.add(int(body["worker"]))
                continue
        time.sleep(min(_POLL_SECONDS, left))
    return False


def ready_workers(server: LocalServer, name: str, version: str) -> list[dict[str, Any]]:
    """What management says of the workers of a model that can answer."""
    described = _management.manage(server, f"/models/{name}/{version}")
    return [worker for worker in described[0]["workers"] if worker["status"] == "READY"]


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return {}
