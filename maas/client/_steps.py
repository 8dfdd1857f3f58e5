"""What the core asks of the shell that does the input and output, and what it is told.

The core is made of generators. Each yields a step and is sent what came of it, so that one core serves a client that
blocks and one that awaits, and neither writes the rules a second time.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

Result = TypeVar("Result")


@dataclass(frozen=True)
class Send:
    """Send a request, and give it at most so many seconds: a `Reply` or a `Failure` comes of it.

    Args:
        gap: where the answer is a stream that is left open: seconds to wait for each event after the first.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    content: bytes | None
    seconds: float
    gap: float | None = None


@dataclass(frozen=True)
class Pause:
    """Wait."""

    seconds: float


@dataclass(frozen=True)
class AskToken:
    """Ask the caller's function for a token: a str comes of it."""


@dataclass(frozen=True)
class Reply:
    """A whole answer, or the beginning of a stream.

    Args:
        headers: names in lower case.
        events: of a stream that is open: its events, the first of which has come, from an iterator that closes it.
    """

    status: int
    phrase: str
    headers: Mapping[str, str]
    body: bytes
    events: Any = None


@dataclass(frozen=True)
class Failure:
    """No whole answer came.

    Args:
        detail: what happened.
        again: whether another try may do better: after a reset, not after a time-out.
    """

    detail: str
    again: bool


Steps = Generator[Send | Pause | AskToken, Any, Result]
