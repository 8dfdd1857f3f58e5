"""What networks over sequences share: which steps are valid, and how they become one vector a row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from maas.errors import RecipeError
from maas.schema import TensorSpec

POOLINGS = ("last", "mean", "max")


def valid_steps(sequence: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Which steps are no padding: bool of shape (batch, steps, 1), for a sequence of shape (batch, steps, channels)."""
    places = torch.arange(sequence.shape[1], device=sequence.device)
    return (places < lengths[:, None])[:, :, None]


def pool(sequence: torch.Tensor, lengths: torch.Tensor, how: str) -> torch.Tensor:
    """(batch, steps, features) -> (batch, features): the last valid step, or the mean or maximum of the valid ones."""
    if how == "last":
        return sequence[torch.arange(sequence.shape[0], device=sequence.device), lengths - 1]
    valid = valid_steps(sequence, lengths)
    if how == "max":
        return sequence.masked_fill(~valid, -torch.inf).amax(dim=1)
    return sequence.masked_fill(~valid, 0.0).sum(dim=1) / lengths[:, None].to(sequence.dtype)


def reversed_steps(sequence: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Each row read backwards within its own length, so that its padding stays behind it. Its own inverse."""
    places = torch.arange(sequence.shape[1], device=sequence.device)
    back = torch.where(places < lengths[:, None], lengths[:, None] - 1 - places, places)  # (batch, steps)
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
