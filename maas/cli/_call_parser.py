"""The options of `maas call` and `maas ready`."""

from __future__ import annotations

import argparse

from maas.cli._parser import _command, _json, _reading


def add_call(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    call = _command(
        commands,
        "call",
        "send rows to a served model, one JSON line for each answer",
        "examples:\n  maas call wine new.csv\n  echo '{\"alcohol\": 13.2, ...}' | maas call wine -\n"
        "  maas call digits photo.png other.png\n"
        "  maas call wine new.csv --url https://host --verify ca.pem --token ...",
    )
    call.add_argument("model", metavar="NAME", help="the model's name")
    call.add_argument(
        "data",
        nargs="+",
        metavar="DATA",
        help="a .csv, .tsv, .parquet, .json or .jsonl file; - reads JSON or JSON lines; or files that are a row each, "
        "of a model with one field of bytes or text: images, sounds, texts (.txt)",
    )
    _server(call)
    call.add_argument("--timeout", type=float, default=60.0, metavar="S", help="seconds a request may take in all")
    call.add_argument(
        "--retries", type=int, default=5, metavar="N", help="further tries where safe (default: %(default)s)"
    )
    call.add_argument(
        "--parallel", type=int, default=4, metavar="N", help="requests under way at once (default: %(default)s)"
    )
    call.add_argument("--progress", action="store_true", help="show a bar on standard error")
    _reading(call)


def add_ready(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    ready = _command(
        commands,
        "ready",
        "tell by the exit code whether served models answer: for probes and scripts",
        "examples:\n  maas ready wine                (exit code 0: it answers, 4: it does not)\n"
        "  maas ready --wait 60           (as soon as all models do that are served here)",
    )
    ready.add_argument("models", nargs="*", metavar="NAME", help="models (default: all that `maas serve` serves here)")
    _server(ready)
    ready.add_argument("--wait", type=float, default=0.0, metavar="S", help="seconds to ask again (default: ask once)")
    ready.add_argument(
        "--token-file", metavar="FILE", help="write the local server's inference token there, for a front beside it"
    )
    _json(ready)


def _server(command: argparse.ArgumentParser) -> None:
    command.add_argument("--url", help="of the server or a front (default: a server that `maas serve` runs here)")
    command.add_argument("--token", help="inference token (default: the local server's)")
    command.add_argument("--verify", metavar="FILE", help="certificates to trust for an https url (PEM)")
    command.add_argument("--model-version", metavar="V", help="of the model (default: the server's default version)")
