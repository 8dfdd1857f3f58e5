"""Routes of the Open Inference Protocol V2 that TorchServe lacks, by what the handler answers elsewhere."""

from __future__ import annotations

from typing import Any

from maas._version import __version__
from maas.client import IDENTITY, V2_METADATA
from maas.serving.front._problems import answer, problem
from maas.serving.front._proxy import ASK, READY, invoke
from maas.serving.front._routes import Route, route

_PREDICT = "/predictions/{http.regexp.v2.1}"
_MODEL = "/v2/models/([^/]+)"
_VERSION = _MODEL + "/versions/([^/]+)"


def health_routes() -> list[Route]:
    """Whether the front lives, and an instance answers: for load balancers, without a key."""
    return [
        route({"path": ["/v2/health/live"]}, answer({"live": True})),
        route({"path": ["/v2/health/ready", "/ping"]}, *_asks("/ping"), invoke(READY)),
    ]


def v2_routes() -> list[Route]:
    """Metadata and readiness of models, and `infer` of one version. `infer` without one is routed by TorchServe."""
    server = {"name": "maas", "version": __version__, "extensions": ["binary_tensor_data"]}
    routes = [route({"path": ["/v2"], "method": ["GET"]}, answer(server))]
    for pattern, uri in ((_MODEL, _PREDICT), (_VERSION, _PREDICT + "/{http.regexp.v2.2}")):
        routes += [
            route(_at(f"{pattern}/ready", "GET"), *_asks(uri, IDENTITY), invoke(READY)),
            route(_at(pattern, "GET"), *_asks(uri, V2_METADATA), invoke(ASK)),
        ]
    return [*routes, route(_at(f"{_VERSION}/infer", "POST"), {"handler": "rewrite", "uri": uri}, invoke(ASK))]


def ready_responses() -> list[dict[str, Any]]:
    """What readiness makes of an instance's answer."""
    return [
        {"match": {"status_code": [2]}, "routes": [{"handle": [answer({"ready": True})]}]},
        {"match": {"status_code": [5]}, "routes": [{"handle": [problem("unavailable")]}]},
    ]


def _at(pattern: str, method: str) -> dict[str, Any]:
    return {"path_regexp": {"name": "v2", "pattern": f"^{pattern}$"}, "method": [method]}


def _asks(uri: str, accept: str = "*/*") -> list[dict[str, Any]]:
    return [
        {"handler": "rewrite", "method": "GET", "uri": uri},
        {"handler": "headers", "request": {"set": {"Accept": [accept]}}},
    ]
