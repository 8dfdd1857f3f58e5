"""A network taken through a few steps outside a run, to see what its loss does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from typing import Any

import torch
from torch import nn

from maas.nn import Recipe, threads
from maas.preprocess import Learner
from maas.task import TaskLearner
from maas.training._feed import Portion
from maas.training._freeze import Pace
from maas.training._generators import forked, seed_generators
from maas.training._loop import num_threads
from maas.training._settings import Settings
from maas.training._setup import Setup, device_of, set_up
from maas.training._state import State
from maas.training._step import Eager
from maas.training._world import World


def try_steps(
    made: Setup, settings: Settings, windows: Iterable[Sequence[Portion]], rates: Iterable[float], *, drops: bool = True
) -> Iterator[tuple[float, State]]:
    """The mean loss of each step, as it is taken, with the state after it. The weights of `made` move.

    Args:
        windows, rates: of the steps; whichever ends first ends the trial.
        drops: whether dropout drops.
    """
    network, device = made.model.network, made.model.device
    with forked(device), threads(num_threads(network, made.task, settings.batch_size)):
        seed_generators(settings.seed, 1, 0, device)
        pace = Pace()
        state = State.begin(network, settings, pace, World(), sharded=False)
        pace.begin(network, 1)
        state.weights.begin(1)
        for module in network.modules():
            if not drops and isinstance(module, (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)):
                module.eval()
        step = Eager(state, made.task, settings)
        try:
            for window, rate in zip(windows, rates, strict=False):
                step.set_rate(rate)
                losses = step.run(window, sum(len(one.index) for one in window)).losses
                yield torch.cat(losses).mean().item(), state
        finally:
            state.weights.release()


def trial_losses(
    recipe: Recipe,
    train: Any,
    settings: Settings,
    rates: Sequence[float],
    *,
    task: str | TaskLearner | None = None,
    preprocess: Learner | None = None,
    device: str | torch.device | None = None,
) -> Iterator[float]:
    """The loss of each of a few steps from new weights, one for each learning rate, on all training rows in turn.

    Args: as in `maas.fit`.
    """
    made = set_up(
        recipe,
        train,
        0,
        task=task,
        preprocess=preprocess,
        start=None,
        seed=settings.seed,
        device=device_of(device),
        chooses=False,
    )
    plan = made.plan(settings.batch_size, settings.accumulate, settings.seed)
    with closing(made.feed(None, World())) as feed:

        def windows() -> Iterator[list[Portion]]:
            epoch = 0
            while epoch := epoch + 1:
                yield from feed(plan.windows(epoch), epoch)

        yield from (loss for loss, _ in try_steps(made, settings, windows(), rates))
