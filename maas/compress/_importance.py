"""What each unit of a network is worth."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping

import torch
from torch import nn

from maas.compress._probe import Place
from maas.compress._units import Group
from maas.nn.transforms import is_by_channel
from maas.task import Batch, Task


def by_size(network: nn.Module, groups: Iterable[Group]) -> list[torch.Tensor]:
    """The squared weights of each unit, in every layer beside the mean of its group's: float64 of shape (units,).

    Source: Fang et al. 2023, "DepGraph: towards any structural pruning", arXiv:2301.12900, section 3.3.
    """
    modules = dict(network.named_modules())
    squares = {
        name: {key: one.detach().cpu().double().square() for key, one in module.named_parameters(recurse=False)}
        for name, module in modules.items()
    }
    found = []
    for group in groups:
        worth = torch.zeros(len(group), dtype=torch.float64)
        for place in group.places:
            share = _of_units(group, place, _by_number(modules[place[0]], place[1], squares[place[0]]))
            worth += share / share.mean().clamp(min=1e-30)
        found.append(worth)
    return found


def by_loss(network: nn.Module, groups: list[Group], task: Task, batches: Iterable[Batch]) -> list[torch.Tensor]:
    """By how much the loss changes without each unit, to the first order: float64 of shape (units,).

    What a layer takes, times the gradient with respect to it, is the sum of its weights times theirs. It is squared for
    each batch, so that gains and losses do not cancel.

    Args:
        batches: prepared rows with their target, on the network's device.

    Source: Molchanov et al. 2019, "Importance estimation for neural network pruning", arXiv:1906.10771, equation 8.
    """
    twin = copy.deepcopy(network).requires_grad_(True)
    for module in twin.modules():  # cuDNN has no gradient of recurrent layers that do not learn
        module.train(isinstance(module, nn.RNNBase))
    modules = dict(twin.named_modules())
    found = [torch.zeros(len(group), dtype=torch.float64) for group in groups]
    for batch in batches:
        twin.zero_grad()
        task.loss(twin, batch).mean().backward()  # type: ignore[no-untyped-call]
        for worth, group in zip(found, groups, strict=True):
            read = [place for place in group.places if place[1] == "taken"] or group.places
            total = torch.zeros(len(group), dtype=torch.float64)
            for name, side in read:
                products = {
                    key: (one * one.grad).detach().cpu().double()
                    for key, one in modules[name].named_parameters(recurse=False)
                    if one.grad is not None
                }
                total += _of_units(group, (name, side), _by_number(modules[name], side, products))
            worth += total.square()
    return found


def _by_number(module: nn.Module, side: str, values: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Values of a layer's parameters, added up for each number that it takes or gives."""
    total = torch.zeros((), dtype=torch.float64)
    for name, value in values.items():
        if isinstance(module, nn.RNNBase):
            axes = _axes_of_recurrent(name, side)
            value = value.reshape(-1, module.hidden_size, *value.shape[1:])
        elif is_by_channel(module):
            axes = [0]
        elif isinstance(module, nn.Embedding):
            axes = [1]
        else:
            axes = [] if side == "taken" and value.dim() == 1 else [1 if side == "taken" else 0]
        for axis in axes:
            total = total + value.transpose(0, axis).flatten(1).sum(dim=1) if value.dim() > 1 else total + value
    return total


def _axes_of_recurrent(name: str, side: str) -> list[int]:
    """Of a parameter of shape (gates, hidden_size, ...): a unit has rows, and columns of the state's weights."""
    if side == "taken":
        return [2] if name.startswith("weight_ih") else []
    return [1, 2] if name.startswith("weight_hh") else [1]


def _of_units(group: Group, place: Place, values: torch.Tensor) -> torch.Tensor:
    return torch.stack([values[unit[place]].sum() for unit in group.units])
