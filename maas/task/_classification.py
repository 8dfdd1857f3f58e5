"""One class a row, out of two or more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from maas.errors import DataError, FormatError, show
from maas.metrics import Scores, classification_scores
from maas.schema import Columns, Schema, label_text
from maas.task._answers import Answers, Batch
from maas.task._base import Arrays, Target, task
from maas.task._baselines import classification_baselines

Label = str | int | bool


@task("classification")
@dataclass(frozen=True)
class Classification:
    """One class a row. Two classes take one output and a sigmoid, more take a softmax.

    Answers have `label`, in the type it had in the training data, and `probabilities` by class.

    Args:
        classes: the labels, in the order of the outputs; with two, the output is the score of the second.

    Raises:
        DataError: fewer than two classes, or two that are written alike.
    """

    kind = "classification"

    classes: tuple[Label, ...]

    def __post_init__(self) -> None:
        texts = [label_text(label) for label in self.classes]
        if len(texts) < 2:
            raise DataError(f"a classification needs at least two classes, got {texts}")
        if repeated := [text for text, count in Counter(texts).items() if count > 1]:
            raise DataError(f"classes must differ as text, got {show(repeated[0])} more than once")

    @classmethod
    def learn(cls, target: Target, name: str = "target") -> Classification:
        found = {label_text(label): label for label in map(_label, target.tolist())}
        if len(found) < 2:
            raise DataError(
                f"the target {show(name)} has one class only, {show(next(iter(found.values())))}: there is nothing to "
                f"learn; give rows of at least two classes"
            )
        labels = list(found.values())
        numeric = all(isinstance(label, (int, float)) for label in labels)
        return cls(tuple(sorted(labels, key=None if numeric else label_text)))

    @property
    def num_outputs(self) -> int:
        return 1 if len(self.classes) == 2 else len(self.classes)

    @property
    def unit(self) -> float:
        return 1.0

    def encode(self, target: Target) -> torch.Tensor:
        """Places of the labels in `classes`, int64 of shape (rows,)."""
        return torch.from_numpy(self._places(target))

    def loss(self, network: nn.Module, batch: Batch) -> torch.Tensor:
        """Cross entropy of each row, in nats.

        The target is one class a row, or, where rows were mixed, the probabilities of the classes: float of shape
        (batch, classes), where the last classes may be left out if no row has them.
        """
        logits = network(**batch.inputs)  # (batch, num_outputs)
        target = batch.target
        assert target is not None
        if target.dim() == 2:
            target = F.pad(target.to(logits.dtype), (0, len(self.classes) - target.shape[1]))
            target = target[:, 1] if self.num_outputs == 1 else target
        if self.num_outputs == 1:
            return F.binary_cross_entropy_with_logits(logits[:, 0], target.to(logits.dtype), reduction="none")
        return F.cross_entropy(logits, target, reduction="none")

    def run(self, network: nn.Module, batch: Batch) -> Iterator[Answers]:
        logits = network(**batch.inputs).float()  # (batch, num_outputs)
        if self.num_outputs == 1:
            second = torch.sigmoid(logits[:, 0])
            probabilities = torch.stack([1 - second, second], dim=1)
        else:
            probabilities = torch.softmax(logits, dim=1)
        yield self.answers(probabilities.cpu().numpy())

    def answers(self, probabilities: np.ndarray[Any, Any]) -> Answers:
        """Answers out of probabilities of shape (rows, classes)."""
        labels = np.empty(len(self.classes), object)
        labels[:] = self.classes
        names = tuple(label_text(label) for label in self.classes)
        return Answers(
            {"label": labels[probabilities.argmax(axis=1)], "probabilities": probabilities},
            {"probabilities": names},
        )

    def join(self, stream: Iterable[Answers]) -> Answers:
        return Answers.join(list(stream))

    def score(self, answers: Answers, truth: Target) -> Scores:
        """Scores; a class that the training rows lacked stands beside the others, and every answer to it is wrong."""
        labels = [label_text(label) for label in self.classes]
        texts = [label_text(label) for label in truth.tolist()]
        unknown = sorted(set(texts) - set(labels))
        places = {label: place for place, label in enumerate([*labels, *unknown])}
        probabilities = np.pad(answers["probabilities"], ((0, 0), (0, len(unknown))))
        return classification_scores(np.array([places[text] for text in texts], np.int64), probabilities, [*places])

    def baselines(self, schema: Schema, train: Columns, target: Target, test: Columns) -> dict[str, Answers]:
        found = classification_baselines(schema, train, self._places(target), test, len(self.classes))
        return {name: self.answers(probabilities) for name, probabilities in found.items()}

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray[Any, Any]]]:
        return {"classes": list(self.classes)}, {}

    @classmethod
    def from_state(cls, state: Mapping[str, Any], arrays: Arrays) -> Classification:
        classes = state["classes"]
        if type(classes) is not list or not all(type(label) in (str, int, bool) for label in classes):
            raise FormatError("classes must be strings, integers or booleans, in a list")
        try:
            return cls(tuple(classes))
        except DataError as error:
            raise FormatError(str(error)) from error

    def _places(self, target: Target) -> np.ndarray[Any, Any]:
        places = {label_text(label): place for place, label in enumerate(self.classes)}
        texts = [label_text(label) for label in target.tolist()]
        if unknown := sorted(set(texts) - set(places)):
            raise DataError(
                f"label {show(unknown[0])} was not among the training rows' classes: {', '.join(places)}; remove the "
                f"rows, or fit with some of them"
            )
        return np.array([places[text] for text in texts], np.int64)


def _label(value: Any) -> Label:
    """A label as it is stored: a whole float is an integer, and no other float is a label."""
    if isinstance(value, float):
        if not value.is_integer():
            raise DataError(
                f"a class is a string, an integer below 2**53 or a boolean, got {show(value)}; is it a regression?"
            )
        return int(value)
    if not isinstance(value, (str, int)) or (isinstance(value, int) and abs(value) >= 2**53):
        raise DataError(f"a class is a string, an integer below 2**53 or a boolean, got {show(value)}")
    return value
