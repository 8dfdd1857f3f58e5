"""One class a row, out of two or more."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from maas.errors import DataError, FormatError, show
from maas.metrics import Scores, best_threshold, classification_scores
from maas.schema import Columns, Schema, label_text
from maas.task._answers import Answers, Batch
from maas.task._base import Arrays, Label, Target, Task, task
from maas.task._baselines import classification_baselines
from maas.task._threshold import alternate, check_threshold, threshold_of


@task("classification")
@dataclass(frozen=True)
class Classification(Task):
    """One class a row. Two classes take one output and a sigmoid, more take a softmax.

    Answers have `label`, in the type it had in the training data, and `probabilities` by class. The label is the
    likeliest class; of two classes the second, where its probability is above `threshold`.

    Args:
        classes: the labels, in the order of the outputs; with two, the output is the score of the second.
        threshold: of two classes, from 0 to 1.
        chosen_by: what the threshold is the best by; None where it was given. See `Classification.with_options`.
        settled: whether the threshold stands; if not, `settle` chooses it.
        label_smoothing, class_weights: as in `Classification.with_options`, one weight a class. Only learning needs
            them: they are no part of what is stored.

    Raises:
        DataError: fewer than two classes, or two that are written alike, or a threshold out of its range.
    """

    kind = "classification"

    classes: tuple[Label, ...]
    threshold: float = 0.5
    chosen_by: str | None = None
    settled: bool = True
    label_smoothing: float = 0.0
    class_weights: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        texts = [label_text(label) for label in self.classes]
        if len(texts) < 2:
            raise DataError(f"a classification needs at least two classes, got {texts}")
        if repeated := [text for text, count in Counter(texts).items() if count > 1]:
            raise DataError(f"classes must differ as text, got {show(repeated[0])} more than once")
        check_threshold(self.threshold, self.chosen_by)
        if len(texts) > 2 and (self.threshold != 0.5 or self.chosen_by is not None):
            raise DataError(f"`threshold` is for two classes, got {len(texts)}: {', '.join(texts[:5])}; leave it out")

    @staticmethod
    def with_options(
        *,
        threshold: float | str = 0.5,
        label_smoothing: float = 0.0,
        class_weights: str | Mapping[Label, float] | None = None,
    ) -> ClassificationOptions:
        """This task, told how to learn: `maas.fit(..., task=Classification.with_options(class_weights="balanced"))`.

        Args: those of `ClassificationOptions`.
        """
        return ClassificationOptions(threshold, label_smoothing, class_weights)

    @classmethod
    def learn(cls, target: Target, name: str = "target", schema: Schema | None = None) -> Classification:
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
    def is_settled(self) -> bool:
        return self.settled

    def settle(self, answers: Answers, truth: Target) -> Classification:
        """This task with the threshold that is best on these rows; 0.5, with a warning, where they are of one class."""
        assert self.chosen_by is not None
        second = self._places(truth) == 1
        threshold = best_threshold(second, answers["probabilities"][:, 1], self.chosen_by)
        if threshold is None:
            warnings.warn(
                "the validation rows are all of one class, which chooses no threshold: it stays 0.5; give validation "
                "rows of both",
                stacklevel=3,
            )
        return replace(self, threshold=0.5 if threshold is None else threshold, settled=True)

    def encode(self, target: Target) -> torch.Tensor:
        """Places of the labels in `classes`, int64 of shape (rows,)."""
        return torch.from_numpy(self._places(target))

    def loss(self, network: nn.Module, batch: Batch) -> torch.Tensor:
        """Cross entropy of each row, in nats, times the weight of its class.

        The target is one class a row, or, where rows were mixed, the probabilities of the classes: float of shape
        (batch, classes), where the last classes may be left out if no row has them.
        """
        logits = network(**batch.inputs)  # (batch, num_outputs)
        target = batch.target
        assert target is not None
        if target.dim() == 2:
            target = F.pad(target.to(logits.dtype), (0, len(self.classes) - target.shape[1]))
        if self.num_outputs == 1:
            second = (target[:, 1] if target.dim() == 2 else target).to(logits.dtype)
            second = second * (1 - self.label_smoothing) + self.label_smoothing / 2
            losses = F.binary_cross_entropy_with_logits(logits[:, 0], second, reduction="none")
        else:
            losses = F.cross_entropy(logits, target, reduction="none", label_smoothing=self.label_smoothing)
        if self.class_weights is None:
            return losses
        weights = torch.tensor(self.class_weights, device=losses.device)
        return losses * (target @ weights.to(target.dtype) if target.dim() == 2 else weights[target])

    def run(self, network: nn.Module, batch: Batch) -> Iterator[Answers]:
        yield self.answers(self._probabilities(network(**batch.inputs).float()))

    def aim(self, outputs: torch.Tensor, label: Any = None) -> tuple[torch.Tensor, list[Any]]:
        """The score of the class that is answered, or of `label`; of two classes, the first one's is the negative."""
        if label is None:
            labels = self.answers(self._probabilities(outputs))["label"].tolist()
        else:
            names = self._written[1]
            if label_text(label) not in names:
                raise DataError(f"`label` must be one of {', '.join(names[:20])}, got {show(label)}")
            labels = [self.classes[names.index(label_text(label))]] * len(outputs)
        places = torch.from_numpy(self._places(np.array(labels, object))).to(outputs.device)
        if self.num_outputs == 1:
            return (places * 2 - 1)[:, None].to(outputs.dtype), labels
        return F.one_hot(places, self.num_outputs).to(outputs.dtype), labels

    def answers(self, probabilities: np.ndarray[Any, Any]) -> Answers:
        """Answers out of probabilities of shape (rows, classes)."""
        labels, names = self._written
        places = probabilities.argmax(axis=1)
        if len(self.classes) == 2:
            places = (probabilities[:, 1].astype(np.float64) > self.threshold).astype(np.intp)
        return Answers({"label": labels[places], "probabilities": probabilities}, {"probabilities": names})

    @cached_property
    def _written(self) -> tuple[np.ndarray[Any, Any], tuple[str, ...]]:
        """The classes as an array to draw labels from, and as text."""
        labels = np.empty(len(self.classes), object)
        labels[:] = self.classes
        return labels, tuple(label_text(label) for label in self.classes)

    def score(self, answers: Answers, truth: Target) -> Scores:
        """Scores; a class that the training rows lacked stands beside the others, and every answer to it is wrong."""
        labels = [label_text(label) for label in self.classes]
        texts = [label_text(label) for label in truth.tolist()]
        unknown = sorted(set(texts) - set(labels))
        places = {label: place for place, label in enumerate([*labels, *unknown])}
        probabilities = np.pad(answers["probabilities"], ((0, 0), (0, len(unknown))))
        true = np.array([places[text] for text in texts], np.int64)
        answer = np.array([places[label_text(label)] for label in answers["label"].tolist()], np.int64)
        return classification_scores(true, probabilities, [*places], answer)

    def baselines(self, schema: Schema, train: Columns, target: Target, test: Columns) -> dict[str, Answers]:
        """Where the network's threshold was chosen, each method has one of its own, chosen by rows kept from it.

        Rows of a class that the network was never taught, which only its validation rows had, teach no method either.
        """
        taught = np.array([label_text(label) in self._written[1] for label in target.tolist()], bool)
        if taught.any():
            train, target = {name: column[taught] for name, column in train.items()}, target[taught]
        places = self._places(target)
        found = classification_baselines(schema, train, places, test, len(self.classes))
        judges = dict.fromkeys(found, self)
        if self.chosen_by is not None:
            shown, hidden = alternate(places)
            if len(np.unique(places[shown])) == 2:
                parts = [{name: column[rows] for name, column in train.items()} for rows in (shown, hidden)]
                known = classification_baselines(schema, parts[0], places[shown], parts[1], 2)
                for name, probabilities in known.items():
                    chosen = best_threshold(places[hidden] == 1, probabilities[:, 1], self.chosen_by)
                    judges[name] = replace(self, threshold=0.5 if chosen is None else chosen)
        return {name: judges[name].answers(probabilities) for name, probabilities in found.items()}

    def meaning(self) -> dict[str, Any]:
        if self.num_outputs == 1:
            answer = (
                "the probability of classes[1], which is the label where it is above the threshold (0.5 without one)"
            )
            return {"apply": "sigmoid", "answer": answer}
        return {"apply": "softmax", "answer": "the probabilities of classes; the label is that of the greatest"}

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray[Any, Any]]]:
        state: dict[str, Any] = {"classes": list(self.classes)}
        if self.threshold != 0.5 or self.chosen_by is not None:
            state |= {"threshold": self.threshold, "chosen_by": self.chosen_by}
        return state, {}

    @classmethod
    def from_state(cls, state: Mapping[str, Any], arrays: Arrays, schema: Schema | None = None) -> Classification:
        classes = state["classes"]
        if type(classes) is not list or not all(type(label) in (str, int, bool) for label in classes):
            raise FormatError("classes must be strings, integers or booleans, in a list")
        try:
            return cls(tuple(classes), state.get("threshold", 0.5), state.get("chosen_by"))
        except DataError as error:
            raise FormatError(str(error)) from error

    def _probabilities(self, logits: torch.Tensor) -> np.ndarray[Any, Any]:
        """(rows, num_outputs) -> (rows, classes)."""
        if self.num_outputs == 1:
            second = torch.sigmoid(logits[:, 0])
            return torch.stack([1 - second, second], dim=1).cpu().numpy()
        return torch.softmax(logits, dim=1).cpu().numpy()

    def _places(self, target: Target) -> np.ndarray[Any, Any]:
        places = {label_text(label): place for place, label in enumerate(self.classes)}
        texts = [label_text(label) for label in target.tolist()]
        if unknown := sorted(set(texts) - set(places)):
            raise DataError(
                f"label {show(unknown[0])} was not among the training rows' classes: {', '.join(places)}; remove the "
                f"rows, or fit with some of them"
            )
        return np.array([places[text] for text in texts], np.int64)


