"""How many of the CPU's threads a network is worth: for a small one, waiting for a second costs more than it does."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator

import torch
from torch import nn

_LEAST_WORK_TO_SHARE = 2**24  # multiplications a pass, about; measured on two cores


def work_of(network: nn.Module) -> float:
    """Multiplications a row, about; infinite for a convolution, whose weights are used at every place of a row."""
    if any(isinstance(module, (nn.Conv1d, nn.Conv2d)) for module in network.modules()):
        return math.inf
    return sum(parameter.numel() for parameter in network.parameters())


def worth_threads(work: float) -> int:
    """How many threads so many multiplications are worth: one, or as many as torch has."""
    return 1 if work < _LEAST_WORK_TO_SHARE else torch.get_num_threads()


@contextlib.contextmanager
def threads(count: int) -> Iterator[None]:
    """Let torch compute with so many CPU threads for the length of the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
