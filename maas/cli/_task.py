"""The options of `maas fit` that say how rows are answered, as a task."""

from __future__ import annotations

import json
from argparse import Namespace
from typing import TYPE_CHECKING, Any

from maas.errors import DataError, show

if TYPE_CHECKING:
    from maas.data import Rows
    from maas.task import TaskLearner


def task_of(options: Namespace, rows: Rows | None) -> str | TaskLearner | None:
    """The task, with options where some are given.

    Args:
        options: `task`, `threshold`, `normal` and `false_alarms`.
        rows: those to learn from; None: texts.

    Raises:
        DataError: an option does not suit the task, or the rows have no target and need one.
    """
    from maas.task import Anomaly, Classification, MultiLabel

    if rows is not None and rows.target is None and options.task != "anomaly":
        raise DataError(
            f"say which column to predict with --target; there are {', '.join(map(show, rows.schema.names))}"
        )
    kind: str | None = options.task or (None if rows is None else rows.task)
    given: dict[str, Any] = {}
    if options.threshold is not None:
        if kind not in ("classification", "multilabel"):
            raise DataError(f"--threshold is for classes or several labels, the task is {kind}; leave it out")
        given["threshold"] = _number_or_name(options.threshold)
    for name, value in (("normal", options.normal or None), ("false_alarms", options.false_alarms)):
        if value is not None:
            if kind != "anomaly":
                raise DataError(f"--{name.replace('_', '-')} is for --task anomaly, the task is {kind}; leave it out")
            given[name] = value
    if not given:
        return options.task  # type: ignore[no-any-return]
    if kind == "anomaly":
        return Anomaly.with_options(**given)
    return MultiLabel.with_options(**given) if kind == "multilabel" else Classification.with_options(**given)


def target_of(options: Namespace) -> str | list[str] | None:
    """The column to predict; of several labels the list of columns, where a comma stands in the option."""
    target: str | None = options.target
    if target is not None and options.task == "multilabel" and "," in target:
        return target.split(",")
    return target


def _number_or_name(text: str) -> float | str:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if type(value) in (int, float) else text