@dataclass(frozen=True)
class ClassificationOptions:
    """How a classification is to be learned; `maas.fit(task=...)` takes it.

    Args:
        threshold: of two classes, the probability of the second above which it is the answer, from 0 to 1; or what to
            choose it by on the validation rows once the network is trained: "f1", "youden" (sensitivity +
            specificity - 1) or "accuracy". The best of many on few rows is better there than on others: only the scores
            of test rows say how good it is. Where a false alarm costs c and a miss m, c / (c + m) is the threshold of
            least cost, if the probabilities are calibrated.
        label_smoothing: share of each row's target that is spread evenly over all classes, from 0 to below 1
            (Szegedy et al. 2016).
        class_weights: what a row's loss is multiplied by: "balanced", rows / (classes x rows of the class), or a
            weight for each class.

    Raises:
        DataError: an option is out of its range.
    """

    threshold: float | str = 0.5
    label_smoothing: float = 0.0
    class_weights: str | Mapping[Label, float] | None = None

    kind: ClassVar[str] = Classification.kind

    def __post_init__(self) -> None:
        threshold_of(self.threshold)
        smoothing = self.label_smoothing
        if isinstance(smoothing, bool) or not isinstance(smoothing, (int, float)) or not 0 <= smoothing < 1:
            raise DataError(f"`label_smoothing` must be from 0 to below 1, got {show(smoothing)}")
        weights = self.class_weights
        if weights is not None and weights != "balanced" and not isinstance(weights, Mapping):
            raise DataError(f'`class_weights` must be "balanced" or a weight for each class, got {show(weights)}')
        if isinstance(weights, Mapping):
            for label, weight in weights.items():
                if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not 0 <= weight < math.inf:
                    raise DataError(f"the weight of class {show(label)} must be 0 or more, got {show(weight)}")

    def learn(self, target: Target, name: str = "target", schema: Schema | None = None) -> Classification:
        """Learn the classes, and the weights of theirs, from the target of training rows."""
        plain = Classification.learn(target, name)
        threshold, chosen_by = threshold_of(self.threshold)
        return replace(
            plain,
            threshold=threshold,
            chosen_by=chosen_by,
            settled=chosen_by is None,
            label_smoothing=float(self.label_smoothing),
            class_weights=self._weights(plain.classes, target),
        )

    def _weights(self, classes: tuple[Label, ...], target: Target) -> tuple[float, ...] | None:
        if self.class_weights is None:
            return None
        texts = [label_text(label) for label in classes]
        if not isinstance(self.class_weights, Mapping):
            counts = Counter(map(label_text, target.tolist()))
            return tuple(len(target) / (len(texts) * counts[text]) for text in texts)
        given = {label_text(label): float(weight) for label, weight in self.class_weights.items()}
        if set(given) != set(texts):
            raise DataError(
                f"`class_weights` must have a weight for each class: got {', '.join(given)}, there are "
                f"{', '.join(texts)}"
            )
        if not any(given.values()):
            raise DataError("`class_weights` are 0 for every class, which leaves nothing to learn; raise one")
        return tuple(given[text] for text in texts)


def _label(value: Any) -> Label:
    """A label as it is stored: a whole float is an integer, and no other float is a label."""
    label = int(value) if isinstance(value, float) and value.is_integer() else value
    if not isinstance(label, (str, int)) or (isinstance(label, int) and abs(label) >= 2**53):
        hint = "; is it a regression?" if isinstance(label, float) else ""
        raise DataError(f"a class is a string, an integer below 2**53 or a boolean, got {show(value)}{hint}")
    return label
