"""Which rows each step learns from: a pure function of the seed, the epoch and the step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

Window = list[torch.Tensor]
"""The batches of one step, each the positions of its rows, int64 on the CPU."""

_POOL = 50  # batches whose rows are sorted by length together


@dataclass(frozen=True, eq=False)
class Plan:
    """The order of the rows.

    Args:
        num_rows: training rows.
        batch_size: rows a forward pass.
        accumulate: forward passes a step; the last step of an epoch may have fewer.
        seed: of the order.
        lengths: of the rows, int64 of shape (num_rows,); None where all are alike.
        positions: of the rows among those that the user gave, for errors; None where they are all of them.
    """

    num_rows: int
    batch_size: int
    accumulate: int
    seed: int
    lengths: torch.Tensor | None = None
    positions: np.ndarray[Any, Any] | None = None

    def given(self, index: torch.Tensor) -> list[int]:
        """Where rows stand among those that the user gave, in order."""
        return sorted(row if self.positions is None else int(self.positions[row]) for row in index.tolist())

    @property
    def steps_an_epoch(self) -> int:
        return math.ceil(num_batches(self.num_rows, self.batch_size) / self.accumulate)

    def windows(self, epoch: int) -> list[Window]:
        """The batches of each step of an epoch, counted from 1."""
        found = batches(epoch_order(self.num_rows, self.seed, epoch), self.batch_size, self.lengths)
        return [found[at : at + self.accumulate] for at in range(0, len(found), self.accumulate)]


def epoch_order(length: int, seed: int, epoch: int) -> torch.Tensor:
    """The order of the rows in an epoch, int64 of shape (length,): a pure function of its arguments."""
    generator = torch.Generator().manual_seed((seed * 1_000_003 + epoch) % 2**63)
    return torch.randperm(length, generator=generator)


def num_batches(length: int, batch_size: int) -> int:
    """How many batches so many rows make; a single row at the end joins the batch before."""
    whole, rest = divmod(length, batch_size)
    return max(1, whole + (rest > 1 or (rest == 1 and whole == 0)))


def batches(order: torch.Tensor, batch_size: int, lengths: torch.Tensor | None = None) -> list[torch.Tensor]:
    """The order cut into batches; a single row at the end joins the one before, for batch statistics need two.

    Rows of different lengths are put beside rows of like length, so that little is padded: the order is cut into
    pools of 50 batches, each pool is sorted by length and cut into batches, and the batches are shuffled.
    """
    pools = [order]
    if lengths is not None:
        pools = [pool[lengths[pool].argsort(stable=True)] for pool in torch.split(order, batch_size * _POOL)]
    cut = [batch for pool in pools for batch in torch.split(pool, batch_size)]
    if len(cut) > 1 and len(cut[-1]) == 1 < batch_size:
        cut[-2:] = [torch.cat(cut[-2:])]
    if lengths is None:
        return cut
    generator = torch.Generator().manual_seed(int(order[0]) * 1_000_003 + len(order))
    return [cut[place] for place in torch.randperm(len(cut), generator=generator).tolist()]
