"""The commands about running servers: serve, stop, status, deploy, rollback."""

from __future__ import annotations

from argparse import Namespace
from functools import partial
from typing import TYPE_CHECKING, Any

from maas.cli import _front, _registry
from maas.cli._print import print_json, tell
from maas.cli._stay import stay, stop_at_signals
from maas.errors import MaasError, ServingError

if TYPE_CHECKING:
    from maas.serving import Server

_OPTIONS = (
    "port",
    "imports",
    "logs",
    "host",
    "certificate",
    "key",
    "token_minutes",
    "metrics_port",
    "public_keys",
)
_DEPLOYMENT = ("workers", "batch_size", "max_batch_delay_ms", "threads")


def serve(options: Namespace) -> bool:
    from maas.serving import serve

    if options.registry is not None:
        return _registry.serve(options)
    if options.follow is not None and options.source is None:
        raise ServingError("--follow looks at an alias of a registry; say which with --registry")
    given: dict[str, Any] = {name: getattr(options, name) for name in _OPTIONS}
    if options.dry_run and not options.front:
        return _dry_run(options, given)
    stop_at_signals()
    if options.front:
        return _front.serve(options)
    given |= {name: getattr(options, name) for name in _DEPLOYMENT}
    tell(options, "starting TorchServe ...")
    start = partial(serve, options.store, options.models or None, timeout=options.timeout, **given)
    return stay(options, start, _tell_started, "TorchServe")


def _tell_started(options: Namespace, server: Server) -> None:
    name = server.models[0]
    lines = [
        f"serving {', '.join(server.models)} on {server.url} (pid {server.pid}); Ctrl-C stops it",
        f"  maas call {name} DATA",
        f"  curl {server.url}/predictions/{name} -H 'Content-Type: application/json' \\",
        f"    -H \"Authorization: Bearer $(jq -r .inference.key {server.folder}/key_file.json)\" -d '{{...}}'",
        f"metrics for Prometheus on {server.metrics_url}",
        f"logs in {server.logs}",
    ]
    tell(options, "\n".join(lines))
    print_json(
        options,
        {
            "url": server.url,
            "models": list(server.models),
            "pid": server.pid,
            "folder": str(server.folder),
            "logs": str(server.logs),
            "metrics": server.metrics_url,
        },
    )


def _dry_run(options: Namespace, given: dict[str, Any]) -> bool:
    from maas.archive import deployment_keys
    from maas.serving._serve import plan

    deployment = deployment_keys(**{name: getattr(options, name) for name in _DEPLOYMENT})
    planned = plan(options.store, options.models or None, deployment=deployment, **given)
    print(planned.text(), end="")
    return False


def stop(options: Namespace) -> bool:
    from maas.client import running_servers
    from maas.serving import attach

    if options.all == bool(options.server):
        raise MaasError("say which server: a model that it serves, its url, or --all; maas status shows them")
    found = [attach(server.url) for server in running_servers()] if options.all else [attach(options.server)]
    stopped = []
    for server in found:
        drained = server.stop(options.drain_seconds)
        note = "" if drained else "; requests were still in flight, and are lost"
        tell(options, f"stopped {', '.join(server.models)} on {server.url}{note}")
        stopped.append({"url": server.url, "models": list(server.models), "drained": drained})
    print_json(options, stopped)
    return False


def status(options: Namespace) -> bool:
    from maas.client import running_servers
    from maas.serving import attach

    found = []
    for server in running_servers():
        try:
            found.append(attach(server.url).status())
        except ServingError as error:  # it has just ended, or is of another version of maas
            found.append({"url": server.url, "pid": server.pid, "error": str(error)})
    lines = [] if found else ["no server runs here; start one with maas serve"]
    for one in found:
        if "error" in one:
            lines.append(f"{one['url']}  pid {one['pid']}  {one['error']}")
            continue
        lines.append(f"{one['url']}  pid {one['pid']}, {_megabytes(one['memory_bytes'])}  logs {one['logs']}")
        for model in one["models"]:
            name = model["name"]
            rate = (
                f"{one['requests_per_second'].get(name, 0.0):g} requests/s" if model["default"] else "not the default"
            )
            lines.append(f"  {name} {model['version']}  {rate}, {model['queue']} waiting")
            lines += [
                f"    worker {worker['pid']}  {worker['status']}  {_megabytes(worker['memory_bytes'])}"
                for worker in model["workers"]
            ]
    tell(options, "\n".join(lines))
    print_json(options, found)
    return False


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.0f} MB"


def deploy(options: Namespace) -> bool:
    server = _serving(options)
    server.deploy(options.model, options.version, store=options.store, drain_seconds=options.drain_seconds)
    return _tell_released(options, server, options.version)


def rollback(options: Namespace) -> bool:
    server = _serving(options)
    return _tell_released(options, server, server.rollback(options.model, drain_seconds=options.drain_seconds))


def _serving(options: Namespace) -> Server:
    from maas.serving import attach

    return attach(options.server or options.model)


def _tell_released(options: Namespace, server: Server, version: str) -> bool:
    tell(options, f"{options.model} {version} serves on {server.url}")
    print_json(options, {"url": server.url, "model": options.model, "version": version})
    return False
