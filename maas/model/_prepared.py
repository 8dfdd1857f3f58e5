"""Rows in whatever form they come, checked, and made ready for the network."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from maas.data import Rows, read_columns
from maas.errors import DataError, RowError, show
from maas.schema import Columns, Schema, TensorSpec
from maas.task import Batch

_STEPS = 256  # assumed of an input whose length differs from row to row


@dataclass(frozen=True)
class Prepared:
    """Rows made ready for the network.

    Args:
        batch: the good rows.
        kept: their positions among the rows given, int64.
        errors: why each of the others cannot be answered, by position.
        columns: the checked values of all the rows given, as they were before preprocessing; those of a row in error
            hold placeholders.
    """

    batch: Batch
    kept: np.ndarray[Any, Any]
    errors: dict[int, RowError]
    columns: Columns

    def at(self, start: int) -> Prepared:
        """The same rows, as part of more that begin so many rows before them."""
        if not start:
            return self
        errors = {start + row: error.at(start + row) for row, error in self.errors.items()}
        return Prepared(self.batch, self.kept + start, errors, self.columns)


def columns_of(schema: Schema, rows: Any) -> tuple[Columns, dict[int, RowError]]:
    """Rows in any form that `Model.prepare` takes as checked columns, and the errors by row."""
    if isinstance(rows, Rows):
        return schema.check(rows.columns, len(rows))
    if isinstance(rows, (np.ndarray, torch.Tensor)):
        array = rows.detach().cpu().numpy() if isinstance(rows, torch.Tensor) else rows
        if len(schema.fields) != 1:
            raise DataError(f"rows must be named: the model takes the fields {', '.join(schema.names)}")
        return schema.check({schema.names[0]: array}, len(array))
    if isinstance(rows, Sequence) and not isinstance(rows, (str, bytes)):
        return schema.rows_to_columns(rows)
    if isinstance(rows, (str, bytes, Path, int, float, type(None))):
        raise DataError(
            f"rows are mappings, maas.data.Rows, a data frame or an array, got {show(rows)}; read a file first"
        )
    found, errors = read_columns(rows, schema)
    return found.columns, errors


def in_parts(prepare: Callable[[Any], Prepared], rows: Any, size: int) -> Iterator[Prepared]:
    """The rows made ready `size` at a time, or at once in a form that cannot be cut."""
    if isinstance(rows, Rows):
        for start in range(0, len(rows), size):
            end = min(start + size, len(rows))
            yield prepare(rows if end - start == len(rows) else rows.take(range(start, end))).at(start)
    elif isinstance(rows, (np.ndarray, torch.Tensor)) or (
        isinstance(rows, Sequence) and not isinstance(rows, (str, bytes))
    ):
        for start in range(0, len(rows), size):
            yield prepare(rows[start : start + size]).at(start)
    else:
        yield prepare(rows)


def row_bytes_of(schema: Schema, outputs: Mapping[str, TensorSpec]) -> int:
    """What a row takes at most once it is prepared.

    Args:
        schema: of rows.
        outputs: of the preprocessing.
    """
    longest = [field.longest for field in schema.fields if field.shape[:1] == (None,)]
    row_bytes = 0
    for spec in outputs.values():
        most = spec.longest or max(longest, default=_STEPS)
        sizes = [most if size is None else size for size in spec.shape]
        row_bytes += math.prod(sizes) * getattr(torch, spec.dtype).itemsize
    return row_bytes


def as_one(errors: Mapping[int, RowError], length: int) -> DataError:
    """What is wrong with one or several of so many rows, by position, in one error."""
    listed = [errors[row] for row in sorted(errors)]
    if len(listed) == 1:
        return listed[0]
    more = f"; and {len(listed) - 5} more" if len(listed) > 5 else ""
    return DataError(f"{len(listed)} of {length} rows cannot be answered: " + "; ".join(map(str, listed[:5])) + more)
