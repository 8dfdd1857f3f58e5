"""What networks over sequences and texts share: which steps are valid, and how they become one vector a row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from maas.errors import RecipeError
from maas.schema import TensorSpec

POOLINGS = ("last", "mean", "max")


def mask_of(lengths: torch.Tensor, steps: int) -> torch.Tensor:
    """Which of so many steps are no padding: bool of shape (batch, steps)."""
    return torch.arange(steps, device=lengths.device) < lengths[:, None]


def valid_steps(sequence: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Which steps are no padding: bool of shape (batch, steps, 1), for a sequence of shape (batch, steps, channels)."""
    return mask_of(lengths, sequence.shape[1])[:, :, None]


def pool(sequence: torch.Tensor, lengths: torch.Tensor, how: str) -> torch.Tensor:
    """(batch, steps, features) -> (batch, features): the last valid step, or the mean or maximum of the valid ones."""
    if how == "last":
        last = (lengths - 1)[:, None, None].expand(-1, 1, sequence.shape[2])
        return sequence.gather(1, last)[:, 0]
    valid = valid_steps(sequence, lengths)
    if how == "max":
        return sequence.masked_fill(~valid, -torch.inf).amax(dim=1)
    return sequence.masked_fill(~valid, 0.0).sum(dim=1) / lengths[:, None].to(sequence.dtype)


def reversed_steps(sequence: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Each row read backwards within its own length, so that its padding stays behind it. Its own inverse."""
    steps = sequence.shape[1]
    places = torch.arange(steps, device=sequence.device)
    back = torch.where(mask_of(lengths, steps), lengths[:, None] - 1 - places, places)  # (batch, steps)
    return sequence.gather(1, back[:, :, None].expand_as(sequence))


def sequence_sizes(network: str, inputs: Mapping[str, TensorSpec], num_outputs: int) -> dict[str, Any]:
    """The sizes that the data gives a network over `sequence` and `sequence_lengths`."""
    spec = inputs.get("sequence")
    if set(inputs) != {"sequence", "sequence_lengths"} or spec is None or len(spec.shape) != 2 or not spec.shape[1]:
        found = ", ".join(f"{name} {one.shape}" for name, one in inputs.items())
        raise RecipeError(
            f"{network} takes a `sequence` of shape (steps, channels) with its `sequence_lengths`, the data gives "
            f"{found}"
        )
    return {"channels": spec.shape[1], "out_features": num_outputs}
