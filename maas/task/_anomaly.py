"""How unusual a row is, learned from normal ones."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from maas.errors import DataError, FormatError, show
from maas.metrics import Scores, anomaly_scores
from maas.schema import Columns, Schema, label_text
from maas.task._anomaly_baselines import anomaly_baselines
from maas.task._answers import Answers, Batch
from maas.task._base import Arrays, Label, Target, Task, task

_LEAST_THRESHOLD = 1e-30  # of a network that rebuilds every validation row exactly


@task("anomaly")
@dataclass(frozen=True)
class Anomaly(Task):
    """How unusual a row is. The network gives one number a row, which is its loss too: an autoencoder's error.

    Answers have `score`, the network's number in units of the threshold, and `anomalous`, whether it is above 1.

    The threshold is learned from normal validation rows: it is the score that at least the share 1 - `false_alarms` of
    `n + 1` rows do not pass, so that a further normal row passes it with a probability of at most `false_alarms`, over
    all draws of validation rows and row together, if all of them come from one source independently. It says nothing
    about how many anomalies are found, about one given set of validation rows, or about rows after the process has
    changed. Where the validation rows choose the best epoch too, the bound is nearly but not strictly kept;
    `maas.fit(..., keep="last")` keeps it.

    Args:
        normal: the labels, as text, that normal rows have; None where training rows had no target, and no label is
            known to be normal.
        threshold: the network's number from which on a row is an anomaly.
        false_alarms: the share of normal rows that may be taken for anomalies, above 0 and below 1.
        num_normal: the normal rows that chose the threshold; 0 where it was given.
        settled: whether the threshold stands; if not, `settle` chooses it.

    Raises:
        DataError: an argument is out of its range.

    Source: split conformal prediction, Vovk, Gammerman and Shafer 2005; the conformal p-value of Bates et al. 2023
    (doi 10.1214/22-AOS2244), solved for the score.
    """

    kind = "anomaly"
    needs_target = False

    normal: tuple[str, ...] | None = None
    threshold: float = 1.0
    false_alarms: float = 0.01
    num_normal: int = 0
    settled: bool = True

    def __post_init__(self) -> None:
        _check_share(self.false_alarms)
        if isinstance(self.threshold, bool) or not isinstance(self.threshold, (int, float)):
            raise DataError(f"`threshold` must be a number above 0, got {show(self.threshold)}")
        if not 0 < self.threshold < math.inf:
            raise DataError(f"`threshold` must be a finite number above 0, got {show(self.threshold)}")

    @staticmethod
    def with_options(*, normal: Label | Sequence[Label] | None = None, false_alarms: float = 0.01) -> AnomalyOptions:
        """This task, told what is normal: `maas.fit(..., task=Anomaly.with_options(normal="ok"))`.

        Args: those of `AnomalyOptions`.
        """
        return AnomalyOptions(normal, false_alarms)

    @classmethod
    def learn(cls, target: Target | None, name: str = "target", schema: Schema | None = None) -> Anomaly:
        return AnomalyOptions().learn(target, name)

    @property
    def num_outputs(self) -> int:
        return 1

    @property
    def is_settled(self) -> bool:
        return self.settled

    def teaching(self, target: Target) -> np.ndarray[Any, Any]:
        """The normal rows."""
        return ~self._anomalous(target)

    def settle(self, answers: Answers, truth: Target | None) -> Anomaly:
        """This task with the threshold that the normal ones of these rows give.

        They are too few where `false_alarms` is below 1 / (rows + 1): then the greatest of their scores is the
        threshold, and a warning says which share it stands for.
        """
        errors = answers["score"] * self.threshold
        if truth is not None:
            errors = errors[~self._anomalous(truth)]
        rows = len(errors)
        if errors.min() < 0:
            raise DataError(
                f"the network of an anomaly gives errors, 0 or more, got {errors.min():g}; take one such as "
                f"maas.nn.AutoEncoder (--network autoencoder), or let your own give exp of it, say"
            )
        rank = math.ceil((rows + 1) * (1 - self.false_alarms) - 1e-9)
        if rank > rows:
            warnings.warn(
                f"{rows} normal validation rows are too few for `false_alarms` {self.false_alarms:g}, which takes "
                f"{math.ceil(1 / self.false_alarms - 1e-9) - 1}: the threshold is their greatest score, which "
                f"stands for {1 / (rows + 1):.2g}; give more rows, or raise `false_alarms`",
                stacklevel=3,
            )
        chosen = float(np.sort(errors)[min(rank, rows) - 1])
        return replace(self, threshold=max(chosen, _LEAST_THRESHOLD), num_normal=rows, settled=True)

    def encode(self, target: Target) -> torch.Tensor:
        """Zeros, float32 of shape (rows,): what the rows teach is in their fields."""
        return torch.zeros(len(target))

    def loss(self, network: nn.Module, batch: Batch) -> torch.Tensor:
        """The network's number of each row."""
        outputs: torch.Tensor = network(**batch.inputs)  # (batch, 1)
        return outputs[:, 0]

    def run(self, network: nn.Module, batch: Batch) -> Iterator[Answers]:
        outputs = network(**batch.inputs)  # (batch, 1)
        yield self.answers(outputs[:, 0].double().cpu().numpy())

    def answers(self, errors: np.ndarray[Any, Any]) -> Answers:
        """Answers out of the network's numbers, float64 of shape (rows,)."""
        scores = errors / self.threshold
        return Answers({"score": scores, "anomalous": scores > 1.0})

    def aim(self, outputs: torch.Tensor, label: Any = None) -> tuple[torch.Tensor, list[Any]]:
        """The score."""
        if label is not None:
            raise DataError(f"an anomaly has no labels to explain, got `label` {show(label)}; leave it out")
        return torch.full_like(outputs, 1 / self.threshold), [None] * len(outputs)

    def score(self, answers: Answers, truth: Target) -> Scores:
        """Scores; every row whose label is not normal is an anomaly, of whatever kind."""
        return anomaly_scores(self._anomalous(truth), answers["score"], answers["anomalous"])

    def baselines(self, schema: Schema, train: Columns, target: Target | None, test: Columns) -> dict[str, Answers]:
        """Each method is taught by four of five normal rows; the others choose its threshold by the same rule."""
        if target is not None:
            train = {name: column[self.teaching(target)] for name, column in train.items()}
        found = {}
        for name, (held_out, errors) in anomaly_baselines(schema, train, test).items():
            plain = replace(self, threshold=1.0)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # too few rows were told of when the network's threshold was chosen
                found[name] = plain.settle(plain.answers(held_out), None).answers(errors)
        return found

    def meaning(self) -> dict[str, Any]:
        return {"apply": None, "answer": "the score is outputs[:, 0] / threshold, in float64; anomalous is above 1"}

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray[Any, Any]]]:
        return {
            "normal": None if self.normal is None else list(self.normal),
            "threshold": float(self.threshold),
            "false_alarms": float(self.false_alarms),
            "num_normal": self.num_normal,
        }, {}

    @classmethod
    def from_state(cls, state: Mapping[str, Any], arrays: Arrays, schema: Schema | None = None) -> Anomaly:
        normal, rows = state["normal"], state["num_normal"]
        if normal is not None and (type(normal) is not list or not all(type(one) is str for one in normal)):
            raise FormatError("the labels of normal rows must be strings, in a list")
        if type(rows) is not int or rows < 0:
            raise FormatError(f"the number of normal rows must be 0 or more, got {show(rows)}")
        if type(state["threshold"]) is not float or type(state["false_alarms"]) is not float:
            raise FormatError("the threshold and the share of false alarms must be numbers")
        try:
            return cls(None if normal is None else tuple(normal), state["threshold"], state["false_alarms"], rows)
        except DataError as error:
            raise FormatError(str(error)) from error

    def _anomalous(self, target: Target) -> np.ndarray[Any, Any]:
        """Whether each row's label is not one of normal rows, bool of shape (rows,)."""
        if self.normal is None:
            raise DataError(
                "the model learned without labels and does not know which of them are normal; fit it with "
                "task=maas.task.Anomaly.with_options(normal=...), or maas fit --normal LABEL"
            )
        if target.ndim != 1:
            raise DataError(f"the target of an anomaly is one label a row, got the shape {target.shape}")
        return np.array([label_text(label) not in self.normal for label in target.tolist()], bool)


