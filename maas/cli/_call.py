"""The commands that ask a server: call, ready."""

from __future__ import annotations

import os
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

from maas.cli._options import reading_of
from maas.cli._print import Answers, print_answers, print_json, tell
from maas.cli._rows import rows_to_send
from maas.client import Client, running_servers
from maas.errors import RequestRefused, RowError, ServerUnavailable

_POLL_SECONDS = 0.25


def call(options: Namespace) -> bool:
    how = {name: getattr(options, name) for name in ("timeout", "retries", "parallel")}
    with client_of(options, options.model, **how) as client:
        sent = rows_to_send(options.data, lambda: client.describe()["fields"], **reading_of(options))
        answers: Answers = [None] * sent.length
        errors = dict(sent.errors)
        found: list[Any] = []
        try:
            found = list(client.predict(sent.rows, progress=options.progress)) if sent.rows else []
        except RequestRefused as refused:
            if "errors" not in refused.problem:
                raise
            found = refused.problem["predictions"]
            for one in refused.problem["errors"]:
                row = sent.kept[one["row"]]
                errors[row] = RowError(row, one["field"], one["detail"])
        for row, answer in zip(sent.kept, found, strict=True):
            answers[row] = answer
    return print_answers(options, answers, errors)


def ready(options: Namespace) -> bool:
    deadline = time.monotonic() + options.wait
    names = _names(options)
    while not names and options.url is None and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
        names = _names(options)
    names = names or options.models  # the client says what is wrong with them
    if not names:
        raise ServerUnavailable("no server runs here; start one with maas serve, or say NAME and --url")
    for name in names:
        with client_of(options, name) as client:
            client.wait_ready(max(0.0, deadline - time.monotonic()))
    if options.token_file is not None:
        _write_token(Path(options.token_file), names[0])
    tell(options, f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} ready")
    print_json(options, {"models": names, "ready": True})
    return False


def _names(options: Namespace) -> list[str]:
    """The models to ask; none where one of them is not served here yet."""
    if options.url is not None:
        return list(options.models)
    here = {name for server in running_servers() for name in server.models}
    wanted = options.models or sorted(here)
    return list(wanted) if here.issuperset(wanted) else []


def _write_token(file: Path, model: str) -> None:
    """Write the token of the server here that serves the model: whole or not at all, readable by this user alone."""
    servers = [server for server in running_servers() if model in server.models]
    if not servers:
        raise ServerUnavailable(f"--token-file wants a server here that serves {model}; there is none")
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
        opened.write(servers[-1].inference_token())
    fresh.replace(file)


def client_options(options: Namespace) -> dict[str, Any]:
    """What the options say of the server, as arguments of a client."""
    given = {"url": options.url, "token": options.token, "verify": options.verify}
    return {**given, "version": options.model_version}


def client_of(options: Namespace, model: str, **more: Any) -> Client:
    """The client of a model, by the options.

    Args:
        options: say where the server is.
        model: its name.
        more: further arguments of the client.
    """
    return Client(model, **client_options(options), **more)
