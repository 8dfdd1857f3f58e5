"""EASE: a linear model from items to items, in closed form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from maas.nn._arguments import check_at_least_zero, check_positive
from maas.nn._clicks import Parts, check_memory, clicks_of, sizes_of_clicks, sum_of
from maas.nn._register import network
from maas.schema import TensorSpec

_SOLVING_BYTES = 4 + 8 + 8 + 8  # an item and item: the weights, and three matrices of float64 while they are solved


@network("ease", learns="closed_form")
class EASE(nn.Module):
    """Each item's score is a weighted sum over the history; no item may explain itself.

    The weights are dense, items x items. How much memory solving takes is checked before any is taken.

    Args:
        num_users, num_items: how many there are.
        regularization: of the weights; more for sparser data. 100 to 1,000 are usual.

    Raises:
        RecipeError: an argument is out of its range, or there is not enough memory.

    Source: Steck 2019, Embarrassingly Shallow Autoencoders for Sparse Data, equation 8.
    """

    def __init__(self, num_users: int, num_items: int, *, regularization: float = 300.0) -> None:
        super().__init__()
        check_positive(num_users=num_users, num_items=num_items)
        check_at_least_zero(regularization=regularization)
        remedy = "take fewer items, or maas.nn.ItemNeighbours, which keeps a few neighbours of each item"
        check_memory(f"EASE over {num_items:,} items", _SOLVING_BYTES * num_items**2, remedy)
        self.regularization = float(regularization)
        self.weight = nn.Parameter(torch.zeros(num_items, num_items), requires_grad=False)  # from row to column

    @classmethod
    def sizes(cls, inputs: Mapping[str, TensorSpec], num_outputs: int) -> dict[str, Any]:
        """The sizes that the data gives."""
        return sizes_of_clicks("EASE", inputs, num_outputs)

    def solve(self, parts: Parts) -> None:
        """Learn from all histories at once."""
        clicks = clicks_of(parts, len(self.weight))
        gram = torch.from_numpy((clicks.T @ clicks).toarray()).to(self.weight.device)  # float64 (items, items)
        # An item nobody touched has a row of zeros, which without a regularisation has no inverse.
        gram.diagonal().add_(max(self.regularization, 1e-6))
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(gram))
        inverse /= -inverse.diagonal().clone()
        inverse.fill_diagonal_(0.0)
        self.weight.copy_(inverse)

    def forward(self, user: torch.Tensor, history: torch.Tensor, history_lengths: torch.Tensor) -> torch.Tensor:
        """Numbers (batch,), (batch, longest) and (batch,), int64 -> scores (batch, num_items)."""
        return sum_of(self.weight, history, history_lengths)
