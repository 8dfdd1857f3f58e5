"""Initial weights."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import nn


@contextlib.contextmanager
def seeded(seed: int | None) -> Iterator[None]:
    """Let torch's layers draw their weights by a seed for the length of the block, and others draw on as before.

    Args:
        seed: None: they draw from torch's global generator.
    """
    with torch.random.fork_rng(devices=[], enabled=seed is not None):
        if seed is not None:
            torch.manual_seed(seed)
        yield


def kaiming_uniform(network: nn.Module, seed: int | None) -> None:
    """Draw the weights of convolutions and linear layers anew (He et al. 2015); biases become 0."""
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Linear)) and not module.weight.is_meta:
            nn.init.kaiming_uniform_(module.weight, nonlinearity="relu", generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
