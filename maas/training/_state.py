"""All that a run changes as it goes: what a checkpoint must hold for the rest to be the same to the bit."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.distributed.tensor import DTensor

from maas.errors import DivergedError
from maas.training._freeze import Pace
from maas.training._settings import Settings
from maas.training._weights import Weights, put, whole
from maas.training._world import World

_EMA_WARMUP = 10  # steps; the mean follows closely at first


@dataclass(eq=False)
class State:
    """A run: the network in training with what surrounds it, and where it is.

    Args:
        network: in training; its parameters lie in `weights`.
        scaler: of float16 losses; does nothing otherwise.
        averages: the moving average of each piece of `weights`; None without `ema`.
        epoch: the one that is going on, counted from 1.
        step: steps taken in it.
        steps: steps taken in all.
        loss_sum, loss_count: over what the epoch has shown so far.
        history: one record for each epoch that is over.
        best: the network's state after its best epoch by validation loss.
        skipped: steps whose loss or gradient was not finite and that changed nothing.
        speed: how steps are computed, once that was chosen; see `maas.fit`.
    """

    network: nn.Module
    weights: Weights
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    averages: dict[nn.Parameter, torch.Tensor] | None
    world: World
    epoch: int = 1
    step: int = 0
    steps: int = 0
    loss_sum: float = 0.0
    loss_count: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)
    best: dict[str, torch.Tensor] | None = None
    skipped: int = 0
    speed: str = ""

    @classmethod
    def begin(cls, network: nn.Module, settings: Settings, pace: Pace, world: World, *, sharded: bool) -> State:
        """A run that has not begun. The optimizer's state is there from the start, so that it can be put back."""
        weights = Weights(network, pace, sharded=sharded)
        device = weights.pieces[0].parameter.device
        optimizer = settings.make_optimizer(weights.groups(), device, sharded=sharded)
        averages = None
        if settings.ema is not None:
            averages = {piece.parameter: piece.parameter.detach().clone() for piece in weights.pieces}
        scaler = torch.amp.GradScaler(device.type, enabled=settings.precision == "float16")
        state = cls(network, weights, optimizer, scaler, averages, world)
        state._fill_optimizer()
        return state

    @property
    def device(self) -> torch.device:
        return self.weights.pieces[0].parameter.device

    @property
    def validation_losses(self) -> list[float]:
        """Of the epochs that are over."""
        return [one["validation_loss"] for one in self.history if one["validation_loss"] is not None]

    @property
    def best_epoch(self) -> int:
        """The epoch, counted from 1, of the least validation loss; without validation rows the last one; 0 at first."""
        losses = self.validation_losses
        return 1 + losses.index(min(losses)) if losses else len(self.history)

    def follow(self, ema: float, check: torch.Tensor | None = None) -> None:
        """Let the averages follow the weights; at first more closely, by (1 + steps) / (10 + steps).

        Args:
            ema: the decay.
            check: of a step that was skipped where it is not finite, and then moves no average.
        """
        assert self.averages is not None
        share: Any = 1 - min(ema, (1 + self.steps) / (_EMA_WARMUP + self.steps))
        learning = self.weights.parameters
        if check is not None:
            share = [(share * check.isfinite().double()).to(one.dtype) for one in learning]
        with torch.no_grad():
            torch._foreach_lerp_([self.averages[one] for one in learning], [one.detach() for one in learning], share)

    def remember(self) -> None:
        """Keep the network's state as the best one so far; memory once taken is used again."""
        if self.best is None:
            self.best = copy_of(self.network)
            return
        for name, tensor in self.network.state_dict().items():
            put(self.best[name], whole(tensor.detach()))

    def check_finite(self) -> None:
        """Find weights that an update took beyond what their dtype holds, from a finite gradient: no loss has shown it.

        Raises:
            DivergedError: there is one, in any process.
        """
        held = [piece.parameter.detach() for piece in self.weights.pieces]
        local = [one.to_local() if isinstance(one, DTensor) else one for one in held]
        fine = torch.stack([one.isfinite().all() for one in local]).all().item()
        (bad,) = self.world.most(not fine)
        if bad:
            rate = self.optimizer.param_groups[0]["lr"]
            epoch = self.epoch if self.step else max(1, self.epoch - 1)  # the last one may be over
            raise DivergedError(self.steps, epoch, float(rate), [], "a weight is not finite after it")

    def exchange(self) -> None:
        """Swap the weights and their averages, in place."""
        for parameter, average in (self.averages or {}).items():
            held = parameter.detach().clone()
            put(parameter.detach(), average)
            put(average, held)

    def tensors(self) -> Iterator[tuple[str, torch.Tensor]]:
        """All tensors of the run by name: views of those that training changes, but for generators of random numbers.

        The same names and shapes whatever the layout in memory, so that a run can go on elsewhere.
        """
        own = dict(self.network.named_parameters())
        for name, tensor in self.network.state_dict().items():
            yield f"network.{name}", own[name].detach() if name in own else tensor
        for name, values in self._optimizer_tensors().items():
            for piece in self.weights.pieces:
                if (value := values.get(piece.parameter)) is not None:
                    parts = piece.views(value) if value.dim() else ((part, value) for part in piece.names)
                    yield from ((f"optimizer.{name}.{part}", view) for part, view in parts)
        if self.averages is not None:
            for piece in self.weights.pieces:
                for part, view in piece.views(self.averages[piece.parameter]):
                    yield f"ema.{part}", view
        for name, tensor in (self.best or {}).items():
            yield f"best.{name}", tensor

    def _optimizer_tensors(self) -> dict[str, dict[nn.Parameter, torch.Tensor]]:
        found: dict[str, dict[nn.Parameter, torch.Tensor]] = {}
        for parameter, state in self.optimizer.state.items():
            for name, value in state.items():
                if isinstance(value, torch.Tensor):
                    found.setdefault(name, {})[parameter] = value  # type: ignore[index]
        return found

    def _fill_optimizer(self) -> None:
        """Make the optimizer's tensors before its first step: that would leave them unwritten if it was skipped."""
        for group in self.optimizer.param_groups:
            for parameter in group["params"]:
                state = self.optimizer.state[parameter]
                if "betas" in group and "exp_avg" not in state:
                    state["step"] = torch.zeros((), device=parameter.device)
                    state["exp_avg"] = torch.zeros_like(parameter.detach())
                    state["exp_avg_sq"] = torch.zeros_like(parameter.detach())
                elif group.get("momentum") and "momentum_buffer" not in state:
                    state["momentum_buffer"] = torch.zeros_like(parameter.detach())

    def snapshot(self) -> dict[str, torch.Tensor]:
        """Copies of all tensors, whole, by name."""
        return {name: whole(tensor).clone() for name, tensor in self.tensors()}

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        """Put tensors back, in place."""
        if any(name.startswith("best.") for name in tensors) and self.best is None:
            self.best = copy_of(self.network)
        for name, tensor in self.tensors():
            put(tensor, tensors[name])

    def numbers(self) -> dict[str, Any]:
        """What is no tensor, as JSON."""
        return {
            "epoch": self.epoch,
            "step": self.step,
            "steps": self.steps,
            "loss_sum": self.loss_sum,
            "loss_count": self.loss_count,
            "history": self.history,
            "skipped": self.skipped,
            "speed": self.speed,
            "scaler": self.scaler.state_dict(),
        }

    def put_numbers(self, numbers: dict[str, Any]) -> None:
        """The inverse of `numbers`."""
        for name in ("epoch", "step", "steps", "loss_sum", "loss_count", "history", "skipped", "speed"):
            setattr(self, name, numbers[name])
        self.scaler.load_state_dict(numbers["scaler"])

    def note(self, losses: float, count: float) -> None:
        """Count what a step's rows lost."""
        self.loss_sum += losses
        self.loss_count += count

    @property
    def train_loss(self) -> float:
        """Of the epoch so far."""
        return self.loss_sum / self.loss_count if self.loss_count else math.nan


def copy_of(network: nn.Module) -> dict[str, torch.Tensor]:
    """A network's state, whole."""
    return {name: whole(tensor.detach()).clone() for name, tensor in network.state_dict().items()}
