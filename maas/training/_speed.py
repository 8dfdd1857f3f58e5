"""How steps are computed: operation by operation, compiled, or recorded as a CUDA graph; and a race between these."""

from __future__ import annotations

import math
import statistics
import time
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.func import functional_call, grad_and_value

from maas.errors import DataError, show
from maas.task import Batch, Task
from maas.training._feed import Feed, Portion
from maas.training._generators import generator_states, put_generator_states
from maas.training._plan import Window
from maas.training._settings import PRECISIONS, Settings
from maas.training._state import State
from maas.training._step import Eager, Step, Taken, clipped
from maas.training._update import update

SPEEDS = ("eager", "compile", "graph", "compile+graph")
_RACED_STEPS = 8
_MOST_COMPILATIONS = 1000
_ROUNDS, _ROUND_SECONDS = 5, 0.15
_WARM_UP_STEPS = 3  # before a graph is recorded: libraries choose and prepare their kernels


class Unfit(Exception):
    """Why steps cannot be computed this way."""


def check_speed(speed: Any) -> None:
    """Raise DataError for what is no way to compute steps."""
    if not isinstance(speed, str) or speed not in (*SPEEDS, "auto"):
        raise DataError(f"`speed` must be one of {', '.join(SPEEDS)} or auto, got {show(speed)}")


def choose(
    speed: str, state: State, task: Task, settings: Settings, feed: Feed, windows: Sequence[Window]
) -> tuple[Step, dict[str, Any]]:
    """The way to compute steps, and a record of how it was chosen. The state is as it was, to the bit.

    Args:
        speed: a way, or "auto": the fastest of those that fit and whose losses agree. A run that was gone on with keeps
            what it chose.
        windows: of an epoch; a few are tried on.
    """
    eager = Eager(state, task, settings)
    if speed == "auto" and state.speed:
        speed = state.speed
    if speed != "eager" and state.world.size > 1:
        warnings.warn(f'speed="{speed}" is for a process alone; steps of several run eagerly', stacklevel=4)
        speed = "eager"
    if speed == "eager":
        state.speed = speed
        return eager, {"chosen": "eager"}
    size = max(len(window[0]) for window in windows)
    tried = [window for window in windows if len(window) == 1 and len(window[0]) == size][:_RACED_STEPS]
    asked = SPEEDS[1:] if speed == "auto" else (speed,)
    cuda = eager.device.type == "cuda"
    before = state.snapshot(), state.numbers(), generator_states(state.device)
    steps: dict[str, Step] = {"eager": eager}
    why: dict[str, str] = {}
    rate, prepared = settings.learning_rate, {}
    try:
        portions = list(feed(tried, state.epoch))
        for name in asked:
            start = time.perf_counter()
            try:
                if not cuda and "graph" in name:
                    raise Unfit("graphs are CUDA's")
                steps[name] = _made(name, state, task, settings, eager, portions, rate)
                prepared[name] = round(time.perf_counter() - start, 2)
            except Unfit as error:
                why[name] = str(error)
            except Exception as error:  # whatever a compiler says
                why[name] = (str(error).splitlines() or [type(error).__name__])[0][:300]
            _put_back(state, *before)
        record: dict[str, Any] = {"left_out": why, "seconds_to_prepare": prepared}
        if speed != "auto":
            chosen = speed if speed in steps else "eager"
            if chosen != speed:
                warnings.warn(f'speed="{speed}" does not serve here: {why[speed]}; steps run eagerly', stacklevel=4)
        else:
            chosen, raced = _race(steps, state, eager, portions, rate, before)
            record |= raced
            if chosen == "eager" and not set(steps) - {"eager"}:
                reasons = "; ".join(f"{name}: {reason}" for name, reason in why.items())
                warnings.warn(f'speed="auto" found nothing faster than eager steps: {reasons}', stacklevel=4)
    finally:
        _put_back(state, *before)
    state.speed = chosen
    return steps[chosen], {"chosen": chosen, **record}


