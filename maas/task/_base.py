"""What a task is, and the register of those there are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.metadata import entry_points
from typing import Any, ClassVar, Protocol, TypeVar

import numpy as np
import torch
from torch import nn

from maas.errors import DataError, FormatError, show
from maas.metrics import Scores
from maas.preprocess import Preprocess
from maas.schema import Columns, Schema
from maas.task._answers import Answers, Batch

ENTRY_POINTS = "maas.tasks"
Arrays = Mapping[str, np.ndarray[Any, Any]]
Target = np.ndarray[Any, Any]
Label = str | int | bool


class Task(ABC):
    """What the answer is, with whatever of it was learned from the training rows' target."""

    kind: ClassVar[str]
    needs_target: ClassVar[bool] = True
    streams: ClassVar[bool] = False
    """Whether answers grow part by part: a server then lets rows join and leave between the parts."""
    most_rows: ClassVar[int] = 4096
    """That are prepared and answered at once, however small they are."""

    @classmethod
    @abstractmethod
    def learn(cls, target: Target, name: str, schema: Schema) -> Task:
        """Learn the target's encoding from training rows. Raises DataError for a target that cannot be learned.

        Args:
            target: one entry a row; None for rows without target, where `needs_target` is False.
            name: the target's, for errors.
            schema: the fields of the rows.
        """

    def knowing(self, preprocess: Preprocess) -> Task:
        """The same task with what it takes over from the preprocessing, as the tokens that answers are written in."""
        return self

    @property
    @abstractmethod
    def num_outputs(self) -> int:
        """How many numbers the network must give for a row."""

    @property
    def unit(self) -> float:
        """The size of a difference between answers that matters: what tolerances are multiples of."""
        return 1.0

    @property
    def is_settled(self) -> bool:
        """Whether nothing is left to choose once the network is trained."""
        return True

    def settle(self, answers: Answers, truth: Target) -> Task:
        """Choose what is left, such as a threshold, by the answers to validation rows."""
        return self

    def remembering(self, preprocess: Preprocess, columns: Columns, truth: Target) -> Preprocess:
        """The preprocessing to answer with, once the validation rows have chosen what there was to choose."""
        return preprocess

    def teaching(self, target: Target) -> np.ndarray[Any, Any] | None:
        """Which rows the network learns from, bool of shape (rows,); None for all of them."""
        return None

    @abstractmethod
    def encode(self, target: Target) -> torch.Tensor:
        """The target as `loss` wants it, one entry a row."""

    def misfit(self, network: nn.Module, batch: Batch) -> str | None:
        """What is wrong with what a network gives for rows, as `run` wants it; None where nothing is."""
        return self._misfit(network(**batch.inputs), (len(batch), self.num_outputs))

    def _misfit(self, outputs: Any, wanted: tuple[int, ...]) -> str | None:
        if isinstance(outputs, torch.Tensor) and tuple(outputs.shape) == wanted:
            return None
        got = tuple(outputs.shape) if isinstance(outputs, torch.Tensor) else type(outputs).__name__
        return f"a {self.kind} wants outputs of shape {wanted} for {wanted[0]} rows, the network gives {got}"

    def lessons(self, columns: Columns) -> Batch | None:
        """What the network learns from rows, laid out otherwise than they are answered; None: the prepared rows.

        Args:
            columns: of all the rows that teach, or of all that judge.

        Raises:
            RowError: a row teaches nothing.
        """
        return None

    def figures(self, loss: float) -> dict[str, float]:
        """What the mean loss of a unit says in the task's own terms, for the history of a training."""
        return {}

    @abstractmethod
    def loss(self, network: nn.Module, batch: Batch) -> torch.Tensor:
        """The loss of each row, of shape (batch,), not reduced."""

    def units(self, batch: Batch) -> torch.Tensor | None:
        """How many units, such as tokens, the loss of each row is a sum over, (batch,); None: each row is one.

        Training goes by the mean over units of all rows of a step, however they are cut into batches.
        """
        return None

    @property
    def most_units(self) -> int:
        """The most units that a row has in training: so often its weights are used."""
        return 1

    @abstractmethod
    def run(self, network: nn.Module, batch: Batch) -> Iterator[Answers]:
        """The answers to a batch, in one part or, where they grow, in several."""

    def aim(self, outputs: torch.Tensor, label: Any = None) -> tuple[torch.Tensor, list[Any]]:
        """What an explanation of each row is about: a sum of the network's outputs, by their weights.

        Args:
            outputs: of the network, float of shape (batch, num_outputs).
            label: what to explain; None: what the row is answered.

        Returns:
            The weights, of the shape of `outputs`, and for each row the label explained, or None.

        Raises:
            DataError: this task cannot be explained, or has no such label.
        """
        raise DataError(f"a {self.kind} cannot be explained; classes, labels, regressions and anomalies can")

    def join(self, stream: Iterable[Answers]) -> Answers:
        """The parts that `run` gave as whole answers."""
        return Answers.join(list(stream))

    def check_test(self, schema: Schema, columns: Columns, truth: Target) -> None:
        """Raise DataError for rows that give away what they are to be scored on."""
        return

    @abstractmethod
    def score(self, answers: Answers, truth: Target) -> Scores:
        """How good the answers are."""

    @abstractmethod
    def baselines(self, schema: Schema, train: Columns, target: Target, test: Columns) -> dict[str, Answers]:
        """What simple methods, taught by the training rows, answer to the test rows."""

    def meaning(self) -> dict[str, Any]:
        """What the network's outputs mean, for who has the network without this class.

        Returns:
            `apply`, "softmax" or "sigmoid" or None, and `answer`: in words, how answers come of what that gives; names
            stand for what is in `state`.
        """
        return {"apply": None, "answer": f"as the task {self.kind!r} says, which is not one of maas"}

    @abstractmethod
    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray[Any, Any]]]:
        """All that was learned, as JSON and arrays."""

    @classmethod
    @abstractmethod
    def from_state(cls, state: Mapping[str, Any], arrays: Arrays, schema: Schema) -> Task:
        """The inverse of `state`. Raises FormatError for a state that this class did not write."""


