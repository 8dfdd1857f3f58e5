"""The processes in which saved models are measured: one each, forked from one that has imported torch and maas only.

So each begins alike and at once, and what it takes beyond that is the model's. `maas.compress._measure` runs this file.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import IO, Any

import torch

from maas.model import Model

SIZES = (1, 8)
_FEWEST_CALLS = 3


def main() -> None:
    """Fork a process for each folder, and hand on what is asked of them, a JSON line each way."""
    told = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # whatever else is printed is not part of the answers
    given = json.loads(sys.stdin.buffer.readline())
    sys.path[:] = given["path"]
    for module in given["imports"]:
        import_module(module)
    children: list[tuple[IO[bytes], IO[bytes]]] = []
    for folder, precision in given["models"]:
        children.append(_fork(Path(folder), precision, given, told, children))
    for line in sys.stdin.buffer:
        asks, answers = children[json.loads(line)["model"]]
        asks.write(line)
        told.write(answers.readline() or b'{"error": "the process ended"}\n')


def _fork(
    folder: Path,
    precision: str,
    given: dict[str, Any],
    told: IO[bytes],
    before: Sequence[tuple[IO[bytes], IO[bytes]]],
) -> tuple[IO[bytes], IO[bytes]]:
    """Start the process of a model; gives where to ask it, and where it answers. It ends when nobody can ask it."""
    (asked, asks), (answers, answered) = os.pipe(), os.pipe()
    if os.fork():
        os.close(asked)
        os.close(answered)
        return os.fdopen(asks, "wb", buffering=0), os.fdopen(answers, "rb")
    code = 1
    try:
        for ends in before:  # or this process would keep its neighbours' questions open
            for end in ends:
                end.close()
        for descriptor in (asks, answers, told.fileno(), sys.stdin.fileno()):
            os.close(descriptor)
        _serve(folder, precision, given, os.fdopen(asked, "rb"), os.fdopen(answered, "wb", buffering=0))
        code = 0
    finally:
        os._exit(code)


def _serve(folder: Path, precision: str, given: dict[str, Any], asked: IO[bytes], answered: IO[bytes]) -> None:
    """Load a model, answer some rows, and then measure what is asked for."""

    def tell(value: Any) -> None:
        answered.write(json.dumps(value).encode() + b"\n")

    torch.set_num_threads(given["threads"])
    memory = anonymous_bytes()
    try:
        model = Model.load(folder, precision=precision)
        for size in SIZES:
            _seconds(model, given["rows"], size, calls=_FEWEST_CALLS, seconds=0.0)
        taken = None if memory is None else (anonymous_bytes() or 0) - memory
        for line in asked:
            ask = json.loads(line)
            if "size" in ask:
                tell({"seconds": _seconds(model, given["rows"], ask["size"], ask["calls"], ask["seconds"])})
            else:
                tell({"memory_bytes": taken})
    except Exception as error:  # whatever it is, whoever asked is to know it
        tell({"error": f"{type(error).__name__}: {error}"})


def _seconds(model: Model, rows: Sequence[Any], size: int, calls: int, seconds: float) -> list[float]:
    """What answering so many rows took, each time others: so many calls, or fewer where they take too long."""
    found: list[float] = []
    started = time.perf_counter()
    while len(found) < calls and (len(found) < _FEWEST_CALLS or time.perf_counter() - started < seconds):
        first = len(found) * size
        chosen = [rows[(first + place) % len(rows)] for place in range(size)]
        begun = time.perf_counter()
        for _ in model.stream(model.prepare(chosen).batch):
            pass
        found.append(time.perf_counter() - begun)
    return found


def anonymous_bytes() -> int | None:
    """Memory of this process that stands in no file, so libraries are left out; None where the kernel does not say."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    found = [int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:")]
    return found[0] if found else None


if __name__ == "__main__":
    main()
