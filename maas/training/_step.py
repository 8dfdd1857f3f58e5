"""One step: forget the last gradients, forward, backward, update."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from maas.errors import DataError
from maas.task import Task
from maas.training import _update
from maas.training._feed import Portion
from maas.training._settings import PRECISIONS, Settings
from maas.training._state import State
from maas.training._weights import whole


@dataclass(frozen=True, eq=False)
class Taken:
    """What a step tells, on the device: nothing of it is read before it must be.

    Args:
        losses: of each row, detached, of shape (rows,).
        counts: how many units, such as tokens, each loss is a sum over, none of them for rows that do not count; None:
            one a row.
        check: not finite where a gradient was not.
    """

    losses: list[torch.Tensor]
    counts: list[torch.Tensor] | None
    check: torch.Tensor


class Step(Protocol):
    """A way to compute steps."""

    def set_rate(self, rate: float) -> None:
        """Set the learning rate of the steps that follow."""
        ...

    def run(self, window: Sequence[Portion], num_rows: int) -> Taken:
        """Learn from the portions of a window, of which all processes have so many rows."""
        ...


class Eager:
    """A step as torch runs it, operation by operation."""

    def __init__(self, state: State, task: Task, settings: Settings) -> None:
        self.state, self.task, self.settings = state, task, settings
        self.device = state.device
        self.dtype = PRECISIONS[settings.precision]
        self.cast = (
            contextlib.nullcontext()
            if self.dtype == torch.float32
            else torch.autocast(self.device.type, dtype=self.dtype)
        )
        fused = all(group["fused"] for group in state.optimizer.param_groups)
        self.is_plain = fused and not state.weights.sharded  # sharded tensors go the optimizer's own way
        self._shares: dict[Any, torch.Tensor] = {}

    def set_rate(self, rate: float) -> None:
        for group in self.state.optimizer.param_groups:
            wanted = rate * group["factor"]
            if group.get("rate") == wanted:
                continue
            group["rate"] = wanted
            if isinstance(group["lr"], torch.Tensor):  # on a GPU, where a graph may have recorded it
                group["lr"].fill_(wanted)
            else:
                group["lr"] = wanted

    def run(self, window: Sequence[Portion], num_rows: int) -> Taken:
        state, weights = self.state, self.state.weights
        skips = self.settings.non_finite == "skip"
        before = [(buffer, buffer.clone()) for buffer in state.network.buffers()] if skips else []
        losses: list[torch.Tensor] = []
        counts: list[torch.Tensor] = []

        weights.zero_grad()
        for portion in window:
            loss = self._forward(portion)  # (rows,)
            share = self._share(loss, num_rows, portion.counts)
            if skips:
                share = share + 0.0 * loss.detach()  # the gradient of a loss that is not finite may be
            scaled = state.scaler.scale(loss) if state.scaler.is_enabled() else loss
            scaled.backward(share)  # type: ignore[no-untyped-call]
            losses.append(loss.detach() if portion.counts else loss.detach()[:0])
            units = self.task.units(portion.batch)
            counts += [] if units is None else [units * portion.counts]
        if state.world.size > 1 and not state.weights.sharded:
            weights.fill()
            state.world.sum(*weights.gradients)
        if counts:
            self._average_over(counts, num_rows)
        if state.scaler.is_enabled():
            state.scaler.unscale_(state.optimizer)
        check = clipped(weights.gradients, self.settings.clip_norm)
        found_inf = 1 - check.isfinite().float() if skips else None  # as a scaler says it
        if state.scaler.is_enabled():
            state.scaler.step(state.optimizer)
            state.scaler.update()
        elif self.is_plain:
            _update.step(state.optimizer, self.settings, found_inf)
        else:
            state.optimizer.found_inf = found_inf  # type: ignore[attr-defined]
            state.optimizer.step()
        for buffer, kept in before:
            buffer.copy_(torch.where(check.isfinite(), buffer, kept))
        return Taken(losses, counts or None, check)

    def _forward(self, portion: Portion) -> torch.Tensor:
        try:
            with self.cast:
                return self.task.loss(self.state.network, portion.batch)
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            raise DataError(
                f"batch normalisation cannot learn from a batch of one row; raise `batch_size` from "
                f"{self.settings.batch_size}, or give more rows"
            ) from error

    def _share(self, loss: torch.Tensor, num_rows: int, counts: bool) -> torch.Tensor:
        """What each loss of the window counts: a constant, so that no mean need be taken, however batches are cut."""
        key = (loss.shape, loss.dtype, num_rows, counts)
        if key not in self._shares:
            parts = self.state.world.size if self.state.weights.sharded else 1  # FSDP gives the mean over processes
            self._shares[key] = torch.full_like(loss.detach(), parts * counts / num_rows)
        return self._shares[key]

    def _average_over(self, units: list[torch.Tensor], num_rows: int) -> None:
        """Make a mean over rows one over units, such as tokens."""
        total = torch.stack([one.sum() for one in units]).sum().float()
        self.state.world.sum(total)
        torch._foreach_mul_(self.state.weights.gradients, num_rows / total)


def clipped(gradients: list[torch.Tensor], most: float | None) -> torch.Tensor:
    """Scale gradients down to a common norm of `most`; gives their norm, or on a CPU the sum of their norms.

    It is not finite where a gradient is not, nor where the square of one is not, which an optimizer would remember.
    """
    if most is None and all(gradient.device.type == "cpu" and type(gradient) is torch.Tensor for gradient in gradients):
        norms = [torch.linalg.vector_norm(gradient) for gradient in gradients]  # there half as dear as a common norm
        return norms[0] if len(norms) == 1 else torch.stack(norms).sum()
    norm = torch.nn.utils.get_total_norm(gradients)
    if most is not None:
        torch._foreach_mul_(gradients, (most / (norm + 1e-6)).clamp(max=1.0))
    return whole(norm)
