"""Weights that stand as bytes in the file, with a scale a row, and compute in float32 as ever."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from maas.errors import FormatError, show
from maas.nn.transforms._transform import Transform, transform

_SCALE = ":scale"
_LEAST_NUMBERS = 1024
LEAST_ROW = 8  # numbers
_MOST = 127
_NOTHING = 2.0**-100  # a row of nothing larger stands as zeros


@transform("int8_weights")
@dataclass(frozen=True)
class Int8Weights(Transform):
    """Float32 tensors of two or more dimensions stored in int8: code times the scale of its row, or output channel,
    or of its column where rows are short.

    A scale has 16 significant bits and a code 7, so that their product is exact in float32, and what was restored is
    stored again as the same bytes. Not trained further: new weights would be rounded after they were measured.
    """

    trainable = False

    def stored(self, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        found: dict[str, torch.Tensor] = {}
        for name, tensor in tensors.items():
            if is_large(tensor):
                found[name], found[name + _SCALE] = to_int8(tensor)
            else:
                found[name] = tensor
        return found

    def restored(self, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        found = {name: tensor for name, tensor in tensors.items() if not name.endswith(_SCALE)}
        for name in tensors.keys() - found.keys():
            codes, scales = found.get(name.removesuffix(_SCALE)), tensors[name]
            if codes is None:
                raise FormatError(f"{show(name)} scales a tensor that is not there")
            check_codes(name.removesuffix(_SCALE), codes, scales)
            found[name.removesuffix(_SCALE)] = codes.float() * beside(scales, codes)
        return found


def is_large(tensor: torch.Tensor) -> bool:
    """Whether a tensor is one that takes less room in int8."""
    return (
        tensor.dtype == torch.float32
        and tensor.dim() >= 2
        and tensor.numel() >= _LEAST_NUMBERS
        and bool(tensor.isfinite().all())
    )


def has_short_rows(tensor: torch.Tensor) -> bool:
    """Whether a scale a row would take what the codes save."""
    return tensor.numel() < LEAST_ROW * len(tensor)


def to_int8(tensor: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Codes from -127 to 127, int8 of the same shape, and their scales, float32: one a row, of shape (rows,).

    Where rows are short there is one a column, of shape (1, columns).
    """
    tensor = tensor.detach()
    own = 1 if has_short_rows(tensor) else 0
    largest = tensor.abs().amax(dim=[axis for axis in range(tensor.dim()) if axis != own])
    fraction, exponent = torch.frexp(largest / _MOST)
    scales = torch.ldexp(torch.ceil(fraction * 2**16) / 2**16, exponent)  # upwards, so that no code exceeds 127
    scales = torch.where(largest < _NOTHING, torch.ones_like(scales), scales)
    scales = scales[None] if own else scales
    return (tensor / beside(scales, tensor)).round().to(torch.int8), scales


def beside(scales: torch.Tensor, tensor: torch.Tensor) -> torch.Tensor:
    """The scales in a shape that multiplies a tensor."""
    return scales.reshape(*scales.shape, *[1] * (tensor.dim() - scales.dim()))


def check_codes(name: str, codes: torch.Tensor, scales: torch.Tensor) -> None:
    """Raise FormatError for what `to_int8` cannot have given."""
    if codes.dtype != torch.int8 or codes.dim() < 2 or bool((codes == -_MOST - 1).any()):
        raise FormatError(f"{show(name)} must be int8 of two or more dimensions, from -127 to 127")
    wanted = (1, codes.shape[1]) if has_short_rows(codes) else (len(codes),)
    if scales.dtype != torch.float32 or scales.shape != wanted:
        raise FormatError(
            f"the scales of {show(name)} must be float32 of shape {wanted}, got {scales.dtype} {tuple(scales.shape)}"
        )
    if not bool((scales.isfinite() & (scales > 0)).all()):
        raise FormatError(f"the scales of {show(name)} must be finite and above 0")
