"""The training loop."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from tqdm.auto import tqdm

from maas.errors import DataError
from maas.task import Batch, Task
from maas.training._freeze import Pace
from maas.training._settings import PRECISIONS, Settings

Augment = Callable[[Batch, torch.Tensor, int, int], Batch]
"""Batch, positions of its rows (int64 on the CPU), seed, epoch -> batch: random, yet a function of its arguments."""

_LEAST_WORK_TO_SHARE = 2**24  # multiplications a step, about; measured on two cores


@dataclass(frozen=True)
class Outcome:
    """What a training run did.

    Args:
        history: one record an epoch: epoch, train_loss, validation_loss (None without validation rows), seconds.
        best_epoch: the epoch, counted from 1, whose weights the network now has.
        stopped_early: whether `patience` ran out.
    """

    history: list[dict[str, Any]]
    best_epoch: int
    stopped_early: bool


def train(
    network: nn.Module,
    task: Task,
    train: Batch,
    validation: Batch | None,
    settings: Settings,
    *,
    pace: Pace | None = None,
    augment: Augment | None = None,
    progress: bool | None = None,
) -> Outcome:
    """Train a network in place; it ends with the weights of its best epoch by validation loss, or of its last one.

    Args:
        network: on the device of the batches.
        train, validation: prepared rows with their target, on one device; without validation rows the last epoch
            counts.
        pace: which parts learn in which epoch, and how fast; None: all, alike.
        augment: changes a batch before each step; a function of the batch, its rows, the seed and the epoch.
        progress: whether to show a bar; None: when standard error is a terminal.

    Raises:
        DataError: the loss is not finite: the message says in which epoch and what to try; or `pace` names a part that
            the network has not.
    """
    pace = pace or Pace()
    pace.check(network)
    with threads(num_threads(network, settings.batch_size)):
        return _train(network, task, train, validation, settings, pace, augment, progress)


def _train(
    network: nn.Module,
    task: Task,
    train: Batch,
    validation: Batch | None,
    settings: Settings,
    pace: Pace,
    augment: Augment | None,
    progress: bool | None,
) -> Outcome:
    optimizer = settings.make_optimizer(pace.groups(network))
    lengths = train.lengths()
    lengths = None if lengths is None else lengths.cpu()
    device, dtype = train.device, PRECISIONS[settings.precision]
    history: list[dict[str, Any]] = []
    best_loss, best_epoch = math.inf, 0
    best: dict[str, torch.Tensor] | None = None
    step, steps = 0, settings.epochs * len(batches(torch.arange(len(train)), settings.batch_size))
    bar = tqdm(total=settings.epochs, unit="epoch", disable=None if progress is None else not progress, leave=False)
    with bar:
        for epoch in range(1, settings.epochs + 1):
            start = time.perf_counter()
            pace.begin(network, epoch)
            total = torch.zeros((), device=device)
            order = epoch_order(len(train), settings.seed, epoch)
            for index in batches(order, settings.batch_size, lengths):
                batch = train[index.to(device)].trimmed()
                if augment is not None:
                    batch = augment(batch, index, settings.seed, epoch)
                for group in optimizer.param_groups:
                    group["lr"] = settings.rate(step, steps) * group["factor"]
                step += 1
                optimizer.zero_grad(set_to_none=True)
                try:
                    with torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32):
                        loss = task.loss(network, batch).mean()
                except ValueError as error:
                    if "more than 1 value per channel" not in str(error):
                        raise
                    raise DataError(
                        f"batch normalisation cannot learn from a batch of one row; raise `batch_size` from "
                        f"{settings.batch_size}, or give more rows than {len(train)}"
                    ) from error
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                total += loss.detach() * len(batch)
            train_loss = total.item() / len(train)
            validation_loss = None if validation is None else mean_loss(network, task, validation)
            losses = {"train_loss": train_loss, "validation_loss": validation_loss}
            if not all(loss is None or math.isfinite(loss) for loss in losses.values()):
                raise DataError(
                    f"training diverged in epoch {epoch}: the loss is {train_loss} in training, {validation_loss} in "
                    f"validation; try a lower learning_rate than {settings.learning_rate:g}"
                )
            history.append(
                {
                    "epoch": epoch,
                    **losses,
                    "seconds": round(time.perf_counter() - start, 4),
                }
            )
            if validation_loss is None:
                best_epoch = epoch
            elif validation_loss < best_loss:
                best_loss, best_epoch = validation_loss, epoch
                best = _snapshot(network) if settings.keep == "best" else None
            shown = {name: f"{loss:.4f}" for name, loss in losses.items() if loss is not None}
            bar.set_postfix(shown, refresh=False)
            bar.update()
            if settings.patience is not None and epoch - best_epoch >= settings.patience:
                break
    pace.end(network)
    if best is not None:
        network.load_state_dict(best)
    else:
        best_epoch = len(history)
    return Outcome(history, best_epoch, stopped_early=len(history) < settings.epochs)


def num_threads(network: nn.Module, batch_size: int) -> int:
    """How many CPU threads a step is worth: for a small network waiting for a second one costs more than it does."""
    if any(isinstance(module, (nn.Conv1d, nn.Conv2d)) for module in network.modules()):
        return torch.get_num_threads()  # a weight is used at every place of an image
    weights = sum(parameter.numel() for parameter in network.parameters())
    return 1 if weights * batch_size < _LEAST_WORK_TO_SHARE else torch.get_num_threads()


@contextlib.contextmanager
def threads(count: int) -> Iterator[None]:
    """Let torch compute with so many CPU threads for the length of the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def epoch_order(length: int, seed: int, epoch: int) -> torch.Tensor:
    """The order of the rows in an epoch, int64 of shape (length,): a pure function of its arguments."""
    generator = torch.Generator().manual_seed((seed * 1_000_003 + epoch) % 2**63)
    return torch.randperm(length, generator=generator)


def batches(order: torch.Tensor, batch_size: int, lengths: torch.Tensor | None = None) -> list[torch.Tensor]:
    """The order cut into batches; a single row at the end joins the one before, for batch statistics need two.

    Rows of different lengths are put beside rows of like length, so that little is padded: the order is cut into
    pools of 50 batches, each pool is sorted by length and cut into batches, and the batches are shuffled.
    """
    pools = [order]
    if lengths is not None:
        pools = [pool[lengths[pool].argsort(stable=True)] for pool in torch.split(order, batch_size * 50)]
    cut = [batch for pool in pools for batch in torch.split(pool, batch_size)]
    if len(cut) > 1 and len(cut[-1]) == 1:
        cut[-2:] = [torch.cat(cut[-2:])]
    if lengths is None:
        return cut
    generator = torch.Generator().manual_seed(int(order[0]) * 1_000_003 + len(order))
    return [cut[place] for place in torch.randperm(len(cut), generator=generator).tolist()]


def mean_loss(network: nn.Module, task: Task, rows: Batch) -> float:
    """The mean loss over rows, in evaluation mode."""
    network.eval()
    with torch.no_grad():
        size = rows.rows_a_pass()
        parts = [task.loss(network, rows[at : at + size].trimmed()).sum() for at in range(0, len(rows), size)]
    return torch.stack(parts).sum().item() / len(rows)


def _snapshot(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
