"""Numbers as 8-bit codes: x / scale + zero point."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch

_HALF = 128


@dataclass(frozen=True)
class Codes:
    """How numbers become uint8.

    Args:
        scale: what a code more is worth; above 0.
        zero_point: the code of 0, from 0 to 255.
        device: where the numbers are.
    """

    scale: float
    zero_point: int
    device: torch.device | str = "cpu"

    def of(self, x: torch.Tensor) -> torch.Tensor:
        """The codes, rounded and held from 0 to 255.

        Through int8, because torch converts float32 to that in vectors, and to uint8 one by one.
        """
        codes = torch.add(self._offset, x.float(), alpha=1.0 / self.scale).round_().clamp_(-_HALF, _HALF - 1)
        return codes.to(torch.int8).view(torch.uint8).bitwise_xor_(_HALF)

    @functools.cached_property
    def _offset(self) -> torch.Tensor:  # one operation less than a multiplication and a sum
        return torch.tensor(float(self.zero_point - _HALF), device=self.device)
