"""What the front itself answers: RFC 9457 problem documents, as Caddy's handlers."""

from __future__ import annotations

import json
from typing import Any

from maas.serving._settings import MOST_BODY_BYTES
from maas.serving.front._routes import Handler, Route, route

_AGAIN = {"Retry-After": ["1"]}
_PROBLEMS: dict[str, tuple[int, str, str, dict[str, list[str]]]] = {
    "unauthorized": (
        401,
        "Unauthorized",
        "a key of this front is wanted: Authorization: Bearer KEY",
        {"WWW-Authenticate": ["Bearer"]},
    ),
    "not-found": (404, "Not found", "there is no such path or model; models are at /predictions/NAME", {}),
    "timeout": (408, "Request time-out", "the request did not arrive in time", {"Connection": ["close"]}),
    "too-large": (
        413,
        "Too large",
        f"a body may have {MOST_BODY_BYTES:,} bytes; send fewer rows",
        {"Connection": ["close"]},
    ),
    "busy": (429, "Too many requests", "every worker is busy and the queue is full; try again", _AGAIN),
    "internal": (500, "Internal error", "the front could not handle the request; its log has more", {}),
    "bad-gateway": (502, "Bad gateway", "no instance gave an answer that can be used; try again", _AGAIN),
    "unavailable": (503, "Unavailable", "no instance can answer now; try again", _AGAIN),
    "gateway-timeout": (504, "Gateway time-out", "no instance answered in time; try again", _AGAIN),
}


def problem(kind: str) -> Handler:
    """The handler that answers with a problem document."""
    status, title, detail, headers = _PROBLEMS[kind]
    # `error` is what clients of OpenAI's API show.
    shown = {"message": detail, "type": "invalid_request_error" if status < 500 else "server_error", "code": kind}
    body = {"type": f"urn:maas:problem:{kind}", "title": title, "status": status, "detail": detail, "error": shown}
    return answer(body, status, "application/problem+json", headers)


def answer(
    body: Any, status: int = 200, media: str = "application/json", headers: dict[str, list[str]] | None = None
) -> Handler:
    """The handler that answers with JSON."""
    return {
        "handler": "static_response",
        "status_code": status,
        "headers": {"Content-Type": [media], **(headers or {})},
        "body": json.dumps(body),
    }


def error_routes() -> list[Route]:
    """Routes for what Caddy could not handle: its own errors as problem documents."""
    kinds = {"too-large", "bad-gateway", "unavailable", "gateway-timeout"}
    routes = [
        route({"expression": f"{{http.error.status_code}} == {_PROBLEMS[kind][0]}"}, problem(kind))
        for kind in sorted(kinds)
    ]
    return [*routes, {"handle": [problem("internal")]}]
