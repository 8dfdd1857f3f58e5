"""The training loop."""

from __future__ import annotations

import contextlib
import math
import time
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from maas.errors import DivergedError
from maas.nn import threads, work_of, worth_threads
from maas.task import Batch, Task
from maas.training._feed import Feed
from maas.training._freeze import Pace
from maas.training._generators import seed_generators
from maas.training._keeper import Keeper
from maas.training._look import look
from maas.training._mean_loss import mean_loss
from maas.training._plan import Plan
from maas.training._receipt import bare_microseconds
from maas.training._settings import Settings
from maas.training._speed import choose
from maas.training._state import State
from maas.training._step import Step, Taken
from maas.training._watch import Stopwatch, Watch
from maas.training._weights import put
from maas.training._world import World

_WORTH_A_COMPARISON_SECONDS = 5.0  # of training, before it is held beside a bare loop
_COMPARED_STEPS = 8
_READ_SECONDS = 0.5  # between looks at what the device has done
_MOST_STEPS_A_READ = 512


@dataclass(frozen=True)
class Outcome:
    """What a training run did.

    Args:
        history: one record an epoch: epoch, train_loss, validation_loss (None without validation rows), learning_rate,
            seconds.
        best_epoch: the epoch, counted from 1, whose weights the network now has.
        stopped_early: whether `patience` ran out.
        skipped: steps that a loss or gradient that was not finite kept from changing anything.
        speed: how steps were computed, and what each way took where several were raced.
        receipt: what a step took, and what of it was not the network.
    """

    history: list[dict[str, Any]]
    best_epoch: int
    stopped_early: bool
    skipped: int = 0
    speed: dict[str, Any] = field(default_factory=dict)
    receipt: dict[str, Any] = field(default_factory=dict)


def train(
    network: nn.Module,
    task: Task,
    feed: Feed,
    validation: Batch | Iterable[Batch] | None,
    plan: Plan,
    settings: Settings,
    *,
    pace: Pace | None = None,
    world: World | None = None,
    sharded: bool = False,
    speed: str = "eager",
    keeper: Keeper | None = None,
    watch: Watch | None = None,
) -> Outcome:
    """Train a network in place; it ends with the weights of its best epoch by validation loss, or of its last one.

    Args:
        network: on its device.
        feed: gives prepared training rows with their target.
        validation: prepared rows with their target, in one part or several; without them the last epoch counts.
        plan: which rows each step learns from.
        pace: which parts learn in which epoch, and how fast; None: all, alike.
        world: the processes that train together; None: this one alone.
        sharded: whether the network's parameters are shards.
        speed: how steps are computed; see `maas.fit`.
        keeper: keeps checkpoints, and goes on from the last one; None: nothing is kept.
        watch: shows what goes on; None: nobody does.

    Raises:
        DivergedError: a loss or a gradient is not finite.
        DataError: `pace` names a part that the network has not.
    """
    pace, world = pace or Pace(), world or World()
    pace.check(network)
    with threads(num_threads(network, task, settings.batch_size)), products(settings.precision):
        state = State.begin(network, settings, pace, world, sharded=sharded)
        watch = watch or Watch()
        with keeper or Keeper(None, world) as kept:
            try:
                outcome = _train(state, task, feed, validation, plan, settings, pace, speed, kept, watch)
            finally:
                watch.end()
                state.weights.release()
                pace.end(network)
        if watch.seconds > _WORTH_A_COMPARISON_SECONDS and world.size == 1:
            some = list(feed(plan.windows(1)[:_COMPARED_STEPS], 1))
            bare = bare_microseconds(network, task, some, settings)
            outcome.receipt["microseconds_of_a_bare_step"] = round(bare, 1)
        return outcome


