"""A model scored on rows that it has not seen, beside simple methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from maas import data
from maas.data import Rows
from maas.errors import DataError
from maas.metrics import Evaluation

if TYPE_CHECKING:
    from maas.model._model import Model


def judging(model: Model, test: Any) -> tuple[Rows, np.ndarray[Any, Any]]:
    """Rows to be judged by, and their truth.

    Raises:
        DataError: they have no target, or one that the model does not know.
    """
    rows = data.as_rows(test, task=model.task.kind)
    truth = _target(rows, "test")
    model.task.check_test(rows.schema, rows.columns, truth)
    return rows, truth


def evaluated(model: Model, test: Any, baselines_from: Any, groups: str | Sequence[str]) -> Evaluation:
    """What `Model.evaluate` gives."""
    rows, truth = judging(model, test)
    grouped = data.group_values(rows, groups)
    answers = model.predict(rows)
    scores = model.task.score(answers, truth)
    others = {}
    fingerprint = rows.fingerprint()
    duplicates = _learned_from(model, rows, fingerprint)
    if baselines_from is not None:
        train = data.as_rows(baselines_from, task=model.task.kind)
        duplicates, _ = data.duplicates(train, rows)
        taught: Any = _target(train, "baselines_from") if model.task.needs_target else train.target
        found = model.task.baselines(model.schema, train.columns, taught, rows.columns)
        others = {name: model.task.score(other, truth) for name, other in found.items()}
    return Evaluation.compare(
        model.task.kind,
        scores,
        others,
        fingerprint=fingerprint,
        num_duplicates=duplicates,
        groups=grouped,
        score_rows=lambda chosen: model.task.score(answers.take(chosen), truth[chosen]),
    )


def _learned_from(model: Model, rows: Rows, fingerprint: str) -> int | None:
    """How many of the rows the model was taught, where its card tells: they are those, or all that were split."""
    known = model.card.get("data")
    if not isinstance(known, Mapping):
        return None
    if fingerprint == known.get("fingerprint"):
        return len(rows)
    taught = known.get("num_rows")
    return taught if fingerprint == known.get("split_from") and isinstance(taught, int) else None


def _target(rows: Rows, argument: str) -> np.ndarray[Any, Any]:
    if rows.target is None:
        raise DataError(f"`{argument}` has no target to score against; read it with target=...")
    return rows.target
