"""The next steps of a series."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from maas.errors import DataError, FormatError, show
from maas.metrics import Scores, forecast_scores
from maas.schema import Columns, Schema
from maas.task._answers import Answers, Batch
from maas.task._base import Arrays, Target, Task, task
from maas.task._forecast_baselines import forecast_baselines

_MOST_OUTPUTS = 1 << 20


@task("forecast")
@dataclass(frozen=True)
class Forecast(Task):
    """The next `horizon` steps, of one channel or several. The network learns each channel standardised.

    Answers have `values`, in the target's own unit: `horizon` numbers, or as many lists of a number a channel.

    Args:
        horizon: steps ahead.
        mean, scale: float64 of shape (channels,), of the training rows' target; of shape () where the target has no
            axis of channels.
    """

    kind = "forecast"

    horizon: int
    mean: np.ndarray[Any, Any]
    scale: np.ndarray[Any, Any]

    @classmethod
    def learn(cls, target: Target, name: str = "target", schema: Schema | None = None) -> Forecast:
        values = _numbers(target, name)
        with np.errstate(over="ignore", invalid="ignore"):
            mean, scale = values.mean(axis=(0, 1)), values.std(axis=(0, 1))
        if not (np.isfinite(mean).all() and np.isfinite(scale).all()):
            raise DataError(f"the target {show(name)} holds numbers too large to standardise; give it in another unit")
        constant = np.ptp(values, axis=(0, 1)) == 0
        if constant.all():
            raise DataError(f"the target {show(name)} is the same at every step: there is nothing to learn")
        return cls(values.shape[1], np.asarray(mean), np.asarray(np.where(constant, 1.0, scale)))

    @property
    def num_outputs(self) -> int:
        return self.horizon * self.mean.size

    @property
    def unit(self) -> float:
        return float(self.scale.max())

    def encode(self, target: Target) -> torch.Tensor:
        """Standardised values, float32 of shape (rows, horizon) or (rows, horizon, channels)."""
        values = _numbers(target, "target")
        if values.shape[1:] != (self.horizon, *self.mean.shape):
            wanted = (self.horizon, *self.mean.shape)
            raise DataError(f"the target of this forecast has the shape {wanted} a row, got {values.shape[1:]}")
        return torch.from_numpy(((values - self.mean) / self.scale).astype(np.float32))

    def loss(self, network: nn.Module, batch: Batch) -> torch.Tensor:
        """Mean squared error over each row's horizon and channels, in squared deviations of the training target."""
        outputs = network(**batch.inputs)  # (batch, num_outputs)
        assert batch.target is not None
        squared: torch.Tensor = (outputs - batch.target.flatten(1)).square()  # no shorter floats than the target's
        return squared.mean(dim=1)

    def run(self, network: nn.Module, batch: Batch) -> Iterator[Answers]:
        outputs = network(**batch.inputs)  # (batch, num_outputs)
        values = outputs.double().cpu().numpy().reshape(len(batch), self.horizon, *self.mean.shape)
        yield Answers({"values": values * self.scale + self.mean})

    def score(self, answers: Answers, truth: Target) -> Scores:
        return forecast_scores(_numbers(truth, "target"), answers["values"])

    def baselines(self, schema: Schema, train: Columns, target: Target, test: Columns) -> dict[str, Answers]:
        found = forecast_baselines(schema, train, _numbers(target, "target"), test)
        return {name: Answers({"values": values}) for name, values in found.items()}

    def meaning(self) -> dict[str, Any]:
        shape = ["batch", self.horizon, *self.mean.shape]
        return {"apply": None, "answer": f"the values are outputs, reshaped to {shape}, * scale + mean, in float64"}

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray[Any, Any]]]:
        return {"horizon": self.horizon}, {"mean": self.mean, "scale": self.scale}

    @classmethod
    def from_state(cls, state: Mapping[str, Any], arrays: Arrays, schema: Schema | None = None) -> Forecast:
        horizon, mean, scale = state["horizon"], arrays["mean"], arrays["scale"]
        if type(horizon) is not int or not 0 < horizon <= _MOST_OUTPUTS or horizon * mean.size > _MOST_OUTPUTS:
            raise FormatError(f"a forecast's horizon must be a positive number of steps, got {show(horizon)}")
        shapes = mean.ndim < 2 and mean.size and mean.shape == scale.shape
        if not shapes or mean.dtype != np.float64 or scale.dtype != np.float64:
            raise FormatError("a forecast's mean and scale must be float64, one of each a channel")
        if not (np.isfinite(mean).all() and np.isfinite(scale).all() and (scale > 0).all()):
            raise FormatError("a forecast's mean and scale must be finite numbers, the scale above 0")
        return cls(horizon, mean, scale)


def _numbers(target: Target, name: str) -> np.ndarray[Any, Any]:
    try:
        values = target.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"the target {show(name)} of a forecast must be numbers: {error}") from error
    if values.ndim not in (2, 3) or not math.prod(values.shape):
        raise DataError(
            f"the target {show(name)} of a forecast has the shape (rows, horizon) or (rows, horizon, channels), got "
            f"{values.shape}; make such rows with maas.data.windows"
        )
    if not np.isfinite(values).all():
        raise DataError(f"the target {show(name)} of a forecast must be finite numbers")
    return values
