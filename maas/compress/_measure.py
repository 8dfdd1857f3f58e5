"""How large saved models are, how fast they answer and what memory they take, measured beside one another."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any

import numpy as np
import torch

from maas import artifact
from maas.errors import CompressionError

_PACKAGE = Path(__file__).parents[2]
_CALLS = {1: 60, 8: 30}  # by rows answered at once: at most so many a round
_SECONDS = 0.08


@dataclass(frozen=True)
class Measured:
    """What a saved model takes.

    Args:
        weights_bytes: of its file of weights.
        artifact_bytes: of all its files.
        memory_bytes: of a process that loaded it and answered, beyond one that imported torch and maas; None where the
            system does not say.
        p50_ms, p99_ms: of answering one row, raw row in, answer out.
        p50_ms_of_8, p99_ms_of_8: of answering eight at once.
        rounds_ms: the p50 of one row in each round.
    """

    weights_bytes: int
    artifact_bytes: int
    memory_bytes: int | None
    p50_ms: float
    p99_ms: float
    p50_ms_of_8: float
    p99_ms_of_8: float
    rounds_ms: tuple[float, ...]

    def is_faster_than(self, other: Measured) -> bool:
        """Whether it answers one row faster beyond noise: by 3 %, and in three of four rounds."""
        pairs = list(zip(self.rounds_ms, other.rounds_ms, strict=True))
        wins = sum(mine < theirs for mine, theirs in pairs)
        return self.p50_ms < 0.97 * other.p50_ms and wins >= 0.75 * len(pairs)


def measure(
    folders: Mapping[str, Path],
    rows: Sequence[Mapping[str, Any]],
    *,
    rounds: int,
    imports: Sequence[str] = (),
    precisions: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Measured]:
    """Measure saved models, each in a process of its own, in turns, so that a busy moment hits all alike.

    Args:
        folders: the artifacts by name.
        rows: to answer, as a client writes them in JSON.
        rounds: how often each has its turn. Many short ones: what else the machine does then hits all alike.
        imports: modules that register a user's own networks.
        precisions: to answer in, by name; "float32" where none is given.

    Raises:
        CompressionError: a process cannot load or run a model.
    """
    names = list(folders)
    times: dict[tuple[str, int], list[list[float]]] = {(name, size): [] for name in names for size in _CALLS}
    with _processes(folders, rows, imports, precisions) as ask:
        memory = {name: ask(name, {})["memory_bytes"] for name in names}
        for turn in range(rounds):
            first = turn % len(names)  # nobody always comes after the same one
            for name in names[first:] + names[:first]:
                for size, calls in _CALLS.items():
                    found = ask(name, {"size": size, "calls": calls, "seconds": _SECONDS})["seconds"]
                    times[name, size].append([1e3 * one for one in found])
    return {
        name: Measured(
            weights_bytes=weights_bytes(folder),
            artifact_bytes=sum(len(content) for content in artifact.read_files(folder).values()),
            memory_bytes=memory[name],
            p50_ms=_quantile(times[name, 1], 0.5),
            p99_ms=_quantile(times[name, 1], 0.99),
            p50_ms_of_8=_quantile(times[name, 8], 0.5),
            p99_ms_of_8=_quantile(times[name, 8], 0.99),
            rounds_ms=tuple(_quantile([one], 0.5) for one in times[name, 1]),
        )
        for name, folder in folders.items()
    }


def weights_bytes(folder: str | Path) -> int:
    """Bytes of an artifact's weights."""
    files = artifact.read_files(folder)
    return sum(len(files[name]) for name in json.loads(files["artifact.json"])["weights"])


def machine() -> str:
    """The processor by name, as far as the system tells, and how many threads of it torch uses."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return _with_threads(line.partition(":")[2].strip())
    return _with_threads(platform.processor() or platform.machine())


def _with_threads(processor: str) -> str:
    count = torch.get_num_threads()
    return f"{processor}, {count} thread{'s' * (count > 1)}"


def _quantile(rounds: Sequence[Sequence[float]], share: float) -> float:
    return round(float(np.quantile(np.concatenate([np.asarray(one) for one in rounds]), share)), 5)


@contextlib.contextmanager
def _processes(
    folders: Mapping[str, Path],
    rows: Sequence[Mapping[str, Any]],
    imports: Sequence[str],
    precisions: Mapping[str, str],
) -> Iterator[Callable[[str, Mapping[str, Any]], dict[str, Any]]]:
    """Processes that hold a model each; gives what asks one of them by name."""
    places = {name: place for place, name in enumerate(folders)}
    given = {
        "models": [(str(folder), precisions.get(name, "float32")) for name, folder in folders.items()],
        "rows": list(rows),
        "threads": torch.get_num_threads(),
        "imports": list(imports),
        "path": sys.path,
    }
    path = os.pathsep.join([str(_PACKAGE), *filter(None, [os.environ.get("PYTHONPATH")])])
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [sys.executable, "-P", str(Path(__file__).with_name("_answering.py"))],  # not all of this room's imports
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            env={**os.environ, "PYTHONPATH": path},
        )
        asks, answers = process.stdin, process.stdout
        assert asks is not None
        assert answers is not None

        def ask(name: str, what: Mapping[str, Any]) -> dict[str, Any]:
            with contextlib.suppress(BrokenPipeError):
                _write(asks, {"model": places[name], **what})
            found: dict[str, Any] = json.loads(answers.readline() or "{}")
            if not found or "error" in found:
                reason = found.get("error") or _last_line(said)
                raise CompressionError(
                    f"a process of its own cannot answer with the model {name!r}: {reason}; modules that register "
                    f"networks are named with imports="
                )
            return found

        try:
            with contextlib.suppress(BrokenPipeError):
                _write(asks, given)
            yield ask
        finally:
            with contextlib.suppress(BrokenPipeError):
                asks.close()
            process.kill()
            process.wait()
            answers.close()


def _write(pipe: IO[bytes], value: Any) -> None:
    pipe.write(json.dumps(value).encode() + b"\n")
    pipe.flush()


def _last_line(said: IO[bytes]) -> str:
    said.seek(0)
    lines = said.read().decode("utf8", "replace").strip().splitlines()
    return lines[-1] if lines else "it ended"
