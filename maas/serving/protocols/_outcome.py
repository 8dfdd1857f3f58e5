"""What a request asks for, what the model gave, and what writes it down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import orjson

from maas.schema import Columns
from maas.serving.protocols._problems import KINDS, Problem
from maas.task import Answers


@dataclass(frozen=True)
class Identity:
    """Which model answers: every answer says so."""

    name: str
    version: str
    digest: str

    def to_json(self) -> dict[str, str]:
        """The identity as JSON."""
        return {"name": self.name, "version": self.version, "digest": self.digest}

    @cached_property
    def tail(self) -> bytes:
        """The end of a JSON object whose last member is the model: written once, not once a request."""
        return b',"model":' + orjson.dumps(self.to_json()) + b"}"


class Refusal(NamedTuple):
    """Why a row has no answer.

    Args:
        kind: as in `Problem`.
        field: at fault, where it is one.
        detail: what was found and what is wanted.
    """

    kind: str
    field: str | None
    detail: str


class Given:
    """Answers to rows that ran together, of one request or of many."""

    def __init__(self, answers: Answers | None) -> None:
        self.answers = answers

    @cached_property
    def dicts(self) -> list[dict[str, Any]]:
        """The same, a dict a row, made once for all requests of a batch."""
        return [] if self.answers is None else self.answers.to_dicts()


@dataclass(slots=True)
class Outcome:
    """What became of one request.

    Args:
        given: answers, among others its own.
        places: for each of its rows the place of the answer in `given`, -1 where the row is refused.
        refused: why, by row of the request.
    """

    given: Given
    places: Sequence[int]
    refused: Mapping[int, Refusal]

    def dicts(self) -> list[Any]:
        """The answers of this request, None for refused rows."""
        dicts, places = self.given.dicts, self.places
        if isinstance(places, range):
            return dicts[places.start : places.stop]
        return [dicts[place] if place >= 0 else None for place in places]

    def answers(self) -> Answers:
        """The answers of this request as columns; it has one for each row."""
        given = self.given.answers
        assert given is not None
        if isinstance(self.places, range):
            whole = len(self.places) == len(given)
            return given if whole else given[self.places.start : self.places.stop]
        return given.take(list(self.places))

    def problem(self, *, single: bool) -> Problem:
        """The refusal of a request that has a refused row: the gravest, the first of these; other rows' answers too."""
        row, first = min(self.refused.items(), key=lambda item: (-KINDS[item[1].kind][0], item[0]))
        if single:
            return Problem(first.kind, first.detail, field=first.field, row=row)
        detail = first.detail
        if len(self.refused) > 1:
            detail = f"{len(self.refused)} of {len(self.places)} rows cannot be answered; row {row}: {detail}"
        errors = [
            {"row": row, "field": refusal.field, "detail": refusal.detail}
            for row, refusal in sorted(self.refused.items())
        ]
        more = {"errors": errors, "predictions": self.dicts()}
        return Problem(first.kind, detail, field=first.field, row=row, more=more)


class Written(NamedTuple):
    """An answer ready to send."""

    body: bytes
    media: str
    headers: Mapping[str, str] = {}


class Writer(Protocol):
    """Writes the answers to one request in the form that its client takes."""

    least_row_bytes: int
    """What the answer to a row takes at the very least: a request of too many rows is refused before it runs."""

    def write(self, outcome: Outcome, identity: Identity) -> Written:
        """All rows of the request are answered. Raises Problem where this form cannot hold the answers."""
        ...

    def refuse(self, problem: Problem) -> Problem:
        """A problem with the members that the protocol wants."""
        ...


@dataclass(slots=True)
class Asked:
    """What a request asks for.

    Args:
        rows: as a list of what the client wrote for each, or as named columns as they came; not yet checked.
        length: how many.
        writer: of the answer.
        single: one row was sent bare.
    """

    rows: list[Any] | Columns
    length: int
    writer: Writer
    single: bool = False


@dataclass(slots=True)
class Explained:
    """Rows whose answers are to be explained.

    Args:
        asked: the rows.
    """

    asked: Asked


@dataclass(slots=True)
class About:
    """A question about the model itself.

    Args:
        media: DESCRIPTION, IDENTITY or V2_METADATA.
    """

    media: str
