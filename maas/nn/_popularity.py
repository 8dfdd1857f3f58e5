"""What most users touched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from maas.nn._arguments import check_positive
from maas.nn._clicks import Parts, clicks_of, sizes_of_clicks
from maas.nn._register import network
from maas.schema import TensorSpec


@network("popularity", learns="closed_form")
class Popularity(nn.Module):
    """Each item's score is the number of users who touched it, whoever asks.

    Args:
        num_users, num_items: how many there are.

    Raises:
        RecipeError: an argument is out of its range.
    """

    def __init__(self, num_users: int, num_items: int) -> None:
        super().__init__()
        check_positive(num_users=num_users, num_items=num_items)
        self.counts = nn.Parameter(torch.zeros(num_items), requires_grad=False)

    @classmethod
    def sizes(cls, inputs: Mapping[str, TensorSpec], num_outputs: int) -> dict[str, Any]:
        """The sizes that the data gives."""
        return sizes_of_clicks("Popularity", inputs, num_outputs)

    def solve(self, parts: Parts) -> None:
        """Count."""
        counts = clicks_of(parts, len(self.counts)).sum(axis=0)
        self.counts.copy_(torch.as_tensor(counts).reshape(-1))

    def forward(self, user: torch.Tensor, history: torch.Tensor, history_lengths: torch.Tensor) -> torch.Tensor:
        """Numbers (batch,), (batch, longest) and (batch,), int64 -> scores (batch, num_items)."""
        return self.counts.repeat(user.shape[0], 1)
