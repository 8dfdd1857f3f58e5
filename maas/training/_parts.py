"""Which rows a network learns from, and which choose its epoch."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np

from maas.data import Rows, as_rows, duplicates
from maas.errors import DataError, RowError, show

NO_TARGET = "the rows have no target to learn; name it with maas.data.read_table(..., target=...)"
VALIDATION_SHARE = 0.1
_FEWEST_ROWS = 4
_PLACE = "\0place"  # no column of a user's


def carve(given: Rows, validation: Any, seed: int, task: str | None) -> tuple[Rows, Rows | None, np.ndarray[Any, Any]]:
    """The rows to learn from and those to choose the epoch by.

    Args:
        given: the training rows.
        validation: rows; or the share of `given` to carve out by the policy that split them off, 0 for none; or None
            for a tenth.
        seed: of the carving.
        task: as the user named it, for arrays.

    Returns:
        The two parts, and where the rows of the first stand among those given.

    Raises:
        DataError: the rows cannot be used so.
    """
    if isinstance(validation, bool):
        raise DataError(f"`validation` is rows, or a share of `train` from 0 to below 1, got {validation}")
    if is_share(validation):
        if not 0 <= validation < 1:
            raise DataError(f"`validation` is rows, or a share of `train` from 0 to below 1, got {validation}")
        if validation == 0:
            return given, None, np.arange(len(given))
    elif validation is not None:
        return given, _checked(given, as_rows(validation, task=task)), np.arange(len(given))
    if len(given) < _FEWEST_ROWS:
        raise DataError(
            f"{len(given)} rows are too few to carve a validation part out of; give at least {_FEWEST_ROWS}, or "
            f"`validation` rows"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # `split` has told of duplicates; copies in a validation part do no harm
        learning, held_out = split_as_before(_numbered(given), float(validation or VALIDATION_SHARE), seed)
    positions = learning.side.get(_PLACE, np.arange(len(learning)))
    return *_keep_classes(given, _plain(learning), _plain(held_out)), positions


def _numbered(given: Rows) -> Rows:
    """The rows with their places beside them; not those of a ranking, whose side holds an entry for each item."""
    if given.task == "ranking":
        return given
    return replace(given, side={**given.side, _PLACE: np.arange(len(given))})


def _plain(rows: Rows) -> Rows:
    return replace(rows, side={name: column for name, column in rows.side.items() if name != _PLACE})


def split_as_before(rows: Rows, share: float, seed: int) -> tuple[Rows, Rows]:
    """The rows without a share of them, and that share, by the policy that split these rows off others."""
    policy = rows.policy
    if policy is None:
        return rows.split(share, seed=seed)
    stratify = False if policy.stratify is False else None
    options: dict[str, Any] = {"group": policy.group, "time": policy.time, "within": policy.within}
    return rows.split(share, seed=seed, stratify=stratify, **options)


def is_share(validation: Any) -> bool:
    """Whether `validation` of `maas.fit` is a share of the training rows, not rows."""
    return isinstance(validation, (int, float, np.integer, np.floating))


def located(error: RowError, rows: Rows, given: Rows, positions: np.ndarray[Any, Any] | None = None) -> RowError:
    """The error of a row, at its position among the rows given and with the path of its file where that is known.

    Args:
        error: its position is among `rows`, which hold the very cells of `given`, or some of them.
        positions: of `rows` among those given, where they are known: numbers cannot be told from one another.
    """
    row = error.row if positions is None else int(positions[error.row])
    if error.field not in rows.columns or rows.columns[error.field].dtype != object:
        return error.at(row)
    cell, cells = rows.columns[error.field][error.row], given.columns[error.field]
    row = next((place for place, one in enumerate(cells) if one is cell), row)
    if "path" in rows.side:
        return RowError(row, error.field, f"{error.detail} ({rows.side['path'][error.row]})")
    return error.at(row)


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
