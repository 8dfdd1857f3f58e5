"""Columns of a data frame or a Parquet file whose cells are lists or arrays: one sequence a row."""

from __future__ import annotations

from typing import Any

import numpy as np

from maas.data._cells import Cells
from maas.errors import DataError, show
from maas.schema import Field

ROOM = 2  # how much longer than the longest sequence of the source a client's may be


def sequence_field(name: str, cells: Cells) -> Field:
    """The field of a column of sequences, each numbers of shape (steps,) or (steps, channels).

    Raises:
        DataError: the cells are no lists, one is missing, or channels differ; the message says where.
    """
    if cells.kind != "lists":
        raise DataError(
            f"column {show(name)} cannot be a sequence: its cells are no lists of numbers; a file of sequences alone "
            f"is read with maas.data.read_sequences"
        )
    widths, lengths, nullable = set(), [], False
    for row, cell in enumerate(cells.values):
        steps = as_steps(cell)
        if not isinstance(steps, np.ndarray):
            raise DataError(
                f"column {show(name)} has no sequence in row {row}: it wants numbers of shape (steps,) or (steps, "
                f"channels), got {show(cell)}; remove the row, or leave the column out with drop=[{name!r}]"
            )
        widths.add(steps.shape[1])
        lengths.append(len(steps))
        nullable |= bool(np.isnan(steps).any())
    if len(widths) > 1:
        raise DataError(f"column {show(name)} must have the same channels in every row, got {sorted(widths)}")
    return Field(name, "sequence", "number", (None, *widths), nullable, longest=ROOM * max(lengths))


def as_steps(cell: Any) -> Any:
    """A cell as float64 of shape (steps, channels), one channel where it has one axis; as it is, where it cannot."""
    if cell is None:
        return cell
    try:
        steps = np.array([np.asarray(step, np.float64) for step in cell])
    except (TypeError, ValueError):
        return cell
    if steps.ndim == 1:
        steps = steps[:, None]
    return steps if steps.ndim == 2 and steps.size else cell
