"""Integrated gradients: how much each number that a network is given adds to what it gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from maas.errors import DataError

_Tensors = Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class Attribution:
    """What each number of some rows adds to their outputs.

    Args:
        parts: by input, of its shape: what each number adds beyond the baseline's.
        outputs, baselines: float of shape (batch,): what the rows give, and what the baseline gives in their place.
    """

    parts: dict[str, torch.Tensor]
    outputs: torch.Tensor
    baselines: torch.Tensor

    @property
    def gap(self) -> torch.Tensor:
        """How far the parts of each row are from adding up to its output less the baseline's; float, 0 or more."""
        total = sum(part.flatten(1).sum(dim=1) for part in self.parts.values())
        return (total - (self.outputs - self.baselines)).abs()


def integrated_gradients(
    network: nn.Module, inputs: _Tensors, baselines: _Tensors, aim: torch.Tensor, *, steps: int = 32
) -> Attribution:
    """The path integral of the gradients from a baseline to each row, by Gauss-Legendre quadrature.

    Numbers go along a straight line. Integers that stand for things, such as tokens, have no line between them: the
    vectors that the network's own `nn.Embedding` gives for them have, and what all numbers of a vector add is the
    token's. It is written out here because Captum, which has it too, needs matplotlib to be imported.

    Args:
        network: in evaluation mode.
        inputs: as of its `forward`; few rows, for the gradients of all layers are kept.
        baselines: by input that is to be explained, what stands for knowing nothing, of a shape that broadcasts to it.
            The others stay what they are.
        aim: float of shape (batch, outputs): the output that is explained is the sum of the network's times these.
        steps: of the quadrature; the more, the smaller the gap.

    Raises:
        DataError: the network reads integers that are to be explained otherwise than through `nn.Embedding`.

    Source: Sundararajan, Taly and Yan 2017, Axiomatic Attribution for Deep Networks, arXiv:1703.01365, equation 1.
    """
    path = _Path(network, inputs, baselines)
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    with torch.no_grad():
        outputs, starts = ((path.run(share) * aim).sum(dim=1) for share in (1.0, 0.0))
    sums: dict[str, Any] = dict.fromkeys(baselines, 0.0)
    with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):  # its recurrent cells have no gradient here
        for node, weight in zip(((nodes + 1) / 2).tolist(), (weights / 2).tolist(), strict=True):
            total = (path.run(node) * aim).sum()
            if not path.leaves:
                break
            found = torch.autograd.grad(total, [leaf for _, leaf, _ in path.leaves], allow_unused=True)
            for (name, leaf, along), gradient in zip(path.leaves, found, strict=True):
                part = torch.zeros_like(leaf) if gradient is None else gradient * along * weight
                sums[name] = sums[name] + (part if inputs[name].is_floating_point() else part.sum(dim=-1))
    for name, found_sum in sums.items():
        if not isinstance(found_sum, torch.Tensor):
            raise DataError(
                f"the network reads {name!r} otherwise than through an nn.Embedding that it calls, so its answers "
                f"cannot be explained; take another network, such as maas.nn.TextCNN for texts"
            )
    return Attribution(sums, outputs, starts)


class _Path:
    """The way from a baseline to the rows.

    Args: as of `integrated_gradients`.
    """

    def __init__(self, network: nn.Module, inputs: _Tensors, baselines: _Tensors) -> None:
        self.network, self.inputs = network, inputs
        self.baselines = {name: one.to(inputs[name]) for name, one in baselines.items()}
        self.leaves: list[tuple[str, torch.Tensor, torch.Tensor]] = []
        """Of the last run by input: the tensor on the way, and the whole way."""

    def run(self, share: float) -> torch.Tensor:
        """The network's outputs at so much of the way, float of shape (batch, outputs)."""
        self.leaves = []
        moved = {
            name: self._leaf(name, start.expand_as(self.inputs[name]), self.inputs[name], share)
            for name, start in self.baselines.items()
            if start.is_floating_point()
        }

        def replace(embedding: nn.Module, given: Any, vectors: torch.Tensor) -> torch.Tensor | None:
            for name, start in self.baselines.items():
                tokens = self.inputs[name]
                if not start.is_floating_point() and given[0].shape == tokens.shape and torch.equal(given[0], tokens):
                    table: Any = embedding.weight
                    return self._leaf(name, table[start].expand_as(vectors), vectors, share)
            return None

        embeddings = [module for module in self.network.modules() if isinstance(module, nn.Embedding)]
        hooks = [module.register_forward_hook(replace) for module in embeddings]
        try:
            outputs: torch.Tensor = self.network(**{**self.inputs, **moved})
        finally:
            for hook in hooks:
                hook.remove()
        return outputs.float()

    def _leaf(self, name: str, start: torch.Tensor, end: torch.Tensor, share: float) -> torch.Tensor:
        along = (end - start).detach()
        leaf = (start + share * along).detach().requires_grad_(torch.is_grad_enabled())
        self.leaves.append((name, leaf, along))
        return leaf
