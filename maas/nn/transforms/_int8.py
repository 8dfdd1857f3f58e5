"""Layers that compute in 8-bit integers, in place of a network's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from maas.errors import FormatError, RecipeError, show
from maas.nn._int8 import Int8Conv2d, Int8Embedding, Int8Layer, Int8Linear
from maas.nn.transforms._int8_weights import check_codes
from maas.nn.transforms._modules import as_names, is_names, named, put
from maas.nn.transforms._transform import Transform, transform


@dataclass(frozen=True)
class Int8Form:
    """How a layer computes in integers.

    Args:
        name: of a linear layer or a convolution over images.
        relu: whether a ReLU after it became part of it.
        uint8: whether it gives 8-bit codes to the next layer, which reads them.
    """

    name: str
    relu: bool
    uint8: bool


@transform("int8")
@dataclass(frozen=True)
class Int8(Transform):
    """Linear layers and convolutions over 8-bit integers, and tables of them.

    Args:
        layers: how each computes.
        embeddings: names of tables.
        fused: names of ReLUs that became part of the layers before them.
    """

    layers: tuple[Int8Form, ...]
    embeddings: tuple[str, ...]
    fused: tuple[str, ...]
    trainable = False
    differentiable = False
    tolerance = 0.01  # where a number lies between two codes, another processor may take the other

    def __post_init__(self) -> None:
        if not isinstance(self.layers, (list, tuple)):
            raise FormatError(f"`layers` is a list, got {show(self.layers)}")
        object.__setattr__(self, "layers", tuple(_form(one) for one in self.layers))
        for argument in ("embeddings", "fused"):
            object.__setattr__(self, argument, as_names(argument, getattr(self, argument)))

    def apply(self, network: nn.Module) -> nn.Module:
        for form in self.layers:
            layer = named(network, form.name, nn.Linear, nn.Conv2d)
            made = _linear(layer, form) if isinstance(layer, nn.Linear) else _convolution(layer, form)
            put(network, form.name, made.eval())
        for name in self.embeddings:
            table = named(network, name, nn.Embedding)
            put(network, name, Int8Embedding(table.num_embeddings, table.embedding_dim))
        for name in self.fused:
            named(network, name, nn.ReLU)
            put(network, name, nn.Identity())
        return network

    def restored(self, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        for name in (*(form.name for form in self.layers), *self.embeddings):
            if {f"{name}.weight", f"{name}.weight_scale"} <= tensors.keys():  # else the network's own check tells
                check_codes(f"{name}.weight", tensors[f"{name}.weight"], tensors[f"{name}.weight_scale"])
        for form in self.layers:
            for end in ("input", "output"):
                scale, zero = (tensors.get(f"{form.name}.{end}_{what}") for what in ("scale", "zero_point"))
                if scale is not None and not bool((scale.isfinite() & (scale > 0)).all()):
                    raise FormatError(f"the scale of the {end} of {show(form.name)} must be finite and above 0")
                if zero is not None and not bool(((zero >= 0) & (zero <= 255)).all()):
                    raise FormatError(f"the zero point of the {end} of {show(form.name)} must be from 0 to 255")
        return dict(tensors)


def padding_of(layer: nn.Conv2d) -> tuple[int, ...] | None:
    """How many zeros a convolution adds at each side; None where the sides differ, or it adds something else."""
    if layer.padding_mode != "zeros":
        return None
    if layer.padding == "valid":
        return (0, 0)
    if layer.padding == "same":
        all_around = [step * (size - 1) for step, size in zip(layer.dilation, layer.kernel_size, strict=True)]
        return None if any(one % 2 for one in all_around) else tuple(one // 2 for one in all_around)
    return tuple(layer.padding)  # type: ignore[arg-type]


def _form(one: Any) -> Int8Form:
    if isinstance(one, Int8Form):
        return one
    if (
        type(one) is not dict
        or one.keys() != {"name", "relu", "uint8"}
        or not is_names([one["name"]])
        or not all(type(one[key]) is bool for key in ("relu", "uint8"))
    ):
        raise FormatError(f"a layer is {{name: string, relu: boolean, uint8: boolean}}, got {show(one)}")
    return Int8Form(**one)


def _linear(layer: nn.Linear, form: Int8Form) -> Int8Layer:
    bias = layer.bias is not None
    return Int8Linear(layer.in_features, layer.out_features, bias=bias, relu=form.relu, uint8=form.uint8)


def _convolution(layer: nn.Conv2d, form: Int8Form) -> Int8Layer:
    padding = padding_of(layer)
    if padding is None:
        raise RecipeError(f"the convolution {show(form.name)} has a padding that int8 layers do not have")
    return Int8Conv2d(
        tuple(layer.weight.shape),
        stride=layer.stride,
        padding=padding,
        dilation=layer.dilation,
        groups=layer.groups,
        bias=layer.bias is not None,
        relu=form.relu,
        uint8=form.uint8,
    )
