"""What a pass through a network costs, about: how many of the CPU's threads it is worth, and whether two cost more."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator

import torch
from torch import nn

from maas.nn._int8 import Int8Conv2d, Int8Embedding

_LEAST_WORK_TO_SHARE = 2**24  # multiplications a pass, about; measured on two cores
_WEIGHTS_A_PASS = 9e6


def work_of(network: nn.Module) -> float:
    """Multiplications a row, about; infinite for a convolution, whose weights are used at every place of a row."""
    if any(isinstance(module, (nn.Conv1d, nn.Conv2d, Int8Conv2d)) for module in network.modules()):
        return math.inf
    return sum(parameter.numel() for parameter in network.parameters())


def worth_threads(work: float) -> int:
    """How many threads so many multiplications are worth: one, or as many as torch has."""
    return 1 if work < _LEAST_WORK_TO_SHARE else torch.get_num_threads()


def steps_a_pass(network: nn.Module) -> float:
    """How many steps of a row cost as much as to begin another pass: many, of a network that does little at each.

    On one core a pass of the recurrent, convolutional and transformer networks of this room began with 0.25 ms, and a
    thousand weights, those of embeddings left out, took 0.03 us a step.
    """
    tables = (nn.Embedding, Int8Embedding)
    embedded = sum(module.weight.numel() for module in network.modules() if isinstance(module, tables))
    weights = sum(parameter.numel() for parameter in network.parameters()) - embedded
    return _WEIGHTS_A_PASS / max(1, weights)


@contextlib.contextmanager
def threads(count: int) -> Iterator[None]:
    """Let torch compute with so many CPU threads for the length of the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