def _train(
    state: State,
    task: Task,
    feed: Feed,
    validation: Batch | Iterable[Batch] | None,
    plan: Plan,
    settings: Settings,
    pace: Pace,
    speed: str,
    keeper: Keeper,
    watch: Watch,
) -> Outcome:
    steps = plan.steps_an_epoch * settings.epochs
    keeper.go_on(state)
    watch.begin(state, steps)
    step: Step | None = None
    clock = Stopwatch(_READ_SECONDS, _MOST_STEPS_A_READ)

    while state.epoch <= settings.epochs and not _has_lost_patience(state, settings):
        began = time.perf_counter()
        if state.step == 0:
            seed_generators(settings.seed, state.epoch, state.world.rank, state.device)
        pace.begin(state.network, state.epoch)
        state.weights.begin(state.epoch)
        windows = plan.windows(state.epoch)
        first = (state.epoch - 1) * len(windows)
        rates = [settings.rate(first + at, steps, state.epoch, state.validation_losses) for at in range(len(windows))]
        if step is None or pace.changes(state.epoch):
            before = state.speed if step is None else ""  # of the run that is gone on with
            step, watch.speed = choose(speed, state, task, settings, feed, windows)
            if before not in ("", state.speed):
                warnings.warn(
                    f"steps were computed by {before} before, now by {state.speed}: the rest will not be the same to "
                    f"the bit",
                    stacklevel=4,
                )

        taken: list[Taken] = []
        until = _next_look(clock, keeper)
        clock.start()
        for window, portions in zip(windows[state.step :], feed(windows[state.step :], state.epoch), strict=True):
            step.set_rate(rates[state.step])
            taken.append(step.run(portions, sum(map(len, window))))  # zero_grad, forward, backward, update
            state.step, state.steps = state.step + 1, state.steps + 1
            if settings.ema is not None:
                state.follow(settings.ema, taken[-1].check if settings.non_finite == "skip" else None)
            if len(taken) < until and state.step < len(windows) and not keeper.hears_a_signal:
                continue
            loss = look(state, taken, windows, rates, plan, settings)  # the only wait for the device
            rows = sum(len(index) for some in windows[state.step - len(taken) : state.step] for index in some)
            watch.read(state, len(taken), rows, clock.stop(len(taken)), rates[state.step - 1], loss)
            keeper.stepped(len(taken))
            _save_or_stop(state, keeper)
            taken, until = [], _next_look(clock, keeper)
            clock.start()

        _end_epoch(state, task, validation, settings, rates[-1], began)
        watch.epoch(state)
        _save_or_stop(state, keeper)
    keeper.finish(state)
    return _finish(state, settings, watch, feed, keeper)


def _next_look(clock: Stopwatch, keeper: Keeper) -> int:
    """After how many steps to look at the device; the same in all processes."""
    steps = clock.steps if keeper.steps_left is None else max(1, min(clock.steps, keeper.steps_left))
    (most,) = keeper.world.most(1 if keeper.saves_each_step else steps)
    return int(most)


def _save_or_stop(state: State, keeper: Keeper) -> None:
    stop, due = keeper.world.most(keeper.wants_to_stop, keeper.is_due)  # decided together: saving takes all processes
    if stop:
        keeper.stop(state)
    if due:
        keeper.save(state)


def _end_epoch(
    state: State,
    task: Task,
    validation: Batch | Iterable[Batch] | None,
    settings: Settings,
    rate: float,
    began: float,
) -> None:
    """Judge an epoch by the validation rows, remember it if it is the best, and turn to the next."""
    if not state.loss_count:
        raise DivergedError(state.steps, state.epoch, rate, [], "no step of the epoch was finite")
    loss = None
    state.world.copy_from_first(state.network.buffers())  # batch statistics are each process's own
    if validation is not None:
        state.exchange()  # answers are given with the averaged weights
        most = settings.batch_size if task.streams else None  # there each token has scores of all tokens
        loss = mean_loss(state.network, task, validation, state.world, most)
        if not math.isfinite(loss):
            raise DivergedError(state.steps, state.epoch, rate, [], f"the validation loss is {loss}")
        if settings.keep == "best" and loss < min(state.validation_losses, default=math.inf):
            state.remember()
        state.exchange()
    record = {"epoch": state.epoch, "train_loss": state.train_loss, "validation_loss": loss}
    record |= task.figures(state.train_loss if loss is None else loss)
    state.history.append({**record, "learning_rate": rate, "seconds": round(time.perf_counter() - began, 4)})
    state.epoch, state.step = state.epoch + 1, 0
    state.loss_sum = state.loss_count = 0.0


def _has_lost_patience(state: State, settings: Settings) -> bool:
    return settings.patience is not None and len(state.history) - state.best_epoch >= settings.patience


def _finish(state: State, settings: Settings, watch: Watch, feed: Feed, keeper: Keeper) -> Outcome:
    """Give the network the weights that are to answer."""
    state.check_finite()
    state.exchange()
    best_epoch = len(state.history)
    if state.best is not None:
        best_epoch = state.best_epoch
        for name, tensor in state.network.state_dict().items():
            put(tensor, state.best[name])
    return Outcome(
        state.history,
        best_epoch,
        stopped_early=len(state.history) < settings.epochs,
        skipped=state.skipped,
        speed=watch.speed,
        receipt=watch.receipt(feed.waited, keeper.seconds),
    )


def num_threads(network: nn.Module, task: Task, batch_size: int) -> int:
    """How many CPU threads a step is worth."""
    return worth_threads(work_of(network) * task.most_units * batch_size)


@contextlib.contextmanager
def products(precision: str) -> Iterator[None]:
    """Let a GPU's tensor cores shorten the products of float32 for the length of the block, if it is "tf32"."""
    before = torch.get_float32_matmul_precision()
    if precision == "tf32":
        torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
