"""A network's parameters laid end to end, so that what a step does to all of them is done to a few tensors."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.distributed.tensor import DTensor, distribute_tensor

from maas.training._freeze import Pace

_ALIGNMENT = 16  # numbers; kernels read parameters that begin at 64 bytes
_LARGE = 2**15  # numbers from which on one more pass over them costs more than one more operation


@dataclass(eq=False)
class Piece:
    """One tensor of an optimizer, and the parameters that lie in it.

    Args:
        parameter: what the optimizer updates: flat, or a parameter of the network as it is.
        gradient: of the same shape, kept from step to step, of a flat one; others get a new one each step.
        factor: what the learning rate is multiplied by.
        frozen: the number of epochs in which it does not learn; None: all.
        places: of a flat one: by name of a parameter where it begins, its sizes in the order of memory, and how its
            axes follow from those.
        name: of the parameter that is as it is.
    """

    parameter: nn.Parameter
    gradient: torch.Tensor | None
    factor: float
    frozen: int | None
    places: dict[str, tuple[int, list[int], list[int]]] = field(default_factory=dict)
    name: str = ""

    @property
    def names(self) -> list[str]:
        """Of the parameters in it."""
        return [self.name] if self.name else list(self.places)

    def views(self, tensor: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
        """The part of each parameter in a tensor that is laid out as this piece."""
        if self.name:
            yield self.name, tensor
        for name, (offset, sizes, axes) in self.places.items():
            yield name, tensor[offset : offset + math.prod(sizes)].view(sizes).permute(axes)


class Weights:
    """The parameters of a network in training.

    Args:
        network: its small parameters become views of flat tensors, until `release`. Large ones stay as they are, and
            weights of recurrent layers on a GPU, for cuDNN lays them out itself, and those that are sharded. A
            parameter that requires no gradient does not learn.
        pace: which parts learn when, and how fast.
        sharded: whether the parameters are shards (FSDP).
    """

    def __init__(self, network: nn.Module, pace: Pace, *, sharded: bool = False) -> None:
        self.network, self.sharded = network, sharded
        own_layout = {
            id(parameter)
            for module in network.modules()
            if isinstance(module, nn.RNNBase)
            for parameter in module.parameters()
            if parameter.is_cuda
        }
        together: dict[Any, list[tuple[str, nn.Parameter]]] = {}
        for name, parameter in network.named_parameters():
            large = parameter.numel() >= _LARGE and _is_dense(parameter)  # torch's fused optimizers write into gaps
            alone = name if sharded or id(parameter) in own_layout or large else ""
            frozen = pace.frozen_epochs_of(name) if parameter.requires_grad else None
            key = (pace.factor_of(name), frozen, parameter.dtype, parameter.device, alone)
            together.setdefault(key, []).append((name, parameter))
        self.pieces = [
            Piece(members[0][1], None, key[0], key[1], name=key[4]) if key[4] else _laid_out(members, key[0], key[1])
            for key, members in together.items()
        ]
        self.learning = self.pieces

    def groups(self) -> list[dict[str, Any]]:
        """An optimizer's groups, each with the factor of its learning rate; what never learns is in none."""
        learning = [piece for piece in self.pieces if piece.frozen is not None]
        factors = dict.fromkeys(piece.factor for piece in learning)
        return [
            {"params": [piece.parameter for piece in learning if piece.factor == factor], "factor": factor}
            for factor in factors
        ]

    def begin(self, epoch: int) -> None:
        """Take the pieces that learn in an epoch, counted from 1; an optimizer passes over the others."""
        self.learning = [piece for piece in self.pieces if piece.frozen is not None and epoch > piece.frozen]
        for piece in self.pieces:
            piece.parameter.grad = piece.gradient if piece in self.learning else None

    @property
    def parameters(self) -> list[nn.Parameter]:
        """Those that learn."""
        return [piece.parameter for piece in self.learning]

    @property
    def gradients(self) -> list[torch.Tensor]:
        """Of those that learn and have one."""
        found = [piece.parameter.grad for piece in self.learning]
        return [gradient for gradient in found if gradient is not None]

    def zero_grad(self) -> None:
        """Forget the gradients of the step before."""
        for piece in self.learning:
            if piece.gradient is None:
                piece.parameter.grad = None
            else:
                piece.gradient.zero_()

    def fill(self) -> None:
        """Give a gradient of zeros to those that learn and have none: the rows of another process may give one."""
        for parameter in self.parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)

    def release(self) -> None:
        """Give each parameter storage of its own again, and no gradient."""
        flat = {name for piece in self.pieces for name in piece.places}
        for name, parameter in self.network.named_parameters():
            if name in flat:
                parameter.data = parameter.data.clone()
            parameter.grad = None


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor, or all of one that is sharded: every process must ask."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def put(target: torch.Tensor, source: torch.Tensor) -> None:
    """Copy a tensor into another one in place, a shard of it where that is sharded."""
    if isinstance(target, DTensor) and not isinstance(source, DTensor):
        source = distribute_tensor(source.to(target.device), target.device_mesh, target.placements)
    with torch.no_grad():
        target.copy_(source)


def _is_dense(parameter: nn.Parameter) -> bool:
    return parameter.permute(_order_in_memory(parameter)).is_contiguous()


def _order_in_memory(parameter: nn.Parameter) -> list[int]:
    """The axes from that of the largest steps to that of the smallest."""
    strides = parameter.stride()
    return sorted(range(parameter.dim()), key=lambda axis: (-strides[axis], axis))


def _laid_out(members: list[tuple[str, nn.Parameter]], factor: float, frozen: int | None) -> Piece:
    places: dict[str, tuple[int, list[int], list[int]]] = {}
    size = 0
    for name, parameter in members:
        # channels-last weights stay so: memory keeps its order, and the axes are named anew
        order = _order_in_memory(parameter)
        places[name] = (
            size,
            [parameter.shape[axis] for axis in order],
            [order.index(axis) for axis in range(len(order))],
        )
        size += -(-parameter.numel() // _ALIGNMENT) * _ALIGNMENT
    flat = nn.Parameter(members[0][1].detach().new_zeros(size))
    piece = Piece(flat, torch.zeros_like(flat), factor, frozen, places)
    assert piece.gradient is not None
    with torch.no_grad():
        for (_, parameter), (_, view), (_, gradient) in zip(
            members, piece.views(flat.detach()), piece.views(piece.gradient), strict=True
        ):
            view.copy_(parameter)
            # Kernels choose by strides, also by those of axes of size 1, which say nothing.
            shape, strides = parameter.shape, (parameter if _is_dense(parameter) else view).stride()
            parameter.data = view.as_strided(shape, strides)
            parameter.grad = gradient.as_strided(shape, strides)
    return piece
