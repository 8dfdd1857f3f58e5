"""Weights that stand in half the bytes in the file, and compute in float32 as ever."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from maas.nn.transforms._transform import Transform, transform


@transform("bfloat16_weights")
@dataclass(frozen=True)
class Bfloat16Weights(Transform):
    """Float32 tensors of two or more dimensions stored in bfloat16.

    What was restored is stored again as the same bytes. Not trained further: new weights would be rounded after they
    were measured. Whether the network also computes in bfloat16 is another matter: `maas.Model.vouch`.
    """

    trainable = False

    def stored(self, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {name: one.bfloat16() if _is_wide(one, torch.float32) else one for name, one in tensors.items()}

    def restored(self, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {name: one.float() if _is_wide(one, torch.bfloat16) else one for name, one in tensors.items()}


def _is_wide(tensor: torch.Tensor, dtype: torch.dtype) -> bool:
    return tensor.dtype == dtype and tensor.dim() >= 2
