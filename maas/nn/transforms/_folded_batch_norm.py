"""Batch normalisation multiplied into the layer before it: the same answers with fewer operations."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from maas.errors import FormatError, RecipeError, show
from maas.nn.transforms._modules import is_names, named, put
from maas.nn.transforms._transform import Transform, transform

LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d)
NORMALIZATIONS = (nn.BatchNorm1d, nn.BatchNorm2d)


@transform("folded_batch_norm")
@dataclass(frozen=True)
class FoldedBatchNorm(Transform):
    """Layers with a bias, and nothing where their batch normalisation stood.

    Gradients go through it, but without batch statistics: a training from there wants a small learning rate.

    Args:
        pairs: names of a layer and of the normalisation that reads what it gives.
    """

    pairs: tuple[tuple[str, str], ...]

    def __post_init__(self) -> None:
        pairs = self.pairs
        if not isinstance(pairs, (list, tuple)) or not all(is_names(pair) and len(pair) == 2 for pair in pairs):
            raise FormatError(f"`pairs` are lists of two names, got {show(pairs)}")
        object.__setattr__(self, "pairs", tuple((layer, norm) for layer, norm in pairs))

    def apply(self, network: nn.Module) -> nn.Module:
        for name, norm_name in self.pairs:
            layer, norm = _pair(network, name, norm_name)
            if layer.bias is None:
                bias = torch.zeros(norm.num_features, device=layer.weight.device, dtype=layer.weight.dtype)
                layer.bias = nn.Parameter(bias)
            put(network, norm_name, nn.Identity())
        return network

    def folded(self, network: nn.Module) -> nn.Module:
        """A copy of a trained network as `apply` makes it, which in evaluation answers as the network does."""
        network = copy.deepcopy(network)
        with torch.no_grad():
            for name, norm_name in self.pairs:
                layer, norm = _pair(network, name, norm_name)
                scale, shift = affine(norm)
                FoldedBatchNorm(((name, norm_name),)).apply(network)
                layer.weight.mul_(scale.reshape(-1, *[1] * (layer.weight.dim() - 1)).to(layer.weight))
                layer.bias.copy_(layer.bias.double() * scale + shift)
        return network


def affine(norm: nn.BatchNorm1d | nn.BatchNorm2d) -> tuple[torch.Tensor, torch.Tensor]:
    """What a batch normalisation multiplies each channel by in evaluation, and what it adds; float64."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = (norm.running_var.double() + norm.eps).rsqrt()
    if not norm.affine:
        return scale, -norm.running_mean.double() * scale
    scale = scale * norm.weight.detach().double()
    return scale, norm.bias.detach().double() - norm.running_mean.double() * scale


def _pair(network: nn.Module, name: str, norm_name: str) -> tuple[Any, Any]:
    layer = named(network, name, *LAYERS)
    norm = named(network, norm_name, *NORMALIZATIONS)
    if len(layer.weight) != norm.num_features or norm.running_mean is None:
        raise RecipeError(f"the batch normalisation {show(norm_name)} does not go with the layer {show(name)}")
    return layer, norm
