"""A sample of the served rows, beside what the training rows looked like."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np

from maas.errors import FormatError
from maas.metrics import Drift
from maas.model import Model
from maas.schema import Columns, Schema

_log = logging.getLogger("maas.serving")

FEWEST_ROWS = 500  # ten bins without any drift then have an index of about 9 / 500
WINDOW_SECONDS = 600.0
_MOST_ROWS = 2048
_MOST_VALUES = 50_000  # both at a time: a millisecond or two


class ServedDrift:
    """How far the rows of the last minutes are from the training rows.

    Between two calls of `count`, by another thread, it keeps the first 2,048 rows that it is given, and fewer of wide
    rows.

    Args:
        schema: the model's fields.
        reference: the card's distribution.

    Raises:
        FormatError: the reference cannot be used.
    """

    def __init__(self, schema: Schema, reference: Mapping[str, Any]) -> None:
        self._drift = Drift(schema, reference)
        self._names = [name for name in schema.names if name in reference]
        self._most = min(_MOST_ROWS, _MOST_VALUES // max(1, len(self._names)))
        self._room = self._most
        self._waiting: deque[Columns] = deque()
        self._begun: float | None = None

    def add(self, columns: Columns, rows: np.ndarray[Any, Any]) -> None:
        """Keep rows to be counted: this is on the hot path.

        Args:
            columns: as `Model.prepare` gives them.
            rows: positions of those that were answered.
        """
        if self._room > 0 and self._names:
            whole = len(rows) == len(columns[self._names[0]]) <= self._room
            rows = rows[: self._room]
            self._room -= len(rows)
            self._waiting.append({name: columns[name] if whole else columns[name][rows] for name in self._names})

    def count(self, now: float) -> None:
        """Count the rows that were kept.

        Args:
            now: seconds, of a clock that never goes back.
        """
        if self._begun is not None and now - self._begun > WINDOW_SECONDS and self._drift.num_rows >= FEWEST_ROWS:
            self._drift.reset()
            self._begun = None
        parts = [self._waiting.popleft() for _ in range(len(self._waiting))]
        self._room = self._most
        if parts:
            self._begun = now if self._begun is None else self._begun
            self._drift.add({name: np.concatenate([part[name] for part in parts]) for name in self._names})

    def told(self) -> tuple[int, dict[str, float], dict[str, float]] | None:
        """Rows counted, stability and share of unknown categories by field; None while the rows are too few."""
        if self._drift.num_rows < FEWEST_ROWS:
            return None
        return self._drift.num_rows, self._drift.stability(), self._drift.unknown()


def drift_of(model: Model) -> ServedDrift | None:
    """Where the model's card says what its training rows looked like; a model is served whatever its card says."""
    reference = (model.card.get("data") or {}).get("distribution")
    if not reference:
        return None
    try:
        return ServedDrift(model.schema, reference)
    except (FormatError, AttributeError) as error:
        _log.warning("no drift is counted: %s", error)
        return None
