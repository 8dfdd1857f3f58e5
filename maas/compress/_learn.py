"""Learning after a model: the same preprocessing and task, other weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from maas import preprocess as preprocessing
from maas.compress._taught import LOSSES, Taught
from maas.data import Rows
from maas.errors import DataError, MaasError
from maas.model import Model
from maas.nn import Recipe
from maas.preprocess import Preprocess
from maas.schema import Columns, Schema
from maas.task import Anomaly, Classification, MultiLabel, Task
from maas.training import fit

_OWN = ("task", "preprocess", "start")


def learned(
    recipe: Recipe,
    train: Rows,
    model: Model,
    options: Mapping[str, Any],
    *,
    teaching: Mapping[str, Any] | None,
    start: Model | None = None,
) -> Model:
    """A network trained by `maas.fit` to stand in for a model's.

    Args:
        train: rows to learn from.
        model: whose preprocessing and task it has. What its task chose by validation rows, such as a threshold, is
            chosen anew.
        options: of `maas.fit`; see `check_options`.
        teaching: options of `Taught`; None: the model does not teach it.
        start: weights to start from.

    Raises:
        DataError: the rows are not such as the model takes.
    """
    task = unsettled(model.task)
    found = fit(
        recipe,
        train,
        task=_Again(task) if teaching is None else Taught(model, task, **teaching),
        preprocess=_Kept(model),
        start=start,
        **options,
    )
    if isinstance(found.task, Taught):
        found.task = found.task.inner
    return found


def check_options(options: Mapping[str, Any]) -> None:
    """Raise DataError for options of `maas.fit` that are not free."""
    if own := [name for name in _OWN if name in options]:
        raise DataError(f"`{own[0]}` follows from the model here, and cannot be given")


def teachable(task: Task) -> bool:
    """Whether another network's answers can teach it."""
    return task.kind in LOSSES


def unsettled(task: Task) -> Task:
    """A task that chooses anew what it has chosen by validation rows."""
    if isinstance(task, Anomaly) or (isinstance(task, (Classification, MultiLabel)) and task.chosen_by is not None):
        return replace(task, settled=False)
    return task


@dataclass(frozen=True)
class _Again:
    """A task that was learned before."""

    task: Task

    @property
    def kind(self) -> str:
        return self.task.kind

    def learn(self, target: Any, name: str = "target", schema: Schema | None = None) -> Task:
        return self.task


class _Kept:
    """A model's preprocessing, learned before."""

    def __init__(self, model: Model) -> None:
        self.model = model

    def __repr__(self) -> str:
        return f"the preprocessing of the model, {self.model.preprocess.kind}"

    def learn(self, schema: Schema, columns: Columns) -> Preprocess:
        before, now = (
            [(field.name, field.kind, field.dtype) for field in one.fields] for one in (self.model.schema, schema)
        )
        if before != now:
            odd = next((one for one in now if one not in before), now[0])
            raise DataError(
                f"`train` must have the fields of the model's rows, {', '.join(name for name, *_ in before)}; got "
                f"{odd[0]}, a {odd[1]} {odd[2]}, among {len(now)}"
            )
        state, arrays = self.model.preprocess.state()
        try:
            return preprocessing.from_state(self.model.preprocess.kind, schema, state, arrays)
        except (MaasError, LookupError, TypeError, ValueError) as error:
            raise DataError(f"`train` has rows that the model's preprocessing does not take: {error}") from error
