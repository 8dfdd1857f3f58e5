"""The options of the commands about running servers: serve, stop, status, deploy, rollback."""

from __future__ import annotations

import argparse

from maas.cli._front_parser import add_front, add_front_options
from maas.cli._options import add_command, add_imports, add_json, add_public_keys
from maas.cli._registry_parser import add_serving_from

_SERVE = """\
examples:
  maas serve wine
  maas serve wine churn@2.0 --store model_store --port 9000 --workers 2
  maas serve wine --dry-run
  maas serve wine --host 0.0.0.0 --certificate host.pem --key host.key --logs /var/log/maas
  maas serve mine --import mypackage.networks
  maas serve wine --front --instances 2
  maas serve --registry /shared/registry wine@production --follow 30

it stays in the foreground, for a terminal, systemd (Type=notify) or a container; SIGTERM, SIGINT or SIGHUP drain and
stop it, a second one stops it at once. Exit codes: 0 it was told to stop, 3 an archive is damaged, 4 it could not
start, or TorchServe ended by itself
"""


def add_serving(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the five commands."""
    _add_serve(commands)
    add_front(commands)
    stop = add_command(
        commands,
        "stop",
        "stop servers of this user: workers finish what they have, and answer 503 to what comes then",
        "examples:\n  maas stop wine\n  maas stop http://127.0.0.1:9000\n  maas stop --all --drain-seconds 5",
    )
    stop.add_argument("server", nargs="?", metavar="NAME|URL", help="a model that it serves, or its address")
    stop.add_argument("--all", action="store_true", help="all servers of this user on this machine")
    _drain(stop)
    add_json(stop)

    status = add_command(
        commands,
        "status",
        "show the servers of this user on this machine: versions, workers, memory, queues, requests",
        "examples:\n  maas status\n  maas status --json",
    )
    add_json(status)

    deploy = add_command(
        commands,
        "deploy",
        "put another version of a served model in its place, without losing a request",
        "examples:\n  maas package artifacts/wine --version 2.0 && maas deploy wine --version 2.0\n"
        "  maas deploy wine --version 2.0 --store model_store --server http://127.0.0.1:9000",
    )
    add_imports(deploy)
    deploy.add_argument("model", metavar="NAME", help="the model's name")
    deploy.add_argument("--version", required=True, help="the version, in the store")
    deploy.add_argument("--store", default="model_store", metavar="DIR", help="model store (default: %(default)s)")
    rollback = add_command(
        commands,
        "rollback",
        "go back to the version of a model that was served before, without losing a request",
        "examples:\n  maas rollback wine\n  maas rollback wine --server http://127.0.0.1:9000",
    )
    add_imports(rollback)
    rollback.add_argument("model", metavar="NAME", help="the model's name")
    for command in (deploy, rollback):
        command.add_argument("--server", metavar="URL", help="of which server (default: the one that serves NAME)")
        _drain(command)
        add_json(command)


def _add_serve(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    serve = add_command(commands, "serve", "serve archives with TorchServe until it is told to stop", _SERVE)
    serve.add_argument(
        "models",
        nargs="*",
        metavar="NAME[@VERSION]",
        help="models to serve (default: all of the store), in their newest version where none is said",
    )
    serve.add_argument("--store", default="model_store", metavar="DIR", help="model store (default: %(default)s)")
    serve.add_argument("--port", type=int, metavar="N", help="inference port (default: 8080, or a free one)")
    add_imports(serve)
    serve.add_argument("--timeout", type=float, default=120.0, metavar="S", help="seconds to wait for the models")
    serve.add_argument("--workers", type=int, metavar="N", help="worker processes a model (default: the archive's)")
    serve.add_argument("--batch-size", type=int, metavar="N", help="most requests a pass (default: the archive's)")
    serve.add_argument(
        "--max-batch-delay-ms",
        type=int,
        metavar="MS",
        help="how long a batch waits to become as large as the one before (default: the archive's)",
    )
    serve.add_argument(
        "--threads", type=int, metavar="N", help="CPU threads of a worker (default: the archive's, or cores / workers)"
    )
    serve.add_argument("--logs", metavar="DIR", help="logs, kept after the end (default: the server's own folder)")
    serve.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="IP",
        help="inference address; beyond loopback it wants --certificate and --key (default: %(default)s)",
    )
    serve.add_argument("--certificate", metavar="PEM", help="of the server, with its chain: inference speaks TLS")
    serve.add_argument("--key", metavar="PEM", help="its private key, PKCS #8 without a password")
    serve.add_argument(
        "--token-minutes",
        type=int,
        default=720,
        metavar="N",
        help="life of a token; renewed at three quarters of it (default: %(default)s)",
    )
    serve.add_argument(
        "--metrics-port", type=int, metavar="N", help="of the metrics for Prometheus, on loopback (default: a free one)"
    )
    add_public_keys(serve, "every archive, also what is deployed later, must be signed by one of them")
    add_front_options(serve)
    add_serving_from(serve)
    serve.add_argument("--dry-run", action="store_true", help="print every generated file and start nothing")
    _drain(serve)
    add_json(serve)


def _drain(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--drain-seconds",
        type=float,
        default=30.0,
        metavar="S",
        help="to wait at most for what is in flight (default: %(default)g)",
    )
