"""What each unit of a network is worth."""

from __future__ import annotations

import torch
from torch import nn

from maas.compress._units import Group
from maas.nn.transforms import is_by_channel


def by_size(network: nn.Module, group: Group) -> torch.Tensor:
    """The squared weights of each unit, those in every layer beside the mean there: float64 of shape (units,).

    Source: Fang et al. 2023, "DepGraph: towards any structural pruning", arXiv:2301.12900, section 3.3.
    """
    modules = dict(network.named_modules())
    worth = torch.zeros(len(group), dtype=torch.float64)
    for name, side in group.places:
        numbers = _squares(modules[name], side)
        shares = torch.stack([numbers[unit[name, side]].sum() for unit in group.units])
        worth += shares / shares.mean().clamp(min=1e-30)
    return worth


def _squares(module: nn.Module, side: str) -> torch.Tensor:
    """Squared weights and biases of a layer, added up for each number that it takes or gives."""
    total = torch.zeros((), dtype=torch.float64)
    for name, parameter in module.named_parameters(recurse=False):
        square = parameter.detach().cpu().double().square()
        if isinstance(module, nn.RNNBase):
            square = square.reshape(-1, module.hidden_size, *parameter.shape[1:])  # (gates, hidden_size, ...)
        for axis in _axes(module, name, side, parameter.dim()):
            total = total + square.transpose(0, axis).flatten(1).sum(dim=1) if square.dim() > 1 else total + square
    return total


def _axes(module: nn.Module, name: str, side: str, dims: int) -> list[int]:
    """Along which axes of a parameter the numbers stand; of a recurrent layer's, once its gates have one of their own.

    A unit of that has rows in each, and columns in the weights of the state.
    """
    if isinstance(module, nn.RNNBase):
        if side == "taken":
            return [2] if name.startswith("weight_ih") else []
        return [1, 2] if name.startswith("weight_hh") else [1]
    if isinstance(module, nn.Embedding):
        return [1]
    if is_by_channel(module) or side == "given":
        return [0]
    return [1] if dims > 1 else []
