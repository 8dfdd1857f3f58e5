"""Which batch normalisations can be folded into the layers before them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from maas.compress._trace import PASSING, trace
from maas.nn.transforms import FoldedBatchNorm
from maas.nn.transforms._folded_batch_norm import LAYERS, NORMALIZATIONS, affine

_POOLING = (nn.MaxPool1d, nn.MaxPool2d)
_NEAR = 1e-4  # of the largest output


def find_folds(network: nn.Module, inputs: Mapping[str, torch.Tensor]) -> FoldedBatchNorm:
    """The pairs of layer and batch normalisation that can be folded; the answers to these rows stay what they are.

    Where a maximum is taken between the two, folding is right if no channel's scale is negative: only then is the
    greatest number still the greatest once it is multiplied.
    """
    found = trace(network, inputs)
    norms = set(found.alone(*NORMALIZATIONS))
    pairs: list[tuple[str, str]] = []
    for name in found.alone(*LAYERS):
        pooled = False
        for reader, _ in found.after(name):
            module = found.modules[reader]
            if reader in norms and _goes_with(found.modules[name], module, pooled=pooled):
                pairs.append((name, reader))
            if type(module) in _POOLING:
                pooled = True
            elif type(module) not in PASSING:
                break
    if not _holds(network, pairs, inputs):
        pairs = [pair for pair in pairs if _holds(network, [pair], inputs)]
    return FoldedBatchNorm(tuple(pairs))


def _goes_with(layer: nn.Module, norm: nn.Module, *, pooled: bool) -> bool:
    assert isinstance(norm, NORMALIZATIONS)
    if norm.running_mean is None or norm.num_features != len(layer.get_parameter("weight")):
        return False
    return not pooled or bool((affine(norm)[0] >= 0).all())


def _holds(network: nn.Module, pairs: list[tuple[str, str]], inputs: Mapping[str, torch.Tensor]) -> bool:
    if not pairs:
        return True
    with torch.no_grad():
        before, after = network(**inputs), FoldedBatchNorm(tuple(pairs)).folded(network)(**inputs)
    return are_near(before, after)


def are_near(before: torch.Tensor, after: torch.Tensor) -> bool:
    """Whether outputs differ by no more than rounding does."""
    return bool((before - after).abs().max() <= _NEAR * before.abs().max().clamp(min=1e-6))
