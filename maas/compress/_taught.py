"""A task whose answers a larger network teaches too: knowledge distillation."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import nn
from torch.nn import functional as F

from maas.errors import CompressionError, DataError, show
from maas.metrics import Scores
from maas.model import Model
from maas.schema import Columns, Schema
from maas.storage import sha256
from maas.task import Answers, Batch, Task

Target = np.ndarray[Any, Any]
Arrays = Mapping[str, Target]
_Loss = Callable[[torch.Tensor, torch.Tensor, float], torch.Tensor]


class Taught(Task):
    """A model's task, learned from the labels and from what its network answers to the same prepared rows.

    It is what `maas.fit` takes as `task` to let another network learn, and no part of any model: rows are answered,
    scored and stored by the task within.

    Args:
        teacher: its network answers each batch anew, so that augmented rows get answers of their own.
        task: the model's own.
        temperature: what both networks' scores are divided by before they are compared; above 1 unlikely classes count
            for more.
        share: of the loss that is the teacher's; the rest is the labels'.

    Raises:
        CompressionError: the task is none that another network's numbers can teach.

    Source: Hinton, Vinyals and Dean 2015, "Distilling the knowledge in a neural network", arXiv:1503.02531, section 2.
    """

    def __init__(self, teacher: Model, task: Task, *, temperature: float = 2.0, share: float = 0.9) -> None:
        if task.kind not in LOSSES:
            raise CompressionError(
                f"a {task.kind} cannot be taught by another network's answers, {', '.join(LOSSES)} can"
            )
        for name, value, most in (("temperature", temperature, 100), ("teacher_share", share, 1)):
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= most:
                raise DataError(f"`{name}` must be above 0 and at most {most}, got {show(value)}")
        self.inner, self.temperature, self.share = task, float(temperature), float(share)
        self.kind = task.kind  # type: ignore[misc]
        self.teacher = copy.deepcopy(teacher.network).eval().requires_grad_(False)
        tensors: Mapping[str, torch.Tensor] = self.teacher.state_dict()
        for one in teacher.recipe.transforms:
            tensors = one.stored(tensors)
        tensors = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
        self._digest = sha256(safetensors.torch.save(tensors))

    def __repr__(self) -> str:
        """What tells a run from another one, which `maas.fit` goes by when it goes on with one."""
        return f"Taught({self.inner!r}, {self.temperature:g}, {self.share:g}, by {self._digest[:16]})"

    def learn(self, target: Target, name: str = "target", schema: Schema | None = None) -> Task:  # type: ignore[override]
        """The task itself: what its target stands for was learned by the teacher."""
        self.inner.encode(target)  # a label that the teacher does not know
        return self

    def loss(self, network: nn.Module, batch: Batch) -> torch.Tensor:
        """The loss of each row: in training of labels and teacher, else, where an epoch is judged, of labels alone."""
        if not network.training:
            return self.inner.loss(network, batch)
        heard = _Heard(network)
        by_labels = self.inner.loss(heard, batch)  # type: ignore[arg-type]
        with torch.no_grad():
            told = self.teacher.to(batch.device)(**batch.inputs)
        by_teacher = LOSSES[self.kind](heard.outputs, told, self.temperature)
        losses: torch.Tensor = (1 - self.share) * by_labels + self.share * by_teacher
        return losses

    @property
    def num_outputs(self) -> int:
        return self.inner.num_outputs

    @property
    def unit(self) -> float:
        return self.inner.unit

    @property
    def is_settled(self) -> bool:
        return self.inner.is_settled

    def settle(self, answers: Answers, truth: Target) -> Task:
        return self.inner.settle(answers, truth)

    def encode(self, target: Target) -> torch.Tensor:
        return self.inner.encode(target)

    def run(self, network: nn.Module, batch: Batch) -> Iterator[Answers]:
        return self.inner.run(network, batch)

    def score(self, answers: Answers, truth: Target) -> Scores:
        return self.inner.score(answers, truth)

    def baselines(self, schema: Schema, train: Columns, target: Target, test: Columns) -> dict[str, Answers]:
        return self.inner.baselines(schema, train, target, test)

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray[Any, Any]]]:
        return self.inner.state()

    @classmethod
    def from_state(cls, state: Mapping[str, Any], arrays: Arrays, schema: Schema) -> Task:
        raise CompressionError("a task with a teacher is not stored; the task within it is")


class _Heard:
    """A network that keeps what it gave: its outputs serve two losses."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network

    def __call__(self, **inputs: torch.Tensor) -> torch.Tensor:
        outputs: torch.Tensor = self.network(**inputs)
        self.outputs = outputs
        return outputs


def _of_classes(outputs: torch.Tensor, told: torch.Tensor, temperature: float) -> torch.Tensor:
    """Divergence from the teacher's probabilities; its gradients shrink by the square of the temperature."""
    if outputs.shape[1] == 1:
        return _of_labels(outputs, told, temperature)
    wanted = F.log_softmax(told / temperature, dim=1)
    found = F.log_softmax(outputs / temperature, dim=1)
    losses: torch.Tensor = F.kl_div(found, wanted, reduction="none", log_target=True)
    scaled: torch.Tensor = losses.sum(dim=1) * temperature**2
    return scaled


def _of_labels(outputs: torch.Tensor, told: torch.Tensor, temperature: float) -> torch.Tensor:
    """Cross entropy of each label, the mean over them."""
    wanted = torch.sigmoid(told / temperature).to(outputs.dtype)
    losses = F.binary_cross_entropy_with_logits(outputs / temperature, wanted, reduction="none")
    scaled: torch.Tensor = losses.mean(dim=1) * temperature**2
    return scaled


def _of_numbers(outputs: torch.Tensor, told: torch.Tensor, temperature: float) -> torch.Tensor:
    """Squared error from the teacher's numbers; with the labels' it is that from a mean of both, and a constant."""
    squared: torch.Tensor = (outputs - told).square()
    return squared.mean(dim=1)


LOSSES: Mapping[str, _Loss] = {
    "classification": _of_classes,
    "multilabel": _of_labels,
    "regression": _of_numbers,
    "forecast": _of_numbers,
}