class TaskLearner(Protocol):
    """What gives a task: its class, or one with options, as `Classification.with_options(...)` gives."""

    @property
    def kind(self) -> str:
        """The name that artifacts store."""
        ...

    def learn(self, target: Target, name: str, schema: Schema) -> Task:
        """Learn the target's encoding from training rows."""
        ...


_REGISTER: dict[str, type[Task]] = {}
_Class = TypeVar("_Class", bound=type)


def task(kind: str) -> Callable[[_Class], _Class]:
    """Register a task class under the name that artifacts store.

    An installed package can register without being imported first, through an entry point of the group "maas.tasks"
    that has the kind's name.

    Raises:
        DataError: another class has the name.
    """

    def register(cls: _Class) -> _Class:
        other = _REGISTER.get(kind)
        # A class of the same name from the same module is the same one, imported again.
        if other is not None and (other.__module__, other.__qualname__) != (cls.__module__, cls.__qualname__):
            raise DataError(f"the task {kind!r} is taken by {other.__module__}.{other.__qualname__}")
        cls.kind = kind  # type: ignore[attr-defined]
        _REGISTER[kind] = cls
        return cls

    return register


def task_class(kind: str) -> type[Task]:
    """The task registered under a name.

    Raises:
        DataError: there is none.
    """
    if not isinstance(kind, str) or not _known(kind):
        raise DataError(f"`task` must be one of {', '.join(_REGISTER)}, got {show(kind)}")
    return _REGISTER[kind]


def from_state(kind: str, state: Mapping[str, Any], arrays: Arrays, schema: Schema) -> Task:
    """Rebuild a stored task.

    Raises:
        FormatError: no such kind is registered, or the state is not one of its.
    """
    if not _known(kind):
        raise FormatError(
            f"unknown task {show(kind)}; registered are {', '.join(sorted(_REGISTER))}; import the module that "
            f"registers it with @maas.task.task({show(kind)})"
        )
    return _REGISTER[kind].from_state(state, arrays, schema)


def _known(kind: str) -> bool:
    """Whether a kind is registered, once an installed package that has it was loaded."""
    if kind not in _REGISTER:
        for entry in entry_points(group=ENTRY_POINTS, name=kind):
            entry.load()
    return kind in _REGISTER
