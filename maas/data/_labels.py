"""Several labels a row: out of lists, joined text, columns of true and false, or a matrix of ones and zeros."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from maas.data._cells import Cells, as_objects, parse_truth
from maas.errors import DataError, show
from maas.schema import label_text

SEPARATOR = "|"


def label_sets(name: str, cells: Cells, separator: str) -> np.ndarray[Any, Any]:
    """The labels of each row out of one column, object of shape (rows,): tuples of different strings, sorted.

    Args:
        name: the column's.
        cells: lists of labels, or text in which the labels are joined; a missing cell has none.
        separator: what stands between joined labels; white space around a label is not part of it.

    Raises:
        DataError: the separator is no text, or the column holds no labels.
    """
    if not isinstance(separator, str) or not separator:
        raise DataError(f"`separator` is what stands between the labels of a row, such as '|', got {show(separator)}")
    if cells.kind == "date":
        raise DataError(f"the target {show(name)} holds dates, which are no labels")
    if cells.kind == "lists":
        return as_objects(() if one is None else _set(name, one) for one in cells.values)
    return as_objects(() if one is None else _set(name, one.split(separator)) for one in cells.labels)


def columns_of_labels(names: Sequence[str], raw: Mapping[str, Cells]) -> np.ndarray[Any, Any]:
    """The labels of each row out of one column a label, which says whether the row has it.

    Raises:
        DataError: a cell is neither true nor false.
    """
    found: list[list[str]] = [[] for _ in raw[names[0]].values]
    for name in names:
        for row, text in enumerate(raw[name].labels):
            if (truth := parse_truth(text or "")) is None:
                raise DataError(
                    f"column {show(name)} must say of every row whether it has this label, by true and false or by 1 "
                    f"and 0, got {show(text)} in row {row}"
                )
            if truth:
                found[row].append(name)
    return as_objects(tuple(sorted(labels)) for labels in found)


def matrix_of_labels(matrix: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The labels of each row out of ones and zeros of shape (rows, labels); a label is called by its column's number.

    Raises:
        DataError: there is another number.
    """
    if matrix.dtype.kind not in "fiub" or not np.isin(matrix, (0, 1)).all():
        raise DataError("y of shape (rows, labels) must be ones and zeros: which row has which label")
    return as_objects(tuple(sorted(map(str, np.flatnonzero(row).tolist()))) for row in matrix)


def _set(name: str, labels: Iterable[Any]) -> tuple[str, ...]:
    found = set()
    for label in labels:
        if not isinstance(label, (str, int, np.integer, np.bool_)):
            raise DataError(f"a label is text or an integer, got {show(label)} in the target {show(name)}")
        found.add(label_text(label).strip())
    return tuple(sorted(found - {""}))
