"""Routes of the Open Inference Protocol V2 that TorchServe lacks, by what the handler answers elsewhere."""

from __future__ import annotations

from typing import Any

from maas._version import __version__
from maas.client import IDENTITY, V2_METADATA
from maas.serving.front._problems import answer, problem
from maas.serving.front._proxy import ASK, READY, invoke

_PREDICT = "/predictions/{http.regexp.v2.1}"
_MODEL = "/v2/models/([^/]+)"
_VERSION = _MODEL + "/versions/([^/]+)"


def health_routes() -> list[dict[str, Any]]:
    """Whether the front lives, and an instance answers: for load balancers, without a key."""
    return [
        _route({"path": ["/v2/health/live"]}, answer({"live": True})),
        _route({"path": ["/v2/health/ready", "/ping"]}, *_asks("/ping"), invoke(READY)),
    ]


def v2_routes() -> list[dict[str, Any]]:
    """Metadata and readiness of models, and `infer` of one version. `infer` without one is routed by TorchServe."""
    server = {"name": "maas", "version": __version__, "extensions": ["binary_tensor_data"]}
    routes = [_route({"path": ["/v2"], "method": ["GET"]}, answer(server))]
    for pattern, uri in ((_MODEL, _PREDICT), (_VERSION, _PREDICT + "/{http.regexp.v2.2}")):
        routes += [
            _route(_at(f"{pattern}/ready", "GET"), *_asks(uri, IDENTITY), invoke(READY)),
            _route(_at(pattern, "GET"), *_asks(uri, V2_METADATA), invoke(ASK)),
        ]
    return [*routes, _route(_at(f"{_VERSION}/infer", "POST"), {"handler": "rewrite", "uri": uri}, invoke(ASK))]


def ready_responses() -> list[dict[str, Any]]:
    """What readiness makes of an instance's answer."""
    return [
        {"match": {"status_code": [2]}, "routes": [{"handle": [answer({"ready": True})]}]},
        {"match": {"status_code": [5]}, "routes": [{"handle": [problem("unavailable")]}]},
    ]


def _route(match: dict[str, Any], *handlers: dict[str, Any]) -> dict[str, Any]:
    return {"match": [match], "handle": list(handlers), "terminal": True}


def _at(pattern: str, method: str) -> dict[str, Any]:
    return {"path_regexp": {"name": "v2", "pattern": f"^{pattern}$"}, "method": [method]}


def _asks(uri: str, accept: str = "*/*") -> list[dict[str, Any]]:
    return [
        {"handler": "rewrite", "method": "GET", "uri": uri},
        {"handler": "headers", "request": {"set": {"Accept": [accept]}}},
    ]