@dataclass(frozen=True)
class AnomalyOptions:
    """What is normal, and how many false alarms may be; `maas.fit(task=...)` takes it.

    Args:
        normal: the label, or the labels, that normal rows have: all others are anomalies, of kinds never seen too.
            None: rows without target are all normal, and so is the label of a target that has only one.
        false_alarms: the share of normal rows that may be taken for anomalies, above 0 and below 1. See `Anomaly`.

    Raises:
        DataError: an option is out of its range.
    """

    normal: Label | Sequence[Label] | None = None
    false_alarms: float = 0.01

    kind: ClassVar[str] = Anomaly.kind

    def __post_init__(self) -> None:
        _check_share(self.false_alarms)
        if self.normal is not None and not _listed(self.normal):
            raise DataError(f"`normal` must be a label or several, such as 'ok', got {show(self.normal)}")

    def learn(self, target: Target | None, name: str = "target", schema: Schema | None = None) -> Anomaly:
        """Learn which labels are normal from the target of training rows, where they have one."""
        normal = None if self.normal is None else tuple(sorted({label_text(label) for label in _listed(self.normal)}))
        if target is not None:
            if target.ndim != 1 or any(isinstance(label, (tuple, list)) for label in target):
                raise DataError(f"the target {show(name)} of an anomaly is one label a row")
            known = sorted({label_text(label) for label in target.tolist()})
            if normal is None and len(known) > 1:
                raise DataError(
                    f"say which label of the target {show(name)} normal rows have, "
                    f"task=maas.task.Anomaly.with_options(normal={known[0]!r}) for one; there are "
                    f"{', '.join(map(show, known[:20]))}"
                )
            normal = normal or tuple(known)
            if not set(normal) & set(known):
                raise DataError(
                    f"`normal` says {', '.join(map(show, normal))}, and no training row has that label: there are "
                    f"{', '.join(map(show, known[:20]))}"
                )
        return Anomaly(normal, false_alarms=self.false_alarms, settled=False)


def _check_share(share: Any) -> None:
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 < share < 1:
        raise DataError(f"`false_alarms` must be a share above 0 and below 1, got {show(share)}")


def _listed(normal: Any) -> list[Label]:
    """The labels as a list; empty where they are none."""
    labels = list(normal) if isinstance(normal, (list, tuple, set, frozenset)) else [normal]
    return labels if all(isinstance(label, (str, int)) for label in labels) else []
