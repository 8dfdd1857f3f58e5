"""Routes of OpenAI's API: the model is named in the body, as its clients do, and not in the path.

Only the body tells where a request goes, and Caddy, reading one to choose, waits for ever for what does not come. So
the front takes a body whole, within its limits of time and size, and hands the request on to a server of its own, on a
Unix socket, which chooses.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from maas.client import ROUTE
from maas.serving._settings import MOST_BODY_BYTES
from maas.serving.front._problems import answer
from maas.serving.front._proxy import ASK, invoke
from maas.serving.front._routes import Route, route

_SOCKET = "v1.sock"
_ASKED = ("/v1/chat/completions", "/v1/completions")


def v1_routes(models: Sequence[str], folder: Path) -> list[Route]:
    """What lists the models that generate text, and hands on what is asked of them; nothing where there is none.

    Args:
        models: their names.
        folder: of the front.
    """
    if not models:
        return []
    about = {name: {"id": name, "object": "model", "created": 0, "owned_by": "maas"} for name in models}
    listed = {"object": "list", "data": list(about.values())}
    hand_on = {
        "handler": "reverse_proxy",
        "upstreams": [{"dial": f"unix/{folder / _SOCKET}"}],
        "request_buffers": MOST_BODY_BYTES + 1,
    }
    return [
        route({"path": ["/v1/models"], "method": ["GET"]}, answer(listed)),
        *(route({"path": [f"/v1/models/{name}"], "method": ["GET"]}, answer(one)) for name, one in about.items()),
        route({"path": list(_ASKED), "method": ["POST"]}, hand_on),
    ]


def v1_server(models: Sequence[str], folder: Path, server: dict[str, Any]) -> dict[str, Any]:
    """The server that chooses the model, by name; none where there is no such model.

    Args:
        models: their names.
        folder: of the front.
        server: what it has in common with that before it.
    """
    if not models:
        return {}
    # Quotes within a JSON string are escaped, so that no message can look like the member. Names need no escaping.
    named = {"name": "model", "pattern": rf'"model"\s*:\s*"({"|".join(models)})"'}
    match = {"vars_regexp": {"{http.request.body}": named}}
    ask = [{"handler": "rewrite", "uri": "/predictions/{http.regexp.model.1}"}, invoke(ASK)]
    told = {"handler": "headers", "request": {"set": {ROUTE: ["{http.request.uri.path}"]}}}
    message = f"`model` must name a model that is served here: {', '.join(models)}"
    error = {"message": message, "type": "invalid_request_error", "param": "model", "code": "model_not_found"}
    unknown = answer({"error": error}, 404)
    routes = [*server["routes"], route(match, told, *ask), {"handle": [unknown]}]
    return {"v1": {**server, "listen": [f"unix/{folder / _SOCKET}|0600"], "routes": routes}}
