"""A network whose heavy layers compute in 8-bit integers: which they are, and the codes of what they read."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from maas.compress._trace import PASSING, Trace, trace
from maas.nn.transforms import Int8, Int8Form
from maas.nn.transforms._int8 import padding_of
from maas.nn.transforms._int8_weights import has_short_rows, to_int8

Inputs = Mapping[str, torch.Tensor]
_LEAST_WORK = 3e6  # multiplications a row, below which float32 is as fast
_LEAST_WEIGHTS = 2**19  # or weights, which take longest to fetch
_LEAST_SHARE = 64  # multiplications for each number read, below which making codes of it costs as much
_LEAST_TABLE = 2**16
_PASSING = (*PASSING, nn.Flatten)
_POOLING = (nn.MaxPool2d,)
_SAMPLE = 2**16  # numbers a layer and batch


@dataclass(frozen=True)
class Plan:
    """What can compute in integers.

    Args:
        layers: names of linear layers and convolutions.
        embeddings: names of tables.
        found: who reads what.
        ranges: by layer, the scale and zero point of the codes it reads.
    """

    layers: tuple[str, ...]
    embeddings: tuple[str, ...]
    found: Trace
    ranges: Mapping[str, tuple[float, int]]


def plan(network: nn.Module, batches: Iterable[Inputs]) -> Plan:
    """What of a network is worth it, with codes that suit these rows."""
    batches = list(batches)
    found = trace(network, batches[0])
    inside = [f"{name}." for name, one in network.named_modules() if isinstance(one, nn.TransformerEncoderLayer)]
    layers = [
        name
        for name in found.alone(nn.Linear, nn.Conv2d)
        if _is_worth_it(found.modules[name], found.work[name]) and not name.startswith(tuple(inside))
    ]
    tables = [name for name in found.alone(nn.Embedding) if _is_large(found.modules[name])]
    return Plan(tuple(layers), tuple(tables), found, _ranges(network, layers, batches))


def int8_network(network: nn.Module, plan: Plan, leave: Collection[str] = ()) -> tuple[Int8, nn.Module]:
    """The transform, and a copy of the network that went through it.

    Args:
        network: what `plan` was made of.
        plan: what can compute in integers.
        leave: layers to leave in float32.
    """
    chosen = [name for name in plan.layers if name not in leave]
    forms: list[Int8Form] = []
    fused: list[str] = []
    follows: dict[str, str] = {}
    for name in chosen:
        relu, reader, passed = _what_follows(plan.found, name, chosen)
        forms.append(Int8Form(name, relu, reader is not None))
        fused += passed
        if reader is not None:
            follows[name] = reader
    transform = Int8(tuple(forms), plan.embeddings, tuple(fused))
    made = transform.apply(copy.deepcopy(network))
    with torch.no_grad():
        for name in (*chosen, *plan.embeddings):
            layer, old = made.get_submodule(name), plan.found.modules[name]
            codes, scales = to_int8(old.get_parameter("weight"))
            layer.get_parameter("weight").copy_(codes)
            layer.get_buffer("weight_scale").copy_(scales)
            if getattr(old, "bias", None) is not None:
                layer.get_parameter("bias").copy_(old.get_parameter("bias"))
            for end, whose in (("input", name), ("output", follows.get(name))):
                if whose is not None and whose in plan.ranges:
                    scale, zero_point = plan.ranges[whose]
                    layer.get_buffer(f"{end}_scale").fill_(scale)
                    layer.get_buffer(f"{end}_zero_point").fill_(zero_point)
    return transform, made


def _is_worth_it(layer: nn.Module, work: float) -> bool:
    weight = layer.get_parameter("weight")
    if isinstance(layer, nn.Conv2d):
        steps = layer.stride[0] * layer.stride[1]
        share = weight.numel() / layer.in_channels / steps
        return padding_of(layer) is not None and work >= _LEAST_WORK and share >= _LEAST_SHARE
    return len(weight) >= _LEAST_SHARE and (work >= _LEAST_WORK or weight.numel() >= _LEAST_WEIGHTS)


def _is_large(table: nn.Module) -> bool:
    weight = table.get_parameter("weight")
    return weight.numel() >= _LEAST_TABLE and not has_short_rows(weight) and table.max_norm is None


def _what_follows(found: Trace, name: str, chosen: Collection[str]) -> tuple[bool, str | None, list[str]]:
    """Whether a ReLU alone reads what a layer gives, the layer that reads its codes, and ReLUs with nothing to do."""
    relu, pooled = False, False
    idle: list[str] = []
    for reader, _ in found.after(name):
        module = found.modules[reader]
        if type(module) is nn.ReLU:
            relu = True
            if found.calls[reader] == 1:  # another call may have work for it
                idle.append(reader)
        elif type(module) in _POOLING:
            pooled = True  # torch cannot pool codes
        elif type(module) not in _PASSING:
            return relu, reader if reader in chosen and not pooled else None, idle
    return relu, None, idle


def _ranges(network: nn.Module, layers: Iterable[str], batches: Iterable[Inputs]) -> dict[str, tuple[float, int]]:
    seen: dict[str, list[torch.Tensor]] = {name: [] for name in layers}

    def watch(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: tuple[Any, ...]) -> None:
            numbers = args[0].detach().flatten()
            ends = torch.stack([numbers.min(), numbers.max()])
            seen[name].append(torch.cat([ends, numbers[:: 1 + len(numbers) // _SAMPLE]]))

        return hook

    hooks = [network.get_submodule(name).register_forward_pre_hook(watch(name)) for name in seen]
    try:
        with torch.no_grad():
            for inputs in batches:
                network(**inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return {name: _codes_of(torch.cat(numbers)) for name, numbers in seen.items()}


def _codes_of(numbers: torch.Tensor) -> tuple[float, int]:
    """The scale and zero point of codes for such numbers: from the least to the greatest, with 0 among them."""
    low, high = min(0.0, float(numbers.min())), max(0.0, float(numbers.max()))
    scale = (high - low) / 255 or 1.0
    return scale, round(-low / scale)
