"""A small float64 training, by the loop and written out by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

import maas
from maas.task import Batch, Regression, Task
from maas.training import Optimizer, Settings
from maas.training._feed import Resident
from maas.training._loop import Outcome, train
from maas.training._plan import Plan

CPU = torch.device("cpu")


SGD = Optimizer("sgd", momentum=0.9)


def small_network(outputs: int = 1, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return maas.nn.MLP(4, outputs, hidden=(8,)).double()


def random_rows(rows: int, classes: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(rows)
    x = torch.randn(rows, 4, generator=generator, dtype=torch.float64)
    if classes:
        return Batch({"x": x}, torch.randint(0, classes, (rows,), generator=generator))
    return Batch({"x": x}, torch.randn(rows, generator=generator, dtype=torch.float64))


def trained(
    network: nn.Module, rows: Batch, task: Task | None = None, validation: Batch | None = None, **given: Any
) -> Outcome:
    settings = Settings(**{"epochs": 1, "batch_size": 8, "learning_rate": 0.05, "keep": "last", **given})
    plan = Plan(len(rows), settings.batch_size, settings.accumulate, settings.seed, rows.lengths())
    with torch.random.fork_rng(devices=[]):
        return train(network, task or Regression(), Resident(rows, CPU), validation, plan, settings)


def trained_by_hand(
    network: nn.Module,
    rows: Batch,
    step: Callable[[nn.Module, Batch, torch.optim.Optimizer], None],
    make: Callable[..., torch.optim.Optimizer] = torch.optim.AdamW,
    epochs: int = 1,
    batch_size: int = 8,
    **options: Any,
) -> nn.Module:
    """A plain loop over the same batches."""
    optimizer = make(network.parameters(), **{"lr": 0.05, "weight_decay": 0.01, **options})
    network.train()
    plan = Plan(len(rows), batch_size, 1, 0)
    for epoch in range(1, epochs + 1):
        for (index,) in plan.windows(epoch):
            optimizer.zero_grad()
            step(network, rows[index], optimizer)
            optimizer.step()
    return network


def assert_same(one: nn.Module, other: nn.Module, rtol: float = 1e-12) -> None:
    for (name, tensor), expected in zip(one.state_dict().items(), other.state_dict().values(), strict=True):
        torch.testing.assert_close(
            tensor, expected, rtol=rtol, atol=rtol, msg=lambda text, name=name: f"{name}: {text}"
        )