def _made(
    name: str,
    state: State,
    task: Task,
    settings: Settings,
    eager: Eager,
    portions: list[list[Portion]],
    rate: float,
) -> Step:
    """A step of a kind, tried once.

    Raises:
        Unfit: this run cannot use it.
    """
    if settings.accumulate > 1:
        raise Unfit("`accumulate` is above 1")
    if state.scaler.is_enabled():
        raise Unfit("float16 is scaled step by step; bfloat16 is not")
    if not portions or task.units(portions[0][0].batch) is not None:
        raise Unfit("no batch of a fixed size" if not portions else "losses are averaged over units, such as tokens")
    if len({_signature(portion) for (portion,) in portions}) > 1:
        raise Unfit("shapes differ from batch to batch")
    step: Step = eager
    if name.startswith("compile"):
        if settings.non_finite == "skip":
            raise Unfit('non_finite="skip" is decided step by step')
        if any(isinstance(module, nn.RNNBase) for module in state.network.modules()):
            raise Unfit("recurrent layers have kernels of their own, which a compiler would lose")
        step = Compiled(state, task, settings, eager, portions[0][0])
        step.set_rate(rate)
        # Each network of a search is one compilation; a compiler's advice to its authors is not for a user.
        with torch._dynamo.config.patch(recompile_limit=_MOST_COMPILATIONS), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            step.run(portions[0], len(portions[0][0].index))
    if name.endswith("graph"):
        step = Graph(state, step, eager, portions[0], rate)
    return step


