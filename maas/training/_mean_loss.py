"""The loss by which an epoch is judged."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import nn

from maas.task import Batch, Task
from maas.training._world import World

_ROWS_A_PASS = 256  # of validation on a CPU: what layers give for more of them leaves its caches


def mean_loss(
    network: nn.Module, task: Task, rows: Batch | Iterable[Batch], world: World | None = None, most: int | None = None
) -> float:
    """The mean loss over rows, in evaluation mode; several processes share the rows, and each counts once.

    Args:
        rows: prepared, in one part or several.
        world: the processes.
        most: rows at once; None: as many as are fast.
    """
    world = world or World()
    network.eval()
    device = next(network.parameters()).device
    losses, counts = [], []
    with torch.no_grad():
        for part in [rows] if isinstance(rows, Batch) else rows:
            limit = most or (None if device.type == "cuda" else _ROWS_A_PASS)
            size = min(part.rows_a_pass(), limit or len(part))
            for at in range(0, len(part), size * world.size):
                batch, is_counted = part[at : at + size * world.size], True
                if world.size > 1:
                    index, is_counted = world.share(torch.arange(len(batch)))
                    batch = batch[index.to(batch.device)]
                batch = batch.trimmed().to(device)
                units = task.units(batch)
                losses.append(task.loss(network, batch).sum() * is_counted)
                counts.append((len(batch) if units is None else units.sum()) * is_counted)
    total = np.array([torch.stack(losses).sum().item(), float(sum(counts))])
    world.sum_on_host(total)
    return float(total[0] / total[1])
