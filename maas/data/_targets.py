"""What is to be predicted: which columns, as which task, in which canonical form."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from maas.data._cells import Cells, as_objects, parse_number
from maas.data._labels import SEPARATOR, columns_of_labels, label_sets
from maas.errors import DataError, show

TASKS = ("classification", "regression", "multilabel", "anomaly")
_TARGET_NAMES = ("target", "label", "class", "y")
_MOST_CLASSES_OF_INTEGERS = 20


def check_task(task: str | None) -> None:
    """Raise DataError for what is no task that a target can be read for."""
    if task is not None and task not in TASKS:
        raise DataError(f"`task` must be one of {', '.join(TASKS)}, got {show(task)}")


def targets_of(
    names: Sequence[str],
    raw: Mapping[str, Cells],
    task: str | None,
    types: Mapping[str, str],
    *,
    separator: str = SEPARATOR,
    as_text: bool = False,
) -> tuple[np.ndarray[Any, Any] | None, str, str | None]:
    """The values of no, one or several target columns in canonical form, their name, and the task they stand for."""
    if not names:
        if task not in (None, "anomaly"):
            raise DataError(f"say which column to predict with `target`; there are {listed(raw)}")
        return None, "target", None
    if len(names) == 1:
        name = names[0]
        goal, task = target_of(name, raw[name], task, types.get(name), as_text=as_text, separator=separator)
        return goal, name, task
    if task not in (None, "multilabel"):
        raise DataError(f"several target columns are several labels a row; say task='multilabel', got {show(task)}")
    if odd := [name for name in names if "," in name]:
        raise DataError(f"a label's column must have no comma in its name, got {show(odd[0])}; rename it")
    return columns_of_labels(names, raw), ",".join(names), "multilabel"


def target_of(
    name: str,
    cells: Cells,
    task: str | None,
    kind: str | None,
    *,
    as_text: bool = False,
    separator: str = SEPARATOR,
) -> tuple[np.ndarray[Any, Any], str]:
    """The target's values in canonical form, and the task they stand for."""
    if task == "multilabel" or (task is None and cells.kind == "lists"):
        return label_sets(name, cells, separator), "multilabel"
    if cells.kind == "lists":
        raise DataError(f"the target {show(name)} holds lists: several labels a row? Say task='multilabel'")
    gaps = np.flatnonzero(cells.missing)
    if len(gaps):
        raise DataError(
            f"the target {show(name)} is missing in {len(gaps)} of {len(cells.missing)} rows, the first is row "
            f"{gaps[0]}; remove such rows"
        )
    if cells.kind == "date":
        raise DataError(f"the target {show(name)} holds dates; predict a number of days or hours instead")
    if cells.kind == "bytes":
        raise DataError(f"the target {show(name)} holds bytes, and one number or label a row is wanted")
    if cells.kind == "number":
        _check_finite(name, cells.values)
        whole = bool((cells.values == np.round(cells.values)).all())
        if task != "regression" and cells.holds_identifiers:
            raise DataError(
                f"the target {show(name)} holds integers beyond 2**53, which no longer differ as numbers; write "
                f"classes as text, or say task='regression'"
            )
        few = whole and len(np.unique(cells.values)) <= _MOST_CLASSES_OF_INTEGERS
        task = task or ("classification" if kind == "categorical" or (few and kind != "numeric") else "regression")
        if task == "regression":
            return cells.values, task
        if as_text:
            return cells.labels, task
        if not whole:
            row = int(np.flatnonzero(cells.values != np.round(cells.values))[0])
            raise DataError(
                f"the target {show(name)} holds fractions ({cells.values[row]:g} in row {row}), which are no classes; "
                f"say task='regression'"
            )
        return as_objects(int(value) for value in cells.values), task
    if task == "regression":
        numbers = [number_of(value, label) for value, label in zip(cells.values, cells.labels, strict=True)]
        odd = [row for row, number in enumerate(numbers) if not isinstance(number, float)]
        if odd:
            raise DataError(
                f"the target {show(name)} of a regression must be numbers, got {show(numbers[odd[0]])} in row {odd[0]}"
            )
        values = np.array(numbers, np.float64)
        _check_finite(name, values)
        return values, task
    return (cells.labels if as_text else cells.values), task or "classification"


def _check_finite(name: str, values: np.ndarray[Any, Any]) -> None:
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values))[0])
        raise DataError(f"the target {show(name)} must be finite, got {values[row]} in row {row}")


def find_targets(target: str | Sequence[str] | None, raw: Mapping[str, Cells]) -> list[str]:
    """The columns to predict: none where none is named and none is called as a target is."""
    if target is None:
        found = [name for name in raw if name.lower() in _TARGET_NAMES]
        if len(found) > 1:
            raise DataError(f"say which column to predict with `target`; there are {listed(raw)}")
        return found
    if not isinstance(target, (str, list, tuple)):
        raise DataError(f"`target` must be a column's name, or several in a list, got {show(target)}")
    names = [target] if isinstance(target, str) else list(target)
    for name in names:
        if name not in raw:
            raise DataError(f"`target` names no column: got {show(name)}, there are {listed(raw)}")
    if not isinstance(target, str) and (len(names) < 2 or len(set(names)) < len(names)):
        raise DataError(f"several labels a row need two different columns or more in `target`, got {names}")
    return names


def listed(names: Iterable[Any]) -> str:
    """Names of columns as an error message shows them: the first 20."""
    shown = [show(name) for name in names]
    return ", ".join(shown[:20]) + (f" and {len(shown) - 20} more" if len(shown) > 20 else "")


def number_of(value: Any, label: str | None) -> float | str | None:
    """A cell as a number, true being 1; its text where it is none, and None where it is missing."""
    if label is None:
        return None
    if isinstance(value, bool):
        return float(value)
    number = parse_number(label)
    return label if number is None else number
