"""Requests to /explanations/NAME: what each field of a row adds to its answer."""

from __future__ import annotations

import logging
import math
from typing import Any

import orjson

from maas.data import Rows
from maas.errors import DataError, RowError
from maas.model import Model
from maas.serving._refusal import refusal
from maas.serving.protocols import (
    MOST_RESPONSE_BYTES,
    Asked,
    Given,
    Identity,
    Outcome,
    Problem,
    Refusal,
    Written,
)

_log = logging.getLogger("maas.serving")


def explain(model: Model, asked: Asked) -> list[dict[str, Any]] | Problem:
    """`Model.explain` of the rows of one request. It never raises, for the requests beside it are answered."""
    rows = asked.rows if isinstance(asked.rows, list) else Rows(model.schema, asked.rows)
    try:
        if errors := model.prepare(rows).errors:
            return _refused(asked, {row: Refusal("bad-row", one.field, one.detail) for row, one in errors.items()})
        found: list[dict[str, Any]] = model.explain(rows)
    except RowError as error:
        return _refused(asked, {error.row: Refusal("bad-row", error.field, error.detail)})
    except DataError as error:  # the rows are fine: it is the model that cannot be explained
        return Problem("not-explainable", str(error))
    except Exception as error:
        _log.exception("rows could not be explained")
        told = refusal(error)
        return Problem(told.kind, told.detail)
    wrong = [row for row, one in enumerate(found) if not math.isfinite(one["gap"] + one["output"])]
    if wrong:  # the gap holds the sum of all that the fields add
        detail = "the network gives no finite explanation of this row"
        return _refused(asked, {row: Refusal("bad-row", None, detail) for row in wrong})
    return found


def write_explanations(asked: Asked, outcome: Any, identity: Identity) -> Written | Problem:
    """The answer to a request: of a bare row its explanation, of rows `{"explanations": [...]}`; always JSON."""
    if not isinstance(outcome, list):
        problem = outcome if isinstance(outcome, Problem) else Problem("internal", "the rows could not be explained")
        return asked.writer.refuse(problem)
    found = outcome[0] if asked.single else {"explanations": outcome}
    body = orjson.dumps({**found, "model": identity.to_json()})
    if len(body) > MOST_RESPONSE_BYTES:
        return asked.writer.refuse(Problem("answer-too-large", "the answer would be too large; send fewer rows"))
    return Written(body, "application/json")


def _refused(asked: Asked, refused: dict[int, Refusal]) -> Problem:
    return Outcome(Given(None), [-1] * asked.length, refused).problem(single=asked.single)
