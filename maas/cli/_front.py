"""The commands about the front: serve --front, and front."""

from __future__ import annotations

from argparse import Namespace
from functools import partial
from typing import TYPE_CHECKING, Any

from maas.cli._print import print_json, tell
from maas.cli._stay import stay
from maas.errors import ServingError

if TYPE_CHECKING:
    from maas.serving.front import Front

_OPTIONS = ("instances", "port", "host", "certificate", "key", "keys", "otel", "drain_seconds", "logs")
_OF_INSTANCES = ("imports", "workers", "batch_size", "max_batch_delay_ms", "threads", "timeout", "public_keys")


def serve(options: Namespace) -> bool:
    """`maas serve --front`. The signals that stop it are set already."""
    from maas.serving.front import serve_front
    from maas.serving.front._start import plan_front

    given: dict[str, Any] = {name: getattr(options, name) for name in _OPTIONS}
    models = options.models or None
    if options.metrics_port is not None:
        raise ServingError("--metrics-port is that of one TorchServe; --front starts several: maas status shows theirs")
    if options.dry_run:
        print(plan_front(options.store, models, **given).text(), end="")
        return False
    tell(options, f"starting {options.instances} TorchServes and Caddy ...")
    given |= {name: getattr(options, name) for name in _OF_INSTANCES}
    start = partial(serve_front, options.store, models, canary=options.canary, **given)
    return stay(options, start, _tell_started, "Caddy")


def front(options: Namespace) -> bool:
    from maas.serving.front._control import ask_front

    if options.action == "deploy":
        ask_front("deploy", name=options.model, version=options.version)
    elif options.action == "rollback":
        ask_front("rollback", name=options.model)
    elif options.action == "canary":
        name, version, percent = options.canary
        ask_front("canary", name=name, version=version, percent=percent)
    elif options.action == "restart":
        ask_front("restart", place=options.place)
    elif options.action == "keys":
        ask_front("keys")
    status = ask_front("status")
    tell(options, "\n".join([status["url"], *(_line(one) for one in status["instances"])]))
    print_json(options, status)
    return False


def _line(instance: dict[str, Any]) -> str:
    kind = "  canary" if instance["canary"] else ""
    return f"  {instance['percent']:>3} %  {instance['url']}  {', '.join(instance['models'])}{kind}"


def _tell_started(options: Namespace, front: Front) -> None:
    name = front.models[0]
    lines = [
        f"serving {', '.join(front.models)} on {front.url} (Caddy's pid {front.pid}); Ctrl-C stops it",
        f"  maas call {name} DATA --url {front.url} --token $(head -1 {front.keys_file})",
        f"  curl {front.url}/predictions/{name} -H 'Content-Type: application/json' \\",
        f"    -H \"Authorization: Bearer $(head -1 {front.keys_file})\" -d '{{...}}'",
        f"logs in {front.logs}",
    ]
    tell(options, "\n".join(lines))
    print_json(options, {**front.status(), "models": list(front.models), "folder": str(front.folder)})
