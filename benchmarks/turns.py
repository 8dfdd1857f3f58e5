"""Processes that work by turns: what a machine does to all for minutes is the same for each of them.

One that only waits takes no time of the processor.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

ASKS = "turn\n"


class Turn:
    """What a process that works by turns calls before each piece of its work.

    Args:
        given: whether somebody gives turns; otherwise nobody waits.

    Attributes:
        waited: seconds, in all.
    """

    def __init__(self, *, given: bool) -> None:
        self.given, self.waited = given, 0.0

    def __call__(self) -> None:
        """Wait for the next turn.

        Raises:
            SystemExit: who gave turns is gone.
        """
        if not self.given:
            return
        began = time.perf_counter()
        os.write(1, ASKS.encode())  # whatever sys.stdout is at the moment
        if not sys.stdin.readline():
            sys.exit("nobody gives turns any more")
        self.waited += time.perf_counter() - began


class Player:
    """A process that asks for turns, started by itself; it ends with the block.

    Args:
        command: of the process, whose standard input and output are for turns and for what it prints at its end.
    """

    def __init__(self, command: Sequence[str | Path], environment: Mapping[str, str]) -> None:
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115, as __exit__ closes it
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True, env=environment
        )
        self.printed: list[str] = []

    def waits(self) -> bool:
        """Let it work until it asks for its next turn (True) or ends (False)."""
        assert self._process.stdout
        for line in self._process.stdout:
            if line == ASKS:
                return True
            self.printed.append(line)
        self._process.wait()
        return False

    def take_turn(self) -> bool:
        """Give it the turn that it asked for; whether it then asks for another."""
        assert self._process.stdin
        with contextlib.suppress(BrokenPipeError):  # it was killed
            self._process.stdin.write("\n")
            self._process.stdin.flush()
        return self.waits()

    @property
    def errors(self) -> str:
        """What it had to say on standard error; "" where it ended well."""
        self._errors.seek(0)
        return (self._errors.read().strip() or "without a word") if self._process.returncode else ""

    def __enter__(self) -> Player:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.kill()
        self._process.communicate()
        self._errors.close()
