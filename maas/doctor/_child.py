"""Python in a process of its own: what it does to itself, a crash too, is seen and not shared."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import maas
from maas.serving._imports import import_environment

_MOST_SAID = 1500
# -P: what lies in the current folder does not stand in torch's place. This very maas is run, wherever it was found.
_RUN = """
import runpy, sys
if sys.argv[1] not in sys.path:
    sys.path.insert(0, sys.argv[1])
runpy.run_module(sys.argv[2], run_name="__main__")
"""


@dataclass(frozen=True)
class Ended:
    """How a process ended.

    Args:
        answer: the JSON that it printed last; None where it died before.
        why: of its death, in words.
        said: the end of what it wrote to standard error.
    """

    answer: dict[str, Any] | None
    why: str
    said: str


def run_child(module: str, given: dict[str, Any], *, seconds: float, imports: Sequence[str] = ()) -> Ended:
    """Run a module of maas; it reads JSON from its standard input, and prints JSON in its last line.

    Args:
        module: such as "maas.doctor._probe".
        given: what it reads.
        seconds: after which it is killed.
        imports: a user's modules that it may import, from the current folder too.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", _RUN, str(Path(maas.__file__).resolve().parents[1]), module],
            input=json.dumps(given),
            capture_output=True,
            text=True,
            errors="replace",
            env={**os.environ, **import_environment(imports)},
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        said = late.stderr.decode(errors="replace") if isinstance(late.stderr, bytes) else late.stderr or ""
        return Ended(None, f"it was not done after {seconds:g} s", said[-_MOST_SAID:].strip())
    said = done.stderr[-_MOST_SAID:].strip()
    try:
        answer = json.loads(done.stdout.splitlines()[-1])
        return Ended(answer if isinstance(answer, dict) else None, "", said)
    except (ValueError, IndexError):
        return Ended(None, _why(done.returncode), said)


def _why(code: int) -> str:
    if code >= 0:
        return f"its process ended with exit code {code}"
    try:
        return f"its process was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"its process was ended by signal {-code}"
