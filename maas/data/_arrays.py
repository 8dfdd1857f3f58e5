"""Arrays, tensors and torch datasets to rows with one field, `x`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from maas.data._cells import Cells, as_objects, plain_column
from maas.data._labels import matrix_of_labels
from maas.data._rows import Rows
from maas.data._targets import check_task, target_of
from maas.errors import DataError
from maas.schema import Field, Schema, label_text


def from_arrays(x: Any, y: Any = None, *, task: str | None = None) -> Rows:
    """Rows out of arrays or tensors.

    Args:
        x: numbers of shape (rows, features); NaN where a value is missing.
        y: one target a row, of shape (rows,): numbers, strings or booleans; or several labels a row: lists of text, or
            with task="multilabel" ones and zeros of shape (rows, labels).
        task: as in `maas.data.read_table`.

    Returns:
        Rows with one field `x` of shape (features,): a client sends `{"x": [...]}`.

    Raises:
        DataError: the shapes or the values cannot be used.
    """
    values = as_array(x, "X")
    if values.ndim != 2 or values.dtype.kind not in "fiub":
        raise DataError(f"X must be numbers of shape (rows, features), got dtype {values.dtype}, shape {values.shape}")
    if not values.size:
        raise DataError(f"X must have at least one row and one feature, got shape {values.shape}")
    check_task(task)
    values = values.astype(np.float64)
    if np.isinf(values).any():
        row, column = (int(one) for one in np.argwhere(np.isinf(values))[0])
        raise DataError(f"X must be finite, got {values[row, column]} in row {row}, column {column}")
    if (empty := np.isnan(values).all(axis=0)).any():
        raise DataError(f"column {int(np.flatnonzero(empty)[0])} of X is missing in every row; leave it out")
    field = Field("x", "numeric", "number", shape=values.shape[1:], nullable=bool(np.isnan(values).any()))
    rows = Rows(Schema((field,)), {"x": values}, source="arrays").observed()
    if y is None:
        return rows
    target = _labels(y)
    if target.ndim == 2 and len(target) == len(values) and task == "multilabel":
        return replace(rows, target=matrix_of_labels(target), target_name="y", task="multilabel")
    if target.shape != (len(values),):
        more = "; ones and zeros that say which labels a row has want task='multilabel'" if target.ndim == 2 else ""
        raise DataError(
            f"y must have one value for each of the {len(values)} rows of X, got shape {target.shape}{more}"
        )
    goal, task = target_of("y", _cells(target), task, None)
    return replace(rows, target=goal, target_name="y", task=task)


def from_dataset(dataset: Any, *, task: str | None = None) -> Rows:
    """Rows out of a torch `Dataset` whose items are pairs (features, target), read whole into memory.

    Args:
        dataset: has a length and gives, for each index, a pair: numbers of shape (features,), and one target.
        task: as in `from_arrays`.

    Raises:
        DataError: the items are not such pairs.
    """
    try:
        pairs = [dataset[index] for index in range(len(dataset))]
        x = np.stack([as_array(pair[0], "an item's features") for pair in pairs])
        y = np.stack([as_array(pair[1], "an item's target") for pair in pairs])
    except (TypeError, ValueError, IndexError, KeyError) as error:
        raise DataError(
            f"a dataset must have a length and items (features, target) of one shape: {type(error).__name__}: {error}"
        ) from error
    return from_arrays(x, y, task=task)


def as_rows(source: Any, *, task: str | None = None) -> Rows:
    """Rows out of whatever `fit` and `evaluate` take: `Rows`, `(X, y)`, a torch `Dataset`, or X alone."""
    if isinstance(source, Rows):
        return source
    if isinstance(source, tuple) and len(source) == 2:
        return from_arrays(*source, task=task)
    if isinstance(source, np.ndarray) or hasattr(source, "detach"):
        return from_arrays(source, task=task)
    if (
        not isinstance(source, (str, bytes))
        and hasattr(source, "__getitem__")
        and hasattr(source, "__len__")
        and not hasattr(source, "columns")
    ):
        return from_dataset(source, task=task)
    raise DataError(
        f"rows with a target are maas.data.Rows, a pair (X, y) or a torch Dataset, got {type(source).__name__}; "
        f"read a file or a data frame with maas.data.read_table"
    )


def as_array(values: Any, name: str) -> np.ndarray[Any, Any]:
    """Anything like an array, or a tensor on any device, as an array; `name` says what to call it in a message."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        if str(values.dtype) == "torch.bfloat16":  # numpy has no such dtype
            values = values.float()
    try:
        array = np.asarray(values)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} must be an array: {error}") from error
    if array.dtype == object and array.ndim != 1:
        raise DataError(f"{name} must be an array of one dtype, got objects")
    return array


def target_cells(y: Any, count: int, things: str, *, name: str = "y") -> Cells:
    """Targets as a column, one for each of so many things."""
    target = _labels(y)
    if target.shape != (count,):
        raise DataError(f"{name} must have one value for each of the {count} {things}, got shape {target.shape}")
    return _cells(target)


def _labels(y: Any) -> np.ndarray[Any, Any]:
    """Targets as an array; lists of labels, which are text and may differ in number, as objects."""
    nested = isinstance(y, (list, tuple)) and all(isinstance(one, (list, tuple, set, frozenset)) for one in y)
    if nested and all(isinstance(label, str) for labels in y for label in labels):
        return as_objects(y)
    return as_array(y, "y")


def _cells(target: np.ndarray[Any, Any]) -> Cells:
    if target.dtype.kind in "fiu":
        numbers = target.astype(np.float64)
        return Cells("number", numbers, lambda: map(label_text, numbers.tolist()))
    plain = [cell.item() if isinstance(cell, np.generic) else cell for cell in target]
    return plain_column("y", [None if np.ndim(cell) == 0 and cell != cell else cell for cell in plain])
