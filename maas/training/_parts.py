"""Which rows a network learns from, and which choose its epoch."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from maas.data import Rows, as_rows, duplicates
from maas.errors import DataError, show

VALIDATION_SHARE = 0.1
_FEWEST_ROWS = 4


def carve(given: Rows, validation: Any, seed: int, task: str | None) -> tuple[Rows, Rows | None]:
    """The rows to learn from and those to choose the epoch by.

    Args:
        given: the training rows.
        validation: rows; or the share of `given` to carve out by the policy that split them off, 0 for none; or None
            for a tenth.
        seed: of the carving.
        task: as the user named it, for arrays.

    Raises:
        DataError: the rows cannot be used so.
    """
    if isinstance(validation, bool):
        raise DataError(f"`validation` is rows, or a share of `train` from 0 to below 1, got {validation}")
    if isinstance(validation, (int, float, np.integer, np.floating)):
        if not 0 <= validation < 1:
            raise DataError(f"`validation` is rows, or a share of `train` from 0 to below 1, got {validation}")
        if validation == 0:
            return given, None
    elif validation is not None:
        return given, _checked(given, as_rows(validation, task=task))
    if len(given) < _FEWEST_ROWS:
        raise DataError(
            f"{len(given)} rows are too few to carve a validation part out of; give at least {_FEWEST_ROWS}, or "
            f"`validation` rows"
        )
    policy = given.policy
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # `split` has told of duplicates; copies in a validation part do no harm
        learning, held_out = given.split(
            float(validation or VALIDATION_SHARE),
            seed=seed,
            group=policy.group if policy else None,
            time=policy.time if policy else None,
            within=policy.within if policy else None,
            stratify=False if policy and policy.stratify is False else None,
        )
    return _keep_classes(given, learning, held_out)


def teaching(rows: Rows, mask: np.ndarray[Any, Any] | None) -> Rows:
    """The rows that the task says the network learns from.

    Raises:
        DataError: none is left.
    """
    if mask is None or mask.all():
        return rows
    if not mask.any():
        raise DataError(f"the target {show(rows.target_name)} leaves no row to learn from")
    return rows.take(np.flatnonzero(mask))


def _checked(given: Rows, held_out: Rows) -> Rows:
    if held_out.schema.names != given.schema.names:
        raise DataError(
            f"`validation` must have the fields of `train`: got {', '.join(held_out.schema.names)}, "
            f"want {', '.join(given.schema.names)}"
        )
    if same := duplicates(given, held_out)[0]:
        warnings.warn(f"{same} validation rows stand in the training rows too", stacklevel=4)
    return held_out


def _keep_classes(given: Rows, learning: Rows, held_out: Rows) -> tuple[Rows, Rows]:
    """Without validation rows of a class that the other part lacks: a class is learned before it is asked for."""
    if given.target is None or learning.target is None or held_out.target is None:
        return learning, held_out
    if given.task == "multilabel":
        labels = {label for row in learning.target for label in row}
        common = [row for row, asked in enumerate(held_out.target) if labels.issuperset(asked)]
    elif given.task == "classification":
        known = set(learning.target.tolist())
        common = [row for row, label in enumerate(held_out.target.tolist()) if label in known]
    else:
        return learning, held_out
    if len(common) == len(held_out):
        return learning, held_out
    if not common:
        raise DataError("no validation row is of a class that the other rows have; give `validation` rows")
    return learning, held_out.take(common)
