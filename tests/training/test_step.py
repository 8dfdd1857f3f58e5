"""Short floats: each learns as float32 does, a scaler skips what overflows, TF32 ends with the training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from maas.task import Batch, Classification, Forecast, Regression, Task
from maas.training import Settings
from maas.training._feed import Portion
from maas.training._freeze import Pace
from maas.training._mean_loss import mean_loss
from maas.training._state import State
from maas.training._step import Eager
from maas.training._world import World

from .by_hand import SGD, assert_same, random_rows, small_network, trained, trained_by_hand


def _small(rows: int = 64) -> Batch:
    x = torch.randn(rows, 4, generator=torch.Generator().manual_seed(0))
    return Batch({"x": x}, (x[:, 0] - 0.5 * x[:, 1]).clamp(-1, 1))


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
@pytest.mark.parametrize("task", [Regression(), Classification((0, 1, 2))])
def test_short_floats_learn_as_float32_does(precision: str, task: Task) -> None:
    """Reference: the same run in float32; weights and moments stay float32."""
    rows = _small()
    if isinstance(task, Classification):
        rows = Batch(rows.inputs, (rows.inputs["x"][:, 0] > 0).long() + (rows.inputs["x"][:, 1] > 0).long())
    full, half = (small_network(task.num_outputs).float() for _ in range(2))
    losses = [
        trained(network, rows, task, epochs=30, learning_rate=0.02, precision=one).history[-1]["train_loss"]
        for network, one in ((full, "float32"), (half, precision))
    ]
    assert {tensor.dtype for tensor in half.state_dict().values()} == {torch.float32}
    assert losses[0] < 0.2
    assert losses[1] == pytest.approx(losses[0], rel=0.1, abs=2e-3)
    with torch.no_grad():
        gap = (half(rows.inputs["x"]) - full(rows.inputs["x"])).abs().max()
    assert 0 < gap < 0.2


@pytest.mark.parametrize("kind", ["regression", "classification", "forecast"])
def test_a_step_in_bfloat16_is_that_of_torch(kind: str) -> None:
    """Reference: a plain loop under torch.autocast, which takes losses and their mean in float32.

    A hundredth, what a row of 100 counts, is 0.01001 in bfloat16: a mean taken there would be off by a thousandth.
    """
    rows, outputs = _small(100), {"regression": 1, "classification": 3, "forecast": 2}[kind]
    target, task = rows.target, Regression()
    assert target is not None
    if kind == "classification":
        target, task = (target * 1.4 + 1).long(), Classification((0, 1, 2))
    elif kind == "forecast":
        target, task = torch.stack([target, -target], dim=1), Forecast(2, np.zeros(()), np.ones(()))
    ours, plain = small_network(outputs).float(), small_network(outputs).float()
    rows = Batch(rows.inputs, target)

    def step(network: nn.Module, batch: Batch, optimizer: Any) -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = network(**batch.inputs)
            if kind == "classification":
                loss = nn.functional.cross_entropy(found, batch.target)
            else:
                loss = nn.functional.mse_loss(found.view(batch.target.shape), batch.target)
        loss.backward()

    options: dict[str, Any] = {"batch_size": 100, "epochs": 3}
    trained(ours, rows, task, optimizer=SGD, learning_rate=0.5, precision="bfloat16", **options)
    trained_by_hand(plain, rows, step, torch.optim.SGD, lr=0.5, momentum=0.9, **options)
    assert_same(ours, plain, rtol=1e-5)


class Steep(Regression):
    """Losses that are a thousand times as steep."""

    def loss(self, network: nn.Module, batch: Batch) -> torch.Tensor:
        return 1000.0 * super().loss(network, batch)


def test_a_scaler_skips_a_step_that_overflows_and_lowers_its_scale() -> None:
    """By hand: a weight's gradient is 8 rows x 1/8 x 2 x 1,000 at first, so that float16, which ends at 65,504, holds
    32 times that: the scale of 2**16 is halved 11 times, and then every step counts.
    """
    network = nn.Linear(4, 1)
    nn.init.zeros_(network.weight)
    nn.init.zeros_(network.bias)
    settings = Settings(1, 8, optimizer=SGD, learning_rate=1e-6, precision="float16", weight_decay=0.0)
    state = State.begin(network, settings, Pace(), World(), sharded=False)
    state.weights.begin(1)
    step = Eager(state, Steep(), settings)
    step.set_rate(settings.learning_rate)
    window = [Portion(Batch({"input": torch.ones(8, 4)}, torch.ones(8)), torch.arange(8))]
    scales, counted = [], []
    for _ in range(14):
        before = [tensor.clone() for name, tensor in state.tensors()]
        taken = step.run(window, 8)
        scales.append(state.scaler.get_scale())
        after = [tensor for name, tensor in state.tensors()]
        counted.append(not all(map(torch.equal, before, after)))
        assert counted[-1] == bool(taken.check.isfinite())
    assert scales == [2.0**power for power in range(15, 4, -1)] + [32.0] * 3
    assert counted == [False] * 11 + [True] * 3
    assert network.weight.detach().numpy() == pytest.approx(0.002 * (1 + 1.9 + 2.71), rel=0.05)  # 3 steps of momentum


def test_training_in_float16_bears_steps_that_overflow() -> None:
    """Reference: float32, without the steps that the scaler skips; no step of it is taken for one that diverged."""
    rows = _small()
    full, half = small_network().float(), small_network().float()
    trained(full, rows, Steep(), epochs=30, learning_rate=0.02)
    outcome = trained(half, rows, Steep(), epochs=30, learning_rate=0.02, precision="float16")
    assert outcome.skipped == 0
    losses = [mean_loss(network, Regression(), rows) for network in (full, half)]
    assert losses[1] < 0.05
    assert losses[1] == pytest.approx(losses[0], abs=0.02)


def test_tf32_is_for_the_training_only() -> None:
    """The switch is torch's, and global."""
    seen = []

    class Looking(Regression):
        def loss(self, network: nn.Module, batch: Batch) -> torch.Tensor:
            seen.append(torch.get_float32_matmul_precision())
            return super().loss(network, batch)

    before = torch.get_float32_matmul_precision()
    trained(small_network(), random_rows(16), Looking(), precision="tf32")
    assert set(seen) == {"high"}
    assert torch.get_float32_matmul_precision() == before
    seen.clear()
    trained(small_network(), random_rows(16), Looking())
    assert set(seen) == {before}
    with pytest.raises(ZeroDivisionError):
        trained(small_network(), random_rows(16), _Broken(), precision="tf32")
    assert torch.get_float32_matmul_precision() == before


class _Broken(Regression):
    def loss(self, network: nn.Module, batch: Batch) -> torch.Tensor:
        raise ZeroDivisionError
