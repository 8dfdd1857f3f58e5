"""Convolutions that do in one pass what a network's own did in several."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

from maas.errors import FormatError, RecipeError, show
from maas.nn._fused import ACTIVATIONS, FusedConv2d, FusedResidual
from maas.nn.transforms._int8 import padding_of
from maas.nn.transforms._modules import as_names, is_names, named, put
from maas.nn.transforms._transform import Transform, transform

MODULES: dict[type[nn.Module], str] = {nn.ReLU: "relu", nn.Hardswish: "hardswish", nn.SiLU: "silu"}
"""What can become part of a convolution, and the name of what it computes."""


@dataclass(frozen=True)
class FusedForm:
    """How a convolution computes.

    Args:
        name: of the convolution.
        activation: what became part of it: "none", "relu", "hardswish" or "silu".
    """

    name: str
    activation: str


@transform("fused")
@dataclass(frozen=True)
class Fused(Transform):
    """Convolutions over images whose weights are laid out once, with the activations after them.

    The tensors stay what they are and have the same names, so nothing of the machine stands in the file.

    Args:
        layers: how each computes.
        idle: names of activations that became part of the layers before them.
        blocks: names of residual blocks of torchvision's ResNets, which add and rectify in their last convolution.
    """

    layers: tuple[FusedForm, ...]
    idle: tuple[str, ...]
    blocks: tuple[str, ...]
    trainable = False

    def __post_init__(self) -> None:
        if not isinstance(self.layers, (list, tuple)):
            raise FormatError(f"`layers` is a list, got {show(self.layers)}")
        object.__setattr__(self, "layers", tuple(_form(one) for one in self.layers))
        for argument in ("idle", "blocks"):
            object.__setattr__(self, argument, as_names(argument, getattr(self, argument)))

    def apply(self, network: nn.Module) -> nn.Module:
        for form in self.layers:
            put(network, form.name, _fused(named(network, form.name, nn.Conv2d), form.name, form.activation))
        for name in self.idle:
            named(network, name, *MODULES)
            put(network, name, nn.Identity())
        for name in self.blocks:
            put(network, name, _residual(named(network, name, *block_types()), name))
        return network


def block_types() -> tuple[type[nn.Module], ...]:
    """The residual blocks that are known."""
    from torchvision.models.resnet import BasicBlock, Bottleneck  # here: it takes a second

    return BasicBlock, Bottleneck


def is_plain(block: Any) -> bool:
    """Whether a residual block computes as torchvision's do once batch normalisation is folded: nothing else in it."""
    convolutions = [one for name, one in block.named_children() if name.startswith("conv")]
    between = [one for name, one in block.named_children() if name.startswith("bn")]
    short_cut = [] if block.downsample is None else list(block.downsample)
    return (
        type(block.relu) is nn.ReLU
        and all(type(one) is nn.Conv2d and padding_of(one) is not None for one in (*convolutions, *short_cut[:1]))
        and all(type(one) is nn.Identity for one in (*between, *short_cut[1:]))
    )


def _form(one: Any) -> FusedForm:
    if isinstance(one, FusedForm):
        return one
    if type(one) is not dict or one.keys() != {"name", "activation"} or not is_names([one["name"]]):
        raise FormatError(f"a layer is {{name: string, activation: string}}, got {show(one)}")
    if type(one["activation"]) is not str or one["activation"] not in ACTIVATIONS:
        raise FormatError(f"`activation` must be one of {', '.join(ACTIVATIONS)}, got {show(one['activation'])}")
    return FusedForm(**one)


def _fused(layer: nn.Conv2d, name: str, activation: str) -> FusedConv2d:
    padding = padding_of(layer)
    if padding is None:
        raise RecipeError(f"the convolution {show(name)} has a padding that fused layers do not have")
    return FusedConv2d(layer, padding=padding, activation=activation)


def _residual(block: Any, name: str) -> FusedResidual:
    if not is_plain(block):
        raise RecipeError(f"the residual block {show(name)} has modules that it does not have when it is folded")
    convolutions = {
        part: _fused(one, f"{name}.{part}", "relu") for part, one in block.named_children() if part.startswith("conv")
    }
    down = block.downsample
    if down is not None:
        down = nn.Sequential(_fused(down[0], f"{name}.downsample.0", "none"), nn.Identity())
    return FusedResidual(convolutions, down).eval()
