"""What a request for generated text asks for, and what tells its client the answer as it grows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from maas.serving.protocols._accept import JSON
from maas.serving.protocols._outcome import Given, Identity, Outcome
from maas.serving.protocols._problems import Problem
from maas.serving.protocols._rows import MANY, ONE
from maas.task import Part, answers_of

EVENTS = "text/event-stream"


class Teller(Protocol):
    """Writes what the client of one request receives, in its protocol."""

    media: str
    streams: bool
    """Whether the client takes the answer piece by piece; else it is given at the end."""

    def tell(self, row: int, part: Part) -> bytes:
        """What a part of a row's answer adds to the body; nothing where all is told at the end."""
        ...

    def end(self) -> bytes:
        """The rest of the body, once each row has its last part. Raises Problem where the answer cannot be given."""
        ...

    def refuse(self, problem: Problem) -> Problem:
        """A problem as the protocol draws it, in place of an answer."""
        ...

    def fail(self, problem: Problem) -> bytes:
        """A problem as the end of a body that has begun."""
        ...


@dataclass(slots=True)
class Wanted:
    """Rows to generate from.

    Args:
        rows: as the client wrote them; not yet checked.
        single: one row was sent bare.
        teller: of the answer.
    """

    rows: list[Any]
    single: bool
    teller: Teller


class RowTeller:
    """Answers rows as those of any other task are answered: all at once.

    Args:
        rows: how many.
        single: one row was sent bare.
        identity: the model.
    """

    media = JSON
    streams = False

    def __init__(self, rows: int, single: bool, identity: Identity) -> None:
        self._parts: list[list[Part]] = [[] for _ in range(rows)]
        self._single, self._identity = single, identity

    def tell(self, row: int, part: Part) -> bytes:
        self._parts[row].append(part)
        return b""

    def end(self) -> bytes:
        outcome = Outcome(Given(answers_of(self._parts)), range(len(self._parts)), {})
        return (ONE if self._single else MANY).write(outcome, self._identity).body

    def refuse(self, problem: Problem) -> Problem:
        return problem

    def fail(self, problem: Problem) -> bytes:
        return problem.body()


class EventTeller:
    """Answers one row as server-sent events: each has the `text` that is new, the last one what the answer has besides.

    Args:
        identity: the model.
    """

    media = EVENTS
    streams = True

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self._parts: list[Part] = []
        self._logprobs: list[dict[str, Any]] = []

    def tell(self, row: int, part: Part) -> bytes:
        self._parts.append(part)
        self._logprobs += part.logprobs or ()
        if not part.text and part.finish_reason is None:
            return b""
        told: dict[str, Any] = {"text": part.text, "finish_reason": part.finish_reason}
        if self._logprobs:
            told["logprobs"], self._logprobs = self._logprobs, []
        if part.finish_reason is not None:
            whole = answers_of([self._parts])[0]
            told |= {name: value for name, value in whole.items() if name not in ("text", "finish_reason", "logprobs")}
            told["model"] = self._identity.to_json()
        return event(told)

    def end(self) -> bytes:
        return b""

    def refuse(self, problem: Problem) -> Problem:
        return problem

    def fail(self, problem: Problem) -> bytes:
        return b"event: error\ndata: " + problem.body() + b"\n\n"


def event(data: Any) -> bytes:
    """A server-sent event. Source: WHATWG HTML, 9.2; JSON on one line needs no more."""
    return b"data: " + orjson.dumps(data) + b"\n\n"


def is_odd(part: Part) -> bool:
    """Whether the network gave no finite number for a row."""
    scores: Sequence[float | None] = (part.logprob, part.prompt_logprob)
    return part.finish_reason == "error" or not all(one is None or math.isfinite(one) for one in scores)
