"""Thresholds of probabilities: what a user may say of them, and which rows choose a baseline's."""

from __future__ import annotations

from typing import Any

import numpy as np

from maas.errors import DataError, show
from maas.metrics import CRITERIA

_Array = np.ndarray[Any, Any]
_EVERY = 5


def threshold_of(wish: Any) -> tuple[float, str | None]:
    """The threshold, and what it is to be chosen by (None: it stands), out of a number or the name of a criterion.

    Raises:
        DataError: it is neither.
    """
    if isinstance(wish, str):
        check_threshold(0.5, wish)
        return 0.5, wish
    check_threshold(wish, None)
    return float(wish), None


def check_threshold(threshold: Any, chosen_by: Any) -> None:
    """Raise DataError for a threshold that is no probability, or a criterion that there is not."""
    known = chosen_by is None or (isinstance(chosen_by, str) and chosen_by in CRITERIA)
    number = isinstance(threshold, (int, float)) and not isinstance(threshold, bool) and 0 <= threshold <= 1
    if not known or not number:
        got = show(threshold if known else chosen_by)
        raise DataError(f"`threshold` must be a number from 0 to 1 or one of {', '.join(CRITERIA)}, got {got}")


def alternate(kinds: _Array) -> tuple[_Array, _Array]:
    """Rows to teach a baseline by and, every fifth row of each kind, those to choose its threshold by: their places."""
    order = np.argsort(kinds, kind="stable")
    hidden = np.zeros(len(kinds), bool)
    hidden[order[_EVERY - 1 :: _EVERY]] = True
    return np.flatnonzero(~hidden), np.flatnonzero(hidden)
