"""Any number of labels a row."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from maas.errors import DataError, FormatError, show
from maas.metrics import Scores, best_threshold, multilabel_scores, scores_by_label
from maas.schema import Columns, Schema
from maas.task._answers import Answers, Batch
from maas.task._base import Arrays, Target, Task, task
from maas.task._multilabel_baselines import multilabel_baselines
from maas.task._threshold import alternate, check_threshold, threshold_of

_Matrix = np.ndarray[Any, Any]
_MOST_LABELS = 1 << 16


@task("multilabel")
@dataclass(frozen=True)
class MultiLabel(Task):
    """Any number of labels a row, none too: one output and one sigmoid a label.

    Answers have `labels`, those whose probability is above their threshold, and `probabilities` by label. A label that
    no training row has is not known: it is never answered, and where test rows have it, it counts as missed. One that
    every training row has is learned like the others.

    Args:
        classes: the labels, in the order of the outputs.
        thresholds: one a label, from 0 to 1.
        chosen_by: what the thresholds are the best by; None where they were given.
        settled: whether the thresholds stand; if not, `settle` chooses them.
        positive_weights: what the loss of a label that a row has is multiplied by, one a label. Only learning needs
            them: they are no part of what is stored.

    Raises:
        DataError: there is no label, or one twice, or a threshold out of its range.
    """

    kind = "multilabel"

    classes: tuple[str, ...]
    thresholds: tuple[float, ...]
    chosen_by: str | None = None
    settled: bool = True
    positive_weights: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if not 0 < len(self.classes) <= _MOST_LABELS or len(set(self.classes)) < len(self.classes):
            raise DataError(
                f"several labels a row need 1 to {_MOST_LABELS:,} different labels, got {len(self.classes)}"
            )
        if len(self.thresholds) != len(self.classes):
            raise DataError(
                f"there must be a threshold for each of {len(self.classes)} labels, got {len(self.thresholds)}"
            )
        for threshold in self.thresholds:
            check_threshold(threshold, self.chosen_by)

    @staticmethod
    def with_options(*, threshold: float | str = 0.5, positive_weights: str | None = None) -> MultiLabelOptions:
        """This task, told how to answer and to learn: `maas.fit(..., task=MultiLabel.with_options(threshold="f1"))`.

        Args: those of `MultiLabelOptions`.
        """
        return MultiLabelOptions(threshold, positive_weights)

    @classmethod
    def learn(cls, target: Target, name: str = "target", schema: Schema | None = None) -> MultiLabel:
        found = sorted({label for labels in _checked(target, name) for label in labels})
        if not found:
            raise DataError(f"no row has a label in the target {show(name)}: there is nothing to learn")
        return cls(tuple(found), (0.5,) * len(found))

    @property
    def num_outputs(self) -> int:
        return len(self.classes)

    @property
    def is_settled(self) -> bool:
        return self.settled

    def settle(self, answers: Answers, truth: Target) -> MultiLabel:
        """This task with the threshold of each label that is best on these rows.

        A label that none or all of them have keeps 0.5, with a warning that counts such labels.
        """
        assert self.chosen_by is not None
        hot = self._hot(truth)
        chosen = _best(hot, answers["probabilities"], self.chosen_by)
        if stuck := [label for label, one in zip(self.classes, chosen, strict=True) if one is None]:
            warnings.warn(
                f"{len(stuck)} of {len(chosen)} labels, such as {show(stuck[0])}, stand in none or in all of the "
                f"validation rows, which chooses no threshold: theirs stays 0.5; give more validation rows",
                stacklevel=3,
            )
        return replace(self, thresholds=_or_half(chosen), settled=True)

    def encode(self, target: Target) -> torch.Tensor:
        """Which row has which label: float32 ones and zeros of shape (rows, labels)."""
        known = set(self.classes)
        for labels in _checked(target, "target"):
            if unknown := set(labels) - known:
                raise DataError(
                    f"label {show(min(unknown))} was not among the training rows' labels: "
                    f"{', '.join(self.classes[:20])}; remove it, or fit with rows that have it"
                )
        return torch.from_numpy(self._hot(target).astype(np.float32))

    def loss(self, network: nn.Module, batch: Batch) -> torch.Tensor:
        """Binary cross entropy of each row, in nats, the mean over the labels."""
        logits = network(**batch.inputs)  # (batch, labels)
        assert batch.target is not None
        weights = None
        if self.positive_weights is not None:
            weights = torch.tensor(self.positive_weights, device=logits.device, dtype=logits.dtype)
        losses = F.binary_cross_entropy_with_logits(
            logits, batch.target.to(logits.dtype), pos_weight=weights, reduction="none"
        )
        return losses.mean(dim=1)

    def run(self, network: nn.Module, batch: Batch) -> Iterator[Answers]:
        logits = network(**batch.inputs).float()  # (batch, labels)
        yield self.answers(torch.sigmoid(logits).cpu().numpy())

    def aim(self, outputs: torch.Tensor, label: Any = None) -> tuple[torch.Tensor, list[Any]]:
        """The score of the likeliest label, or of `label`."""
        if label is not None and label not in self.classes:
            raise DataError(f"`label` must be one of {', '.join(self.classes[:20])}, got {show(label)}")
        given = torch.full((len(outputs),), self.classes.index(label) if label is not None else 0)
        places = given.to(outputs.device) if label is not None else outputs.argmax(dim=1)
        weights = F.one_hot(places, self.num_outputs).to(outputs.dtype)
        return weights, [self.classes[place] for place in places.tolist()]

    def answers(self, probabilities: _Matrix) -> Answers:
        """Answers out of probabilities of shape (rows, labels)."""
        above = probabilities.astype(np.float64) > np.array(self.thresholds)
        labels = np.empty(len(above), object)
        for row, places in enumerate(above):
            labels[row] = [self.classes[place] for place in np.flatnonzero(places)]
        return Answers({"labels": labels, "probabilities": probabilities}, {"probabilities": self.classes})

    def score(self, answers: Answers, truth: Target) -> Scores:
        """Scores; a label that the training rows lacked stands beside the others, and is missed wherever it is."""
        return multilabel_scores(*self._beside(answers, truth))

    def score_by_label(self, answers: Answers, truth: Target) -> dict[str, dict[str, float | None]]:
        """Precision, recall, F1, average precision and number of rows of each label."""
        return scores_by_label(*self._beside(answers, truth))

    def baselines(self, schema: Schema, train: Columns, target: Target, test: Columns) -> dict[str, Answers]:
        """Each method answers with thresholds of its own where the network's were chosen, by rows kept from it."""
        hot = self._hot(target)
        found = multilabel_baselines(schema, train, hot, test)
        judges = dict.fromkeys(found, self)
        if self.chosen_by is not None:
            shown, hidden = alternate(hot @ np.arange(1, hot.shape[1] + 1))
            parts = [{name: column[rows] for name, column in train.items()} for rows in (shown, hidden)]
            for name, probabilities in multilabel_baselines(schema, parts[0], hot[shown], parts[1]).items():
                chosen = _best(hot[hidden], probabilities, self.chosen_by)
                judges[name] = replace(self, thresholds=_or_half(chosen))
        return {name: judges[name].answers(probabilities) for name, probabilities in found.items()}

    def meaning(self) -> dict[str, Any]:
        answer = "the probabilities of classes; the labels are those whose probability is above their threshold"
        return {"apply": "sigmoid", "answer": answer}

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray[Any, Any]]]:
        return {"classes": list(self.classes), "thresholds": list(self.thresholds), "chosen_by": self.chosen_by}, {}

    @classmethod
    def from_state(cls, state: Mapping[str, Any], arrays: Arrays, schema: Schema | None = None) -> MultiLabel:
        classes, thresholds = state["classes"], state["thresholds"]
        if type(classes) is not list or not all(type(label) is str for label in classes):
            raise FormatError("labels must be strings, in a list")
        if type(thresholds) is not list or not all(type(one) is float for one in thresholds):
            raise FormatError("thresholds must be numbers, in a list")
        try:
            return cls(tuple(classes), tuple(thresholds), state["chosen_by"])
        except DataError as error:
            raise FormatError(str(error)) from error

    def _beside(self, answers: Answers, truth: Target) -> tuple[_Matrix, _Matrix, _Matrix, list[str]]:
        """Truth, answers and probabilities of shape (rows, labels), and the labels, those of the truth alone last."""
        unknown = sorted({label for labels in _checked(truth, "target") for label in labels} - set(self.classes))
        known = [*self.classes, *unknown]
        probabilities = np.pad(answers["probabilities"], ((0, 0), (0, len(unknown))))
        return _matrix(truth, known), _matrix(answers["labels"], known), probabilities, known

    def _hot(self, target: Target) -> _Matrix:
        return _matrix(_checked(target, "target"), self.classes)


