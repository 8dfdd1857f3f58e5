"""Which instance gets which share of the requests: files that Caddy reads, so that a change is no reload.

A reload of Caddy closes its idle connections, and a client that was just about to use one meets a reset. So the
configuration stands still. Its upstreams are slots: files that hold the address of an instance, read for each request.
An instance sits on a port that was set apart at the start, and its token is in a file of that name.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

COUNT = 20
"""Slots: a share is a multiple of 5 %."""


class Slots:
    """The slots and tokens of a front.

    Args:
        folder: of the front.
    """

    def __init__(self, folder: Path) -> None:
        self.files = [folder / "slots" / str(number) for number in range(COUNT)]
        self._tokens = folder / "tokens"

    def make(self) -> None:
        self.files[0].parent.mkdir()
        self._tokens.mkdir()

    def token_file(self, port: int) -> Path:
        return self._tokens / str(port)

    def put_token(self, port: int, token: str) -> None:
        """Let the instance on a port be asked with a token."""
        _write(self.token_file(port), token)

    def point(self, ports: Sequence[int]) -> None:
        """Let each slot lead to a port."""
        for file, port in zip(self.files, ports, strict=True):
            _write(file, f"127.0.0.1:{port}")


def spread(stable: Sequence[int], canaries: Mapping[int, int]) -> list[int]:
    """The port of each slot.

    Args:
        stable: ports of the instances that share what the canaries leave.
        canaries: for each port of another instance its share, in percent.
    """
    slots = [port for port, percent in canaries.items() for _ in range(percent * COUNT // 100)]
    return slots + [stable[place % len(stable)] for place in range(COUNT - len(slots))]


def _write(file: Path, text: str) -> None:
    """At once: a reader sees the old or the new."""
    fresh = file.with_suffix(".new")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as opened:
        opened.write(text)
    fresh.replace(file)
