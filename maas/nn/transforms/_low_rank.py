"""Matrices of low rank beside a network's own, which alone learn."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from maas.errors import RecipeError, show
from maas.nn.transforms._modules import is_names, put
from maas.nn.transforms._transform import Transform, transform

_NORMALIZATIONS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


@transform("low_rank")
@dataclass(frozen=True)
class LowRank(Transform):
    """Two thin matrices beside linear layers: `W x + alpha / rank * up down x`. All that was there before is frozen.

    `up` begins as zeros, so that the network answers at first as it did. Both are float32 whatever the network is in.

    Args:
        rank: columns of `up` and rows of `down`.
        alpha: what their product is multiplied by, times the rank; None: twice the rank.
        targets: names of linear layers, or how these end, such as "query"; None: all.

    Raises:
        RecipeError: an argument is out of its range.

    Source: Hu et al. 2021, arXiv:2106.09685, section 4.1.
    """

    rank: int = 8
    alpha: float | None = None
    targets: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if type(self.rank) is not int or not 1 <= self.rank <= 4096:
            raise RecipeError(f"`rank` must be an integer from 1 to 4096, got {show(self.rank)}")
        alpha = 2.0 * self.rank if self.alpha is None else self.alpha
        if type(alpha) not in (int, float) or not 0 < alpha < math.inf:
            raise RecipeError(f"`alpha` must be positive and finite, got {show(alpha)}")
        object.__setattr__(self, "alpha", float(alpha))
        if self.targets is not None:
            if not is_names(self.targets) or not self.targets:
                raise RecipeError(
                    f"`targets` must be names of layers, such as ('query', 'value'), got {show(self.targets)}"
                )
            object.__setattr__(self, "targets", tuple(self.targets))

    def apply(self, network: nn.Module) -> nn.Module:
        for name, module in network.named_modules():
            if isinstance(module, _NORMALIZATIONS):
                raise RecipeError(
                    f"the network has batch normalisation, {show(name)}, whose statistics would move with every "
                    f"batch; train it as a whole"
                )
        if any(isinstance(module, LowRankLinear) for module in network.modules()):
            raise RecipeError("the network has matrices of low rank already; go on with those, or merge them first")
        found = self._found(network)
        network.requires_grad_(False)
        for name, layer in found.items():
            put(network, name, LowRankLinear(layer, self.rank, (self.alpha or 0.0) / self.rank))
        return network

    def added(self, network: nn.Module) -> list[str]:
        """Names of the tensors that were added to a network."""
        return [
            f"{name}.{part}"
            for name, module in network.named_modules()
            if isinstance(module, LowRankLinear)
            for part in ("low_rank_down", "low_rank_up")
        ]

    def merged(self, network: nn.Module) -> nn.Module:
        """A copy of a network that went through `apply`, with the products added to its own matrices."""
        network = copy.deepcopy(network)
        for name, module in list(network.named_modules()):
            if isinstance(module, LowRankLinear):
                put(network, name, module.merged())
        return network.requires_grad_(True)

    def _found(self, network: nn.Module) -> dict[str, nn.Linear]:
        """The linear layers that are meant, by name."""
        layers = {name: module for name, module in network.named_modules() if type(module) is nn.Linear}
        for target in self.targets or ():
            if not any(_is_called(name, target) for name in layers):
                known = ", ".join(dict.fromkeys(name.rpartition(".")[2] for name in layers)) or "none"
                raise RecipeError(f"`targets` names {show(target)}, the network's linear layers are called {known}")
        if self.targets is not None:
            layers = {name: one for name, one in layers.items() if any(_is_called(name, to) for to in self.targets)}
        if not layers:
            raise RecipeError("the network has no linear layers to put matrices of low rank beside")
        return layers


class LowRankLinear(nn.Module):
    """A linear layer, its own parameters under their own names, and two matrices beside it.

    Args:
        layer: whose parameters it takes.
        rank: of the product.
        scale: of the product.
    """

    def __init__(self, layer: nn.Linear, rank: int, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.weight, self.bias = layer.weight, layer.bias
        device = layer.weight.device
        down = torch.randn(rank, layer.in_features, device=device) / math.sqrt(layer.in_features)
        self.low_rank_down = nn.Parameter(down)
        self.low_rank_up = nn.Parameter(torch.zeros(layer.out_features, rank, device=device))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x (..., in) -> (..., out)."""
        beside = F.linear(F.linear(x.to(self.low_rank_down.dtype), self.low_rank_down), self.low_rank_up)
        own = F.linear(x, self.weight, self.bias)
        return own + (self.scale * beside).to(own.dtype)

    def merged(self) -> nn.Linear:
        """The linear layer that gives the same but for rounding."""
        size_out, size_in = self.weight.shape
        layer = nn.Linear(size_in, size_out, bias=self.bias is not None, device="meta")
        product = self.scale * (self.low_rank_up.detach().double() @ self.low_rank_down.detach().double())
        layer.weight = nn.Parameter((self.weight.detach().double() + product).to(self.weight.dtype))
        layer.bias = self.bias
        return layer


def _is_called(name: str, target: str) -> bool:
    return name == target or name.endswith(f".{target}")