@dataclass(frozen=True)
class MultiLabelOptions:
    """How several labels a row are to be learned and answered; `maas.fit(task=...)` takes it.

    Args:
        threshold: probability above which a label is answered, from 0 to 1; or what to choose one for each label by,
            on the validation rows once the network is trained: "f1", "youden" or "accuracy".
        positive_weights: "balanced" multiplies the loss of a label that a row has by the number of training rows
            without it over the number with it; None: each counts the same.

    Raises:
        DataError: an option is out of its range.
    """

    threshold: float | str = 0.5
    positive_weights: str | None = None

    kind: ClassVar[str] = MultiLabel.kind

    def __post_init__(self) -> None:
        threshold_of(self.threshold)
        if self.positive_weights not in (None, "balanced"):
            raise DataError(f'`positive_weights` must be "balanced" or None, got {show(self.positive_weights)}')

    def learn(self, target: Target, name: str = "target", schema: Schema | None = None) -> MultiLabel:
        """Learn the labels, and the weights of theirs, from the target of training rows."""
        plain = MultiLabel.learn(target, name)
        threshold, chosen_by = threshold_of(self.threshold)
        weights = None
        if self.positive_weights is not None:
            counts = plain._hot(target).sum(axis=0)
            # A label that every row has would weigh nothing at all.
            weights = tuple(float(max(len(target) - count, 1) / count) for count in counts)
        return replace(
            plain,
            thresholds=(threshold,) * len(plain.classes),
            chosen_by=chosen_by,
            settled=chosen_by is None,
            positive_weights=weights,
        )


def _checked(target: Target, name: str) -> Target:
    if target.ndim != 1 or not all(isinstance(labels, (tuple, list)) for labels in target):
        raise DataError(
            f"the target {show(name)} must hold the labels of each row; read it with task='multilabel', or name a "
            f"column a label: target=['a', 'b']"
        )
    return target


def _matrix(rows: Target, labels: tuple[str, ...] | list[str]) -> _Matrix:
    """Which row has which label, bool of shape (rows, labels); other labels are passed over."""
    places = {label: place for place, label in enumerate(labels)}
    hot = np.zeros((len(rows), len(labels)), bool)
    for row, found in enumerate(rows):
        hot[row, [places[label] for label in found if label in places]] = True
    return hot


def _best(hot: _Matrix, probabilities: _Matrix, criterion: str) -> list[float | None]:
    return [best_threshold(hot[:, place], probabilities[:, place], criterion) for place in range(hot.shape[1])]


def _or_half(chosen: list[float | None]) -> tuple[float, ...]:
    return tuple(0.5 if one is None else one for one in chosen)
