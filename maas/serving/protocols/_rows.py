"""Rows as JSON objects: one bare, or many as `{"instances": [...]}`; and their answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from maas.errors import show
from maas.schema import Schema
from maas.serving.protocols._accept import JSON
from maas.serving.protocols._limits import MOST_ROWS
from maas.serving.protocols._outcome import Asked, Identity, Outcome, Writer, Written
from maas.serving.protocols._problems import Problem

_WANTED = 'the body must be a row as a JSON object, or {"instances": [rows]}'


@dataclass(frozen=True)
class RowWriter:
    """One answer bare, or `{"predictions": [...]}`, with the model that gave it."""

    single: bool
    least_row_bytes = 12

    def write(self, outcome: Outcome, identity: Identity) -> Written:
        if self.single:
            body = orjson.dumps(outcome.given.dicts[outcome.places[0]])[:-1] + identity.tail
        else:
            body = b'{"predictions":' + orjson.dumps(outcome.dicts()) + identity.tail
        return Written(body, JSON)

    def refuse(self, problem: Problem) -> Problem:
        return problem


ONE, MANY = RowWriter(single=True), RowWriter(single=False)


def holds_instances(value: Any, schema: Schema) -> bool:
    """Whether a JSON document is a list of rows, and no row of a schema that has a field of that name."""
    if type(value) is not dict or len(value) != 1 or "instances" not in value:
        return False
    given = value["instances"]
    return "instances" not in schema.names or (type(given) is list and bool(given) and type(given[0]) is dict)


def check_instances(rows: Any) -> None:
    """Refuse what is no list of rows, or too long a one, before a closer look at it."""
    if type(rows) is not list or not rows:
        raise Problem("no-rows", f"`instances` must be a list of at least one row, got {show(rows)}")
    check_count(len(rows))


def check_count(rows: int) -> None:
    if rows > MOST_ROWS:
        raise Problem("too-many-rows", f"a request may have {MOST_ROWS} rows, got {rows}; send fewer rows")


def read_rows(value: Any, schema: Schema, npy: Writer | None) -> Asked:
    """A parsed document as rows.

    Args:
        value: of JSON.
        schema: the fields of a row.
        npy: what writes the answer where the client wants an array.
    """
    if holds_instances(value, schema):
        rows = value["instances"]
        return Asked(rows, len(rows), npy or MANY)
    if type(value) is dict:
        return Asked([value], 1, npy or ONE, single=True)
    raise Problem("not-a-row", f"{_WANTED}, got {show(value)}")


def empty() -> Problem:
    return Problem("empty", _WANTED)
