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
    if chosen_by is not None and (not isinstance(chosen_by, str) or chosen_by not in CRITERIA):
        raise DataError(
            f"`threshold` must be a number from 0 to 1 or one of {', '.join(CRITERIA)}, got {show(chosen_by)}"
        )
    if isinstance(threshold, bool) or not isinstance(threshold, (int, float)) or not 0 <= threshold <= 1:
        raise DataError(
            f"`threshold` must be a number from 0 to 1 or one of {', '.join(CRITERIA)}, got {show(threshold)}"
        )


def alternate(kinds: _Array) -> tuple[_Array, _Array]:
    """Rows to teach a baseline by and, every fifth row of each kind, those to choose its threshold by: their places."""
    order = np.argsort(kinds, kind="stable")
    hidden = np.zeros(len(kinds), bool)
    hidden[order[_EVERY - 1 :: _EVERY]] = True
    return np.flatnonzero(~hidden), np.flatnonzero(hidden)
