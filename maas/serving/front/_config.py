"""Caddy's configuration: generated whole, and never changed while the front runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maas.serving._settings import MOST_BODY_BYTES
from maas.serving.front._caddy import ADMIN, LOG
from maas.serving.front._problems import error_routes, problem
from maas.serving.front._proxy import ASK, READY, invoke, proxy, tokens
from maas.serving.front._routes import Route, route
from maas.serving.front._slots import Slots
from maas.serving.front._v1 import v1_routes, v1_server
from maas.serving.front._v2 import health_routes, ready_responses, v2_routes

HEADER_SECONDS = 10
BODY_SECONDS = 30
_ID = "{http.request.header.X-Request-Id}"


@dataclass(frozen=True)
class FrontSettings:
    """What a front is started with.

    Args:
        folder: its own, of mode 0700.
        logs: folder of its logs.
        host, port: where it listens.
        ports: set apart for instances.
        drain_seconds: that requests in flight have when it is told to stop.
        certificate, key: PEM files; with them it speaks TLS.
        otel: whether it sends traces to where the OTEL_ environment variables say.
        generating: the models that generate text: OpenAI's API leads to them.
    """

    folder: Path
    logs: Path
    host: str
    port: int
    ports: Sequence[int]
    drain_seconds: float
    certificate: Path | None = None
    key: Path | None = None
    otel: bool = False
    generating: Sequence[str] = ()

    @property
    def url(self) -> str:
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return f"{'https' if self.certificate else 'http'}://{f'[{host}]' if ':' in host else host}:{self.port}"

    def to_json(self, keys: Sequence[str]) -> str:
        """The configuration.

        Args:
            keys: that it takes; show others what they are not.
        """
        return json.dumps(self._config(keys), indent=2) + "\n"

    def _config(self, keys: Sequence[str]) -> dict[str, Any]:
        shown = f"[{self.host}]" if ":" in self.host else self.host
        slots = Slots(self.folder)
        asks = {
            "automatic_https": {"disable": True},
            "named_routes": {
                ASK: {"handle": [proxy(slots)]},
                READY: {"handle": [proxy(slots, *ready_responses())]},
            },
            "errors": {"routes": [{"handle": [_sent_back()]}, *error_routes()]},
        }
        server: dict[str, Any] = {
            **asks,
            "listen": [f"{shown}:{self.port}"],
            "protocols": ["h1", "h2"],
            "read_header_timeout": f"{HEADER_SECONDS}s",
            "read_timeout": f"{BODY_SECONDS}s",
            "idle_timeout": "2m",
            "max_header_bytes": 16_384,
            "logs": {"default_logger_name": "access"},
            "routes": self._routes(keys, slots),
        }
        chooses = {**asks, "routes": [{"handle": [_started(), tokens(slots, self.ports)]}]}
        servers = {"front": server, **v1_server(self.generating, self.folder, chooses)}
        apps: dict[str, Any] = {"http": {"grace_period": f"{self.drain_seconds:g}s", "servers": servers}}
        if self.certificate:
            server["tls_connection_policies"] = [{}]
            pair = {"certificate": str(self.certificate), "key": str(self.key)}
            apps["tls"] = {"certificates": {"load_files": [pair]}}
        return {
            # It can change all: a socket in a closed folder, never a port.
            "admin": {"listen": f"unix/{self.folder / ADMIN}|0600", "config": {"persist": False}},
            "logging": {"logs": self._logging()},
            "apps": apps,
        }

    def _routes(self, keys: Sequence[str], slots: Slots) -> list[Route]:
        known = {"header": {"Authorization": [f"Bearer {key}" for key in keys]}}
        served = {"path": ["/predictions/*", "/explanations/*", "/v2/models/*"]}
        first: list[dict[str, Any]] = [_started()]
        if self.otel:
            first.append({"handler": "tracing", "span": "maas"})
        named = {"header_regexp": {"X-Request-Id": {"pattern": "^[A-Za-z0-9._:-]{1,128}$"}}}
        length = "{http.request.header.Content-Length}"
        too_large = f'{length} != "" && int({length}) > {MOST_BODY_BYTES}'  # before a byte of it is read
        body = {"handler": "request_body", "max_size": MOST_BODY_BYTES}
        own = {"handler": "headers", "request": {"set": {"X-Request-Id": ["{http.request.uuid}"]}}}
        return [
            {"handle": first},
            {"match": [{"not": [named]}], "handle": [own]},
            {"handle": [_sent_back(), _cut_off(), tokens(slots, self.ports)]},
            *health_routes(),
            route({"not": [known]}, problem("unauthorized")),
            route({"expression": too_large}, problem("too-large")),
            {"handle": [body]},
            *v2_routes(),
            *v1_routes(self.generating, self.folder),
            route(served, invoke(ASK)),
            {"handle": [problem("not-found")]},
        ]

    def _logging(self) -> dict[str, Any]:
        def file(name: str) -> dict[str, Any]:
            path = str(self.logs / name)
            return {"output": "file", "filename": path, "roll_size_mb": 20, "roll_keep": 3, "mode": "0600"}

        return {
            "default": {"writer": file(LOG), "level": "WARN", "exclude": ["http.log.access"]},
            "access": {
                "writer": file("access.log"),
                "encoder": {
                    "format": "filter",
                    "wrap": {"format": "json"},
                    "fields": {f"request>headers>{name}": {"filter": "delete"} for name in ("Authorization", "Cookie")},
                },
                "include": ["http.log.access.access"],
            },
        }


def _started() -> dict[str, Any]:
    return {"handler": "vars", "started": "{time.now.unix}"}


def _sent_back() -> dict[str, Any]:
    """The request's id in the answer, in place of TorchServe's own."""
    return {"handler": "headers", "response": {"deferred": True, "set": {"X-Request-Id": [_ID]}}}


def _cut_off() -> dict[str, Any]:
    """Tells a client whose body did not arrive in time; Caddy calls that 499, and would keep its connection."""
    late = {"match": {"status_code": [499]}, "routes": [{"handle": [problem("timeout")]}]}
    return {"handler": "intercept", "handle_response": [late]}
