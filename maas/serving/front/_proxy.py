"""Caddy's reverse proxy before the instances: which is asked, when another is, and what becomes of its answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from maas.serving._settings import MOST_BODY_BYTES
from maas.serving.front._problems import problem
from maas.serving.front._slots import Slots

ASK, READY = "ask", "ready"
"""Named routes: ask an instance; ask one whether it is ready."""

_STATUS = "{http.reverse_proxy.status_code}"
_MEDIA = "{http.reverse_proxy.header.Content-Type}"
RETRY_SECONDS = 10
"""Of a request's life in which an answer of a dead worker or a draining instance makes it try another."""


def tokens(slots: Slots, ports: Sequence[int]) -> dict[str, Any]:
    """Names the token of the instance that is chosen; Caddy looks it up only then."""
    return {
        "handler": "map",
        "source": "{http.reverse_proxy.upstream.port}",
        "destinations": ["{maas.token}"],
        "mappings": [{"input": str(port), "outputs": [f"{{file.{slots.token_file(port)}}}"]} for port in ports],
    }


def invoke(name: str) -> dict[str, Any]:
    """The handler that goes on with ASK or READY."""
    return {"handler": "invoke", "name": name}


def proxy(slots: Slots, *responses: dict[str, Any]) -> dict[str, Any]:
    """The handler that asks an instance.

    Args:
        slots: where they are.
        responses: what is done with answers, before what is done with those that are not the handler's own.
    """
    # Predictions change nothing, so that any may be sent again. TorchServe's own errors are plain JSON; the handler's
    # are problem documents, and would be the same elsewhere. Without a bound in time, a request that ends each worker
    # it meets would go on to do so.
    fresh = f"int({{time.now.unix}}) - int({{http.vars.started}}) < {RETRY_SECONDS}"
    again = f'{_STATUS} >= 500 && {_MEDIA} == "application/json" && {_STATUS} != 503 && {fresh}'
    draining = f'{_STATUS} == 503 && {_MEDIA} == "application/problem+json" && {fresh}'
    return {
        "handler": "reverse_proxy",
        "upstreams": [{"dial": f"{{file.{file}}}"} for file in slots.files],
        "headers": {"request": {"set": {"Authorization": ["Bearer {maas.token}"]}}},
        # One more than the most, so that the largest body is seen to be whole, and can be sent again.
        "request_buffers": MOST_BODY_BYTES + 1,
        "load_balancing": {
            "selection_policy": {"policy": "least_conn"},
            "retries": len(slots.files),
            "try_duration": "10m",
            "try_interval": "20ms",
            "retry_match": [
                {"expression": one} for one in ("{http.reverse_proxy.is_transport_error} == true", again, draining)
            ],
        },
        "transport": {"protocol": "http", "dial_timeout": "2s", "keep_alive": {"max_idle_conns_per_host": 256}},
        "handle_response": [*responses, *_not_the_handlers_own()],
    }


def _not_the_handlers_own() -> list[dict[str, Any]]:
    """TorchServe's own errors, told as they are meant."""
    plain = {"Content-Type": ["application/json"]}
    return [
        {
            "match": {"status_code": [503], "headers": {"Retry-After": None}},  # a full queue, as it does not say
            "routes": [{"handle": [problem("busy")]}],
        },
        {"match": {"status_code": [404, 405], "headers": plain}, "routes": [{"handle": [problem("not-found")]}]},
        {"match": {"status_code": [5], "headers": plain}, "routes": [{"handle": [problem("bad-gateway")]}]},
    ]
