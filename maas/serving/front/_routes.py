"""Routes of Caddy, as JSON: what is done with which requests."""

from __future__ import annotations

from typing import Any

Handler = dict[str, Any]
Route = dict[str, Any]


def route(match: dict[str, Any], *handlers: Handler) -> Route:
    """Requests that match go to these handlers, and no further."""
    return {"match": [match], "handle": list(handlers), "terminal": True}
