"""bfloat16 in place of float32: half the bits, about twice the speed where the device has units for it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from maas.errors import DataError, show

PRECISIONS = ("float32", "bfloat16")
_LEAST_GAIN = 1.1  # times as fast where it was vouched for, or it is not worth the lost digits


class Lowered(nn.Module):
    """A copy of a network in bfloat16, weights and all, which takes and gives float32.

    The weights are cast once: `torch.autocast` casts them in every pass, which takes longest where rows are few.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).to(torch.bfloat16)

    def forward(self, **inputs: torch.Tensor) -> torch.Tensor:
        lowered = {name: one.to(torch.bfloat16) if one.is_floating_point() else one for name, one in inputs.items()}
        outputs: torch.Tensor = self.network(**lowered)
        return outputs.float()


def check_precision(precision: Any, *others: str) -> None:
    """Raise DataError for what is no precision to answer in."""
    if precision not in (*others, *PRECISIONS):
        raise DataError(f"`precision` must be one of {', '.join((*others, *PRECISIONS))}, got {show(precision)}")


def is_fast(device: torch.device) -> bool:
    """Whether a device multiplies bfloat16 in hardware.

    What the processor says of itself, and no race: workers side by side must not answer in different precisions because
    one of them met a busy moment.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        able: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # older versions of torch lack it
        return any("bf16" in name and bool(has) for name, has in able.items())
    return False


def is_vouched(card: Mapping[str, Any], device: torch.device) -> bool:
    """Whether a card says that bfloat16 held its accuracy on such a device, and was worth it there."""
    found = card.get("precision")
    told = found.get("bfloat16") if isinstance(found, Mapping) else None
    return (
        isinstance(told, Mapping)
        and told.get("held") is True
        and told.get("device") == device.type
        and isinstance(told.get("times_as_fast"), float)
        and told["times_as_fast"] >= _LEAST_GAIN
    )
