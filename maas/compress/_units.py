"""The units of a network that can go, and what of other layers goes with each of them."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn
from torch.nn import functional as F

from maas.compress._probe import Inputs, Place, Unit, units_by_layers
from maas.nn.transforms import is_by_channel, narrow, sizes_of

Kept = Mapping[str, tuple[torch.Tensor | None, torch.Tensor | None]]
"""By layer the places, int64, that stay of what it takes and of what it gives; None: all."""
_SAME = 1e-8  # of the outputs, in float64


@dataclass(frozen=True, eq=False)
class Group:
    """Units that go the same way through a network: the channels of the same layers, say.

    Args:
        units: for each, the numbers that it is, by layer and side.
    """

    units: Sequence[Unit]

    def __len__(self) -> int:
        return len(self.units)

    @property
    def places(self) -> list[Place]:
        return list(self.units[0])


def groups_of(network: nn.Module, inputs: Inputs) -> list[Group]:
    """The units that can be taken away, in groups of at least two, in the order of the layers.

    A group counts where to take a unit away gives the same outputs as to read nothing of it: tried, with weights drawn
    at random, so that no code need be understood. What mixes its units otherwise (heads of attention), or needs them
    to be so many, is left whole.

    Args:
        network: it is left as it is.
        inputs: some prepared rows.
    """
    rows = {name: one.cpu().double() if one.is_floating_point() else one.cpu() for name, one in inputs.items()}
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        twin = copy.deepcopy(network).cpu().double().eval()
        _redraw(twin)
        found = [Group(units) for units in units_by_layers(twin, rows) if len(units) > 1]
        return [group for group in found if _is_sound(twin, rows, group)]


def kept_of(network: nn.Module, gone: Sequence[tuple[Group, torch.Tensor]]) -> Kept:
    """What stays of each layer once some units go: groups, and the places of units in each."""
    going: dict[Place, list[int]] = {}
    for group, places in gone:
        for place in places.tolist():
            for where, numbers in group.units[place].items():
                going.setdefault(where, []).extend(numbers)
    modules = dict(network.named_modules())
    kept: dict[str, tuple[torch.Tensor | None, torch.Tensor | None]] = {}
    for name in dict.fromkeys(name for name, _ in going):
        sizes = sizes_of(modules[name])
        assert sizes is not None
        stays: list[torch.Tensor | None] = []
        for side, size in zip(("taken", "given"), sizes, strict=True):
            mask = torch.ones(size, dtype=torch.bool)
            mask[going.get((name, side), [])] = False
            stays.append(None if mask.all() else mask.nonzero()[:, 0])
        if is_by_channel(modules[name]):
            stays[0] = stays[1]
        kept[name] = stays[0], stays[1]
    return kept


def cut(network: nn.Module, kept: Kept) -> nn.Module:
    """The network itself, narrower."""
    modules = dict(network.named_modules())
    for name, (taken, given) in kept.items():
        narrow(modules[name], taken, given, name)
    return network


def _is_sound(network: nn.Module, inputs: Inputs, group: Group) -> bool:
    """Whether the network without two of the units, or one, answers as if nothing were read of them."""
    gone = torch.tensor([0, len(group) - 1] if len(group) > 2 else [0])
    kept = kept_of(network, [(group, gone)])
    wanted = _deaf(copy.deepcopy(network), kept)(**inputs)
    try:
        found = cut(copy.deepcopy(network), kept)(**inputs)
    except Exception:  # whatever a network says whose sizes do not fit any more
        return False
    return found.shape == wanted.shape and bool((found - wanted).abs().max() <= _SAME * wanted.abs().max())


def _deaf(network: nn.Module, kept: Kept) -> nn.Module:
    """The network itself, whose layers read nothing of what is not kept."""
    modules = dict(network.named_modules())
    for name, (taken, given) in kept.items():
        module, sizes = modules[name], sizes_of(modules[name])
        assert sizes is not None
        if isinstance(module, nn.LayerNorm) and given is not None:
            module.forward = partial(_normalized, module, given)  # type: ignore[method-assign]
        for weights, stays, size in (
            ("weight", taken, sizes[0]),
            ("weight_ih_l0", taken, sizes[0]),
            ("weight_hh_l0", given, sizes[1]),
        ):
            weight = getattr(module, weights, None)
            if weight is not None and weight.dim() > 1 and stays is not None and not is_by_channel(module):
                heard = torch.zeros(size).index_fill(0, stays, 1.0)
                weight.mul_(heard.reshape(-1, *[1] * (weight.dim() - 2)))
    return network


def _normalized(module: nn.LayerNorm, kept: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """What a layer normalisation of the kept features gives, zeros in the places of the others."""
    weight, bias = (None if one is None else one[kept] for one in (module.weight, module.bias))
    chosen = F.layer_norm(values[..., kept], (len(kept),), weight, bias, module.eps)
    return torch.zeros_like(values).index_copy(-1, kept, chosen)


def _redraw(network: nn.Module) -> None:
    """Weights at random: those of a trained network may hide what depends on them."""
    for parameter in network.parameters():
        if parameter.dim() > 1:
            nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
        else:
            nn.init.uniform_(parameter, 0.5, 1.5)
    for module in network.modules():
        for name, buffer in module.named_buffers(recurse=False):
            if name == "running_mean":
                buffer.normal_()
            if name == "running_var":
                buffer.uniform_(0.5, 1.5)
