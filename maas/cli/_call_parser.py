"""The options of the commands that ask a server: call, chat, bench-generate, ready."""

from __future__ import annotations

import argparse

from maas.cli._options import add_command, add_json, add_reading, counts


def add_call(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    call = add_command(
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
    add_reading(call)


def add_chat(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    chat = add_command(
        commands,
        "chat",
        "talk with a served model that generates text; each line is a question, the answer comes as it is made",
        "examples:\n  maas chat poet\n  maas chat poet --system 'Answer in one sentence.' --temperature 0.7\n"
        "  echo 'What is rain?' | maas chat poet --url https://host --verify ca.pem --token ...\n\n"
        "Ctrl-C stops an answer, /reset begins anew, Ctrl-D ends. Without a chat template lines are prompts",
    )
    chat.add_argument("model", metavar="NAME", help="the model's name")
    _server(chat)
    chat.add_argument("--system", metavar="TEXT", help="what the model is told first")
    chat.add_argument("--max-tokens", type=int, metavar="N", help="most tokens of an answer (default: the model's)")
    chat.add_argument(
        "--temperature", type=float, metavar="X", help="0 takes the likeliest token (default: the model's)"
    )
    chat.add_argument("--top-p", type=float, metavar="P", help="draw from the likeliest tokens that make up P")
    chat.add_argument("--seed", type=int, metavar="N", help="draw alike every time")
    chat.add_argument(
        "--timeout",
        type=float,
        default=60.0,
        metavar="S",
        help="seconds to wait for the first part, and then each next",
    )


def add_bench_generate(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    bench = add_command(
        commands,
        "bench-generate",
        "measure how fast a served model generates text: open streams, and count what comes",
        "examples:\n  maas bench-generate poet\n"
        "  maas bench-generate poet --clients 1,4,8,16 --prompt-tokens 512 --max-tokens 128 --seconds 30 --json\n\n"
        "it ends with 1 where a request failed",
    )
    bench.add_argument("model", metavar="NAME", help="the model's name")
    _server(bench)
    bench.add_argument(
        "--clients", type=counts, default=[1, 4, 8], metavar="N,N", help="that stream at once (default: 1,4,8)"
    )
    bench.add_argument(
        "--prompt-tokens", type=int, default=32, metavar="N", help="of a prompt, about (default: %(default)s)"
    )
    bench.add_argument("--max-tokens", type=int, default=64, metavar="N", help="of an answer (default: %(default)s)")
    bench.add_argument("--seconds", type=float, default=10.0, metavar="S", help="of a load (default: %(default)g)")
    add_json(bench)


def add_ready(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    ready = add_command(
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
    add_json(ready)


def _server(command: argparse.ArgumentParser) -> None:
    command.add_argument("--url", help="of the server or a front (default: a server that `maas serve` runs here)")
    command.add_argument("--token", help="inference token (default: the local server's)")
    command.add_argument("--verify", metavar="FILE", help="certificates to trust for an https url (PEM)")
    command.add_argument("--model-version", metavar="V", help="of the model (default: the server's default version)")