class Compiled:
    """Forward, backward and update as one compiled function; batches of another shape go step by step."""

    def __init__(self, state: State, task: Task, settings: Settings, eager: Eager, like: Portion) -> None:
        self.eager, self.signature = eager, _signature(like)
        pieces = state.weights.learning
        flats = [piece.parameter.detach() for piece in pieces]
        device = flats[0].device
        self.rates = [torch.zeros((), device=device) for _ in pieces]
        self.factors = [piece.factor for piece in pieces]
        self.rate = math.nan
        buffers = dict(state.network.named_buffers())
        share, dtype = 1.0 / len(like.index), PRECISIONS[settings.precision]
        states = [state.optimizer.state[piece.parameter] for piece in pieces]

        def loss_of(weights: list[torch.Tensor], batch: Batch) -> tuple[torch.Tensor, Any]:
            held = {name: buffer.clone() for name, buffer in buffers.items()}
            for piece, flat in zip(pieces, weights, strict=True):
                held.update(piece.views(flat))

            def network(**inputs: torch.Tensor) -> torch.Tensor:
                return functional_call(state.network, held, (), inputs)  # type: ignore[no-any-return]

            with torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32):
                losses = task.loss(network, batch)  # type: ignore[arg-type]
            return (losses * share).sum(), (losses, {name: held[name] for name in buffers})

        def step(inputs: dict[str, torch.Tensor], target: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
            gradients, (_, (losses, moved)) = grad_and_value(loss_of, has_aux=True)(flats, Batch(inputs, target))
            check = clipped(gradients, settings.clip_norm)
            for flat, gradient, held, rate in zip(flats, gradients, states, self.rates, strict=True):
                update([flat], [gradient], [held], settings, rate, fused=False)  # which the compiler fuses better
            for name, buffer in buffers.items():
                buffer.copy_(moved[name])
            return losses.detach(), check

        self.step = torch.compile(step, fullgraph=True, dynamic=False)

    def set_rate(self, rate: float) -> None:
        if rate == self.rate:
            return
        self.rate = rate
        self.eager.set_rate(rate)
        for tensor, factor in zip(self.rates, self.factors, strict=True):
            tensor.fill_(rate * factor)

    def run(self, window: Sequence[Portion], num_rows: int) -> Taken:
        if len(window) != 1 or _signature(window[0]) != self.signature:
            return self.eager.run(window, num_rows)
        losses, check = self.step(dict(window[0].batch.inputs), window[0].batch.target)
        return Taken([losses], None, check)


class Graph:
    """A step recorded once as a CUDA graph and replayed; batches of another shape go step by step."""

    def __init__(self, state: State, step: Step, eager: Eager, window: Sequence[Portion], rate: float) -> None:
        self.eager, self.step, self.signature = eager, step, _signature(window[0])
        num_rows, batch = len(window[0].index), window[0].batch
        inputs = {name: tensor.clone() for name, tensor in batch.inputs.items()}
        self.batch = Batch(inputs, None if batch.target is None else batch.target.clone())
        own = [Portion(self.batch, window[0].index)]
        step.set_rate(rate)
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(_WARM_UP_STEPS):
                step.run(own, num_rows)
        torch.cuda.current_stream().wait_stream(side)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.taken = step.run(own, num_rows)

    def set_rate(self, rate: float) -> None:
        self.step.set_rate(rate)

    def run(self, window: Sequence[Portion], num_rows: int) -> Taken:
        if len(window) != 1 or _signature(window[0]) != self.signature:
            return self.eager.run(window, num_rows)
        for name, tensor in window[0].batch.inputs.items():
            self.batch.inputs[name].copy_(tensor)
        if self.batch.target is not None:
            self.batch.target.copy_(window[0].batch.target)  # type: ignore[arg-type]
        self.graph.replay()
        return Taken([self.taken.losses[0].clone()], None, self.taken.check.clone())


def _race(
    steps: dict[str, Step],
    state: State,
    eager: Eager,
    portions: list[list[Portion]],
    rate: float,
    before: tuple[Any, Any, Any],
) -> tuple[str, dict[str, Any]]:
    """The fastest of the steps whose losses agree with the eager ones', and what was seen."""
    losses: dict[str, list[float]] = {}
    for name, step in steps.items():
        step.set_rate(rate)
        found = [step.run(window, len(window[0].index)).losses[0].mean() for window in portions]
        losses[name] = torch.stack(found).tolist()
        if name == "eager":
            draws = not torch.equal(generator_states(state.device), before[2])
        _put_back(state, *before)
    tolerance = 0.1 if draws else 1e-3 if eager.dtype == torch.float32 else 2e-2
    mean = statistics.mean(losses["eager"])
    apart = {name: abs(statistics.mean(found) - mean) for name, found in losses.items()}
    agreeing = [name for name in steps if apart[name] <= tolerance * max(abs(mean), 1e-3)]
    times: dict[str, list[float]] = {name: [] for name in agreeing}
    for _ in range(_ROUNDS):  # in turn, so that a busy moment hits all alike
        for name in agreeing:
            times[name].append(_seconds(steps[name], portions, eager.device))
            _put_back(state, *before)
    medians = {name: statistics.median(found) for name, found in times.items()}
    return min(medians, key=medians.__getitem__), {
        "microseconds": {name: round(1e6 * seconds, 1) for name, seconds in medians.items()},
        "disagreeing": sorted(set(steps) - set(agreeing)),
    }


def _seconds(step: Step, portions: list[list[Portion]], device: torch.device) -> float:
    """Of one step, over as many as a round holds."""
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < _ROUND_SECONDS:
        for window in portions:
            step.run(window, len(window[0].index))
            count += 1
        if device.type == "cuda":
            torch.cuda.synchronize(device)
    return (time.perf_counter() - start) / count


def _signature(portion: Portion) -> tuple[Any, ...]:
    batch = portion.batch
    tensors = [*batch.inputs.values(), *([] if batch.target is None else [batch.target])]
    return tuple((tuple(tensor.shape), tensor.dtype) for tensor in tensors)


def _put_back(
    state: State,
    tensors: dict[str, torch.Tensor],
    numbers: dict[str, Any],
    generators: torch.Tensor,
) -> None:
    """Let a state be again what it was before a few steps."""
    state.restore(tensors)
    state.put_numbers(numbers)
    put_generator_states(generators, state.device)
