"""Layers with fewer units than their class built: what is left of a network once some were pruned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from maas.errors import FormatError, RecipeError, show
from maas.nn.transforms._transform import Transform, transform

Kept = torch.Tensor | int | None
"""Which units stay: their places, int64; or the first so many; or None, all of them."""
LINEAR = (nn.Linear, nn.Conv1d, nn.Conv2d)
RECURRENT = (nn.LSTM, nn.GRU, nn.RNN)
BY_CHANNEL = (nn.BatchNorm1d, nn.BatchNorm2d, nn.LayerNorm)


@transform("narrowed")
@dataclass(frozen=True)
class Narrowed(Transform):
    """Some layers take or give fewer numbers than they were built for.

    Args:
        sizes: by name of the layer, as `named_modules` has it, how many numbers it takes and gives; None where that is
            as built, so that a head still follows the data.

    Raises:
        FormatError: it is something else.
    """

    sizes: Mapping[str, Any]

    def __post_init__(self) -> None:
        if not isinstance(self.sizes, Mapping) or not all(map(_are_sizes, self.sizes.values())):
            raise FormatError(
                f"`sizes` of the transform 'narrowed' must be [taken, given] by a layer's name, positive integers or "
                f"null, got {show(self.sizes)}"
            )
        object.__setattr__(self, "sizes", {str(name): list(pair) for name, pair in self.sizes.items()})

    def apply(self, network: nn.Module) -> nn.Module:
        """The network itself, narrower; its tensors keep their names.

        Raises:
            RecipeError: it has no such layer, or one that is of another kind or not as wide.
        """
        modules = dict(network.named_modules())
        for name, (taken, given) in self.sizes.items():
            if name not in modules:
                raise RecipeError(f"there is no layer {show(name)} to narrow in a {type(network).__name__}")
            narrow(modules[name], taken, given, name)
        return network


def sizes_of(module: nn.Module) -> tuple[int, int] | None:
    """How many numbers a layer takes and gives, along the axis that units stand on; None: it cannot be narrowed."""
    if isinstance(module, nn.Linear):
        return module.in_features, module.out_features
    if isinstance(module, (nn.Conv1d, nn.Conv2d)):
        plain = module.groups == 1 or is_by_channel(module)
        return (module.in_channels, module.out_channels) if plain else None
    if isinstance(module, nn.Embedding):
        return module.num_embeddings, module.embedding_dim
    if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
        return module.num_features, module.num_features
    if isinstance(module, nn.LayerNorm):
        size = module.normalized_shape
        return (size[0], size[0]) if len(size) == 1 else None
    if isinstance(module, RECURRENT):
        plain = module.num_layers == 1 and not module.bidirectional and not module.proj_size
        return (module.input_size, module.hidden_size) if plain else None
    return None


def is_by_channel(module: nn.Module) -> bool:
    """Whether what it gives in a place is made of what it takes there: the two are pruned as one."""
    if isinstance(module, (nn.Conv1d, nn.Conv2d)):
        return module.groups == module.in_channels == module.out_channels > 1
    return isinstance(module, BY_CHANNEL)


def narrow(module: nn.Module, taken: Kept, given: Kept, name: str = "") -> None:
    """Leave a layer some of the numbers that it takes and gives, in place; on the meta device too.

    Raises:
        RecipeError: the layer cannot be narrowed so.
    """
    sizes = sizes_of(module)
    if sizes is None:
        raise RecipeError(f"the layer {show(name)}, a {type(module).__name__}, cannot be narrowed")
    counts = [size if kept is None else _count(kept) for kept, size in zip((taken, given), sizes, strict=True)]
    if not all(0 < count <= size for count, size in zip(counts, sizes, strict=True)):
        raise RecipeError(f"the layer {show(name)} takes and gives {sizes}, it cannot be narrowed to {tuple(counts)}")
    if is_by_channel(module):
        if counts[0] != counts[1]:
            raise RecipeError(f"the layer {show(name)} gives as many numbers as it takes, got {tuple(counts)}")
        _narrow_channels(module, given)
    elif isinstance(module, LINEAR):
        _put(module, "weight", _taken(_taken(module.weight, 0, given), 1, taken))
        _put(module, "bias", _taken(module.bias, 0, given))
    elif isinstance(module, nn.Embedding):
        if counts[0] != sizes[0]:
            raise RecipeError(f"the layer {show(name)} has a row for each of {sizes[0]} numbers, all of which stay")
        _put(module, "weight", _taken(module.weight, 1, given))
    elif isinstance(module, nn.RNNBase):
        _narrow_recurrent(module, taken, given)
    _tell(module, *counts)


def _narrow_channels(module: nn.Module, kept: Kept) -> None:
    tensors = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
    for name, tensor in tensors:
        if tensor.dim():  # the count of batches has no channels
            _put(module, name, _taken(tensor, 0, kept))


def _narrow_recurrent(module: nn.RNNBase, taken: Kept, given: Kept) -> None:
    """A unit has a row in the weights and biases of each gate, and a column in those of the state."""
    for name, tensor in list(module.named_parameters(recurse=False)):
        gates = tensor.reshape(-1, module.hidden_size, *tensor.shape[1:])  # (gates, hidden_size, ...)
        rows = _taken(gates, 1, given).flatten(0, 1)
        if name.startswith("weight"):
            rows = _taken(rows, 1, taken if name.startswith("weight_ih") else given)
        _put(module, name, rows)


def _taken(tensor: Any, axis: int, kept: Kept) -> Any:
    if tensor is None or kept is None:
        return tensor
    if isinstance(kept, int):
        return tensor.narrow(axis, 0, kept)
    return tensor.index_select(axis, kept.to(tensor.device))


def _put(module: nn.Module, name: str, tensor: torch.Tensor | None) -> None:
    if tensor is None:
        return
    old = getattr(module, name)
    new = tensor.detach().clone(memory_format=torch.contiguous_format)
    setattr(module, name, nn.Parameter(new, old.requires_grad) if isinstance(old, nn.Parameter) else new)


def _tell(module: Any, taken: int, given: int) -> None:
    """Let a layer say the sizes that it has now."""
    if isinstance(module, nn.Linear):
        module.in_features, module.out_features = taken, given
    elif isinstance(module, (nn.Conv1d, nn.Conv2d)):
        module.groups = given if is_by_channel(module) else 1
        module.in_channels, module.out_channels = taken, given
    elif isinstance(module, nn.Embedding):
        module.embedding_dim = given
    elif isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
        module.num_features = given
    elif isinstance(module, nn.LayerNorm):
        module.normalized_shape = (given,)
    elif isinstance(module, nn.RNNBase):
        module.input_size, module.hidden_size = taken, given


def _count(kept: torch.Tensor | int) -> int:
    return kept if isinstance(kept, int) else len(kept)


def _are_sizes(pair: Any) -> bool:
    if not isinstance(pair, (list, tuple)) or len(pair) != 2 or all(size is None for size in pair):
        return False
    return all(size is None or (type(size) is int and size > 0) for size in pair)
