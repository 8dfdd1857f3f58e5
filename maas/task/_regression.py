"""One number a row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from maas.errors import DataError, FormatError, show
from maas.metrics import Scores, regression_scores
from maas.schema import Columns, Schema
from maas.task._answers import Answers, Batch
from maas.task._base import Arrays, Target, Task, task
from maas.task._baselines import regression_baselines

_LEAST_SCALE = 1e-100


@task("regression")
@dataclass(frozen=True)
class Regression(Task):
    """One number a row. The network learns it standardised; answers have `value`, in the target's own unit.

    Args:
        mean, scale: of the training rows' target: the network's output times `scale` plus `mean` is the value.
    """

    kind = "regression"

    mean: float = 0.0
    scale: float = 1.0

    @classmethod
    def learn(cls, target: Target, name: str = "target", schema: Schema | None = None) -> Regression:
        values = _floats(target, name)
        if len(np.unique(values)) < 2:
            raise DataError(f"the target {show(name)} is {values[0]:g} in every row: there is nothing to learn")
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            mean, scale = float(values.mean()), float(values.std())
        if not np.isfinite([mean, scale]).all() or scale < _LEAST_SCALE:
            raise DataError(f"the target {show(name)} has numbers too large or too small to learn; give another unit")
        return cls(mean, scale)

    @property
    def num_outputs(self) -> int:
        return 1

    @property
    def unit(self) -> float:
        return self.scale

    def encode(self, target: Target) -> torch.Tensor:
        """Standardised values, float32 of shape (rows,)."""
        return torch.from_numpy(((_floats(target, "target") - self.mean) / self.scale).astype(np.float32))

    def loss(self, network: nn.Module, batch: Batch) -> torch.Tensor:
        """Squared error of each row, in squared deviations of the training target."""
        outputs = network(**batch.inputs)  # (batch, 1)
        assert batch.target is not None
        squared: torch.Tensor = (outputs[:, 0] - batch.target).square()  # no shorter floats than the target's
        return squared

    def run(self, network: nn.Module, batch: Batch) -> Iterator[Answers]:
        outputs = network(**batch.inputs)  # (batch, 1)
        yield Answers({"value": outputs[:, 0].double().cpu().numpy() * self.scale + self.mean})

    def aim(self, outputs: torch.Tensor, label: Any = None) -> tuple[torch.Tensor, list[Any]]:
        """The value less the training mean, in the target's own unit."""
        if label is not None:
            raise DataError(f"a regression has no labels to explain, got `label` {show(label)}; leave it out")
        return torch.full_like(outputs, self.scale), [None] * len(outputs)

    def score(self, answers: Answers, truth: Target) -> Scores:
        return regression_scores(_floats(truth, "target"), answers["value"])

    def baselines(self, schema: Schema, train: Columns, target: Target, test: Columns) -> dict[str, Answers]:
        found = regression_baselines(schema, train, _floats(target, "target"), test)
        return {name: Answers({"value": values}) for name, values in found.items()}

    def meaning(self) -> dict[str, Any]:
        return {"apply": None, "answer": "the value is outputs[:, 0] * scale + mean, in float64"}

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray[Any, Any]]]:
        return {"mean": self.mean, "scale": self.scale}, {}

    @classmethod
    def from_state(cls, state: Mapping[str, Any], arrays: Arrays, schema: Schema | None = None) -> Regression:
        mean, scale = state["mean"], state["scale"]
        if type(mean) is not float or type(scale) is not float or not np.isfinite([mean, scale]).all() or scale <= 0:
            raise FormatError(f"a regression's mean and scale must be finite numbers, got {show(mean)}, {show(scale)}")
        return cls(mean, scale)


def _floats(target: Target, name: str) -> np.ndarray[Any, Any]:
    try:
        values = target.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"the target {show(name)} of a regression must be numbers: {error}") from error
    if not np.isfinite(values).all():
        raise DataError(f"the target {show(name)} of a regression must be finite numbers")
    return values
