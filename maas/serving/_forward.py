"""From requests that were read to answers: together where they can be, and each on its own where one fails."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from time import perf_counter
from typing import Any

from maas.data import Rows
from maas.model import Model
from maas.schema import Columns
from maas.serving._drift import ServedDrift
from maas.serving._explain import explain
from maas.serving._refusal import refusal
from maas.serving.protocols import Asked, Explained, Given, Outcome, Problem, Refusal
from maas.task import Answers

_log = logging.getLogger("maas.serving")


class Forward:
    """Answers the rows of a batch of requests by the `prepare` and `stream` that `Model.predict` calls.

    Args:
        model: the model.
        drift: is shown the rows that were answered.

    Attributes:
        num_rows: of the last batch.
        prepare_seconds: that went into checking and preprocessing them.
    """

    def __init__(self, model: Model, drift: ServedDrift | None = None) -> None:
        self._model = model
        self._drift = drift
        self.num_rows = 0
        self.prepare_seconds = 0.0
        self._rows_at_once = model.rows_at_once

    def __call__(self, asked: Sequence[Asked | Explained | object]) -> list[Outcome | Problem | list[Any] | None]:
        """The outcome of each request; explanations for what is `Explained`, None for what is neither.

        Rows that came as lists run together; columns, of which a request may bring thousands, run by themselves.
        """
        self.num_rows, self.prepare_seconds = 0, 0.0
        listed = [row for one in asked if isinstance(one, Asked) and type(one.rows) is list for row in one.rows]
        together = self._run(listed, len(listed)) if listed else None
        outcomes: list[Outcome | Problem | list[Any] | None] = []
        start = 0
        for one in asked:
            if not isinstance(one, Asked):
                outcomes.append(explain(self._model, one.asked) if isinstance(one, Explained) else None)
            elif type(one.rows) is list:
                assert together is not None
                outcomes.append(_part(together, start, one.length))
                start += one.length
            else:
                outcomes.append(self._run(one.rows, one.length))
        return outcomes

    def _run(self, rows: Any, length: int) -> Outcome:
        """What becomes of rows, whose number is at least 1."""
        self.num_rows += length
        parts: list[Answers] = []
        good: list[int] = []
        refused: dict[int, Refusal] = {}
        for start in range(0, length, self._rows_at_once):
            stop = min(start + self._rows_at_once, length)
            self._attempt(rows, start, stop, parts, good, refused)
        answers = self._model.task.join(parts) if parts else None
        if len(good) == length:
            return Outcome(Given(answers), range(length), refused)
        places = [-1] * length
        for place, row in enumerate(good):
            places[row] = place
        return Outcome(Given(answers), places, refused)

    def _attempt(
        self, rows: Any, start: int, stop: int, parts: list[Answers], good: list[int], refused: dict[int, Refusal]
    ) -> None:
        """Answer some of the rows. Where that throws they are halved until only the culprit fails."""
        failure: Refusal | None = None
        try:
            begun = perf_counter()
            prepared = self._model.prepare(self._slice(rows, start, stop))
            self.prepare_seconds += perf_counter() - begun
            answers = self._model.task.join(self._model.stream(prepared.batch)) if len(prepared.kept) else None
        except Exception as error:
            failure = refusal(error)
            if stop - start == 1 and failure.kind not in [one.kind for one in refused.values()]:
                _log.exception("a row could not be answered")  # once a batch: a broken network fails on every row
        if failure is not None:  # outside of `except`, which keeps the tensors of the failed pass alive
            if stop - start == 1:
                refused[start] = failure
                return
            middle = (start + stop) // 2
            self._attempt(rows, start, middle, parts, good, refused)
            self._attempt(rows, middle, stop, parts, good, refused)
            return
        for row, problem in prepared.errors.items():
            refused[start + row] = Refusal("bad-row", problem.field, problem.detail)
        if answers is None:
            return
        kept = prepared.kept
        fine = answers.finite()
        if not fine.all():
            for place, problem in answers.not_finite().items():
                refused[start + int(kept[place])] = Refusal("bad-row", None, problem.detail)
            kept, answers = kept[fine], answers.take(fine)
        good += (kept + start).tolist()
        parts.append(answers)
        if self._drift is not None:
            self._drift.add(prepared.columns, kept)

    def _slice(self, rows: Any, start: int, stop: int) -> Any:
        if type(rows) is list:
            return rows[start:stop]
        part: Columns = {name: column[start:stop] for name, column in rows.items()}
        return Rows(self._model.schema, part)


def _part(together: Outcome, start: int, length: int) -> Outcome:
    """The outcome of one request among those that ran together."""
    places = together.places[start : start + length]
    if not together.refused:
        return Outcome(together.given, places, {})
    refused = {row: together.refused[start + row] for row, place in enumerate(places) if place < 0}
    return Outcome(together.given, places, refused)
