"""Recommending by what items are like."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from maas.nn._arguments import check_at_least_zero, check_positive
from maas.nn._clicks import Parts, clicks_of, sizes_of_clicks
from maas.nn._register import network
from maas.schema import TensorSpec


@network("content_based", learns="closed_form")
class ContentBased(nn.Module):
    """Each item's score is its mean likeness to the history, by what is known of items, touched or not.

    Takes `maas.preprocess.Interactions.with_options(items=table)`, which makes the likeness out of texts, categories
    and numbers.

    Args:
        num_users, num_items: how many there are.
        popularity: how much the share of users who touched an item adds to its score; 0: nothing, so that new items
            have the same chance as old ones.

    Raises:
        RecipeError: an argument is out of its range.

    Source: Pazzani and Billsus 2007, Content-based recommendation systems, section 10.4 (Rocchio's method, with what
    was liked only).
    """

    def __init__(self, num_users: int, num_items: int, *, popularity: float = 0.0) -> None:
        super().__init__()
        check_positive(num_users=num_users, num_items=num_items)
        check_at_least_zero(popularity=popularity)
        self.popularity = float(popularity)
        self.shares = nn.Parameter(torch.zeros(num_items), requires_grad=False)

    @classmethod
    def sizes(cls, inputs: Mapping[str, TensorSpec], num_outputs: int) -> dict[str, Any]:
        """The sizes that the data gives."""
        return sizes_of_clicks("ContentBased", inputs, num_outputs, "content")

    def solve(self, parts: Parts) -> None:
        """Take the share of users who touched each item."""
        clicks = clicks_of(parts, len(self.shares))
        self.shares.copy_(torch.as_tensor(clicks.sum(axis=0) / max(1, clicks.shape[0])).reshape(-1))

    def forward(
        self, user: torch.Tensor, history: torch.Tensor, history_lengths: torch.Tensor, content: torch.Tensor
    ) -> torch.Tensor:
        """Numbers as other recommenders take them, and likeness (batch, num_items) -> scores (batch, num_items)."""
        return content + self.popularity * self.shares
