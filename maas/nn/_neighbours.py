"""Neighbours by cosine: items that the same users touched, and users who touched the same items."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from maas.nn._arguments import check_at_least_zero, check_flag, check_positive
from maas.nn._clicks import Parts, check_memory, clicks_of, sizes_of_clicks
from maas.nn._register import network
from maas.nn._steps import mask_of
from maas.schema import TensorSpec

_MOST_NUMBERS = 1 << 24  # of a block while it is worked on: bounds its memory
_SOLVING_BYTES = 8 + 4 + 8 + 4 + 8 + 8  # a neighbour kept: its place and cosine, both as found, and their order twice


@network("item_neighbours", learns="closed_form")
class ItemNeighbours(nn.Module):
    """Each item's score is the sum of its similarities with those of its nearest neighbours that are in the history.

    Two items are as similar as the cosine of their users: the number of users who touched both, divided by the root of
    the product of their numbers of users. No item is its own neighbour. How much memory solving takes is checked before
    any is taken.

    Args:
        num_users, num_items: how many there are.
        neighbours: how many of each item are kept; fewer where there are fewer items.
        shrinkage: added to the denominator, so that items of few users are less similar.
        normalize_users: whether a user counts the less the more they touched: each user's row is brought to length 1
            before the cosines are taken.

    Raises:
        RecipeError: an argument is out of its range, or there is not enough memory.

    Source: Deshpande and Karypis 2004, Item-based top-N recommendation algorithms, section 4; which neighbours are
    kept is Sarwar et al. 2001, section 3.2.
    """

    def __init__(
        self,
        num_users: int,
        num_items: int,
        *,
        neighbours: int = 200,
        shrinkage: float = 0.0,
        normalize_users: bool = False,
    ) -> None:
        super().__init__()
        check_positive(num_users=num_users, num_items=num_items, neighbours=neighbours)
        check_at_least_zero(shrinkage=shrinkage)
        check_flag(normalize_users=normalize_users)
        self.shrinkage, self.normalize_users = float(shrinkage), normalize_users
        self.kept = min(neighbours, num_items)
        name = f"ItemNeighbours over {num_items:,} items, {self.kept:,} neighbours of each,"
        check_memory(name, _SOLVING_BYTES * num_items * self.kept, "keep fewer `neighbours`, or take fewer items")
        self.num_items = num_items
        # By the item in the history: which items it is a neighbour of, from ends[item] to ends[item + 1].
        self.ends: torch.Tensor
        self.places: torch.Tensor
        self.register_buffer("ends", torch.zeros(num_items + 1, dtype=torch.int64))
        self.register_buffer("places", torch.zeros(num_items * self.kept, dtype=torch.int64))
        self.weight = nn.Parameter(torch.zeros(num_items * self.kept), requires_grad=False)

    @classmethod
    def sizes(cls, inputs: Mapping[str, TensorSpec], num_outputs: int) -> dict[str, Any]:
        """The sizes that the data gives."""
        return sizes_of_clicks("ItemNeighbours", inputs, num_outputs)

    def solve(self, parts: Parts) -> None:
        """Find the neighbours of each item, a block of items at a time."""
        clicks = clicks_of(parts, self.num_items)
        if self.normalize_users:
            clicks.data /= np.sqrt(np.repeat(np.diff(clicks.indptr), np.diff(clicks.indptr)))
        clicks = clicks.tocsc()
        norms = np.sqrt(np.asarray(clicks.power(2).sum(axis=0)).reshape(-1))
        size = max(1, _MOST_NUMBERS // self.num_items)
        nearest = np.empty((self.num_items, self.kept), np.int64)
        cosines = np.empty((self.num_items, self.kept), np.float32)
        for start in range(0, self.num_items, size):
            block = np.arange(start, min(start + size, self.num_items))
            both = (clicks[:, block].T @ clicks).toarray()  # float64 (block, items)
            product = norms[block, None] * norms
            both /= product + self.shrinkage + (product == 0)
            both[block - start, block] = 0.0
            nearest[block] = np.argsort(-both, axis=1, kind="stable")[:, : self.kept]
            cosines[block] = np.take_along_axis(both, nearest[block], axis=1)
        order = np.argsort(nearest.reshape(-1), kind="stable")
        self.places.copy_(torch.from_numpy(order // self.kept))
        self.weight.copy_(torch.from_numpy(cosines.reshape(-1)[order]))
        self.ends[1:] = torch.from_numpy(np.cumsum(np.bincount(nearest.reshape(-1), minlength=self.num_items)))

    def forward(self, user: torch.Tensor, history: torch.Tensor, history_lengths: torch.Tensor) -> torch.Tensor:
        """Numbers (batch,), (batch, longest) and (batch,), int64 -> scores (batch, num_items)."""
        valid = mask_of(history_lengths, history.shape[1])
        rows, items = valid.nonzero()[:, 0], history[valid]
        starts, counts = self.ends[items], (self.ends[items + 1] - self.ends[items]).clamp(0, self.num_items)
        scores = torch.zeros(len(history) * self.num_items, dtype=self.weight.dtype, device=self.weight.device)
        size = max(1, _MOST_NUMBERS // self.num_items)
        for at in range(0, len(items), size):
            count = counts[at : at + size]
            first = torch.repeat_interleave(starts[at : at + size] - (count.cumsum(0) - count), count)
            chosen = first + torch.arange(len(first), device=first.device)
            places = torch.repeat_interleave(rows[at : at + size], count) * self.num_items + self.places[chosen]
            scores.index_add_(0, places, self.weight[chosen])
        return scores.view(len(history), self.num_items)


@network("user_neighbours", learns="closed_form")
class UserNeighbours(nn.Module):
    """Each item's score is the sum of the similarities of those nearest users who touched it.

    Two users are as similar as the cosine of their items. A known user is not their own neighbour. The network holds
    who touched what as a dense matrix, users x items: its memory is checked before it is taken.

    Args:
        num_users, num_items: how many there are.
        neighbours: how many users are looked at; fewer where there are fewer.

    Raises:
        RecipeError: an argument is out of its range, or there is not enough memory.

    Source: Herlocker et al. 1999, An algorithmic framework for performing collaborative filtering, with cosines.
    """

    def __init__(self, num_users: int, num_items: int, *, neighbours: int = 100) -> None:
        super().__init__()
        check_positive(num_users=num_users, num_items=num_items, neighbours=neighbours)
        remedy = "take fewer users or items, or maas.nn.ItemNeighbours"
        name = f"UserNeighbours over {num_users:,} users and {num_items:,} items"
        check_memory(name, 8 * num_users * num_items, remedy)
        self.num_neighbours = neighbours
        self.clicks = nn.Parameter(torch.zeros(num_users, num_items), requires_grad=False)

    @classmethod
    def sizes(cls, inputs: Mapping[str, TensorSpec], num_outputs: int) -> dict[str, Any]:
        """The sizes that the data gives."""
        return sizes_of_clicks("UserNeighbours", inputs, num_outputs)

    def solve(self, parts: Parts) -> None:
        """Keep what each known user touched."""
        for batch in parts():
            users, histories, lengths = (batch.inputs[name] for name in ("user", "history", "history_lengths"))
            known = (users > 0).nonzero()[:, 0].tolist()
            for row in known:
                self.clicks[users[row] - 1, histories[row, : lengths[row]]] = 1.0

    def forward(self, user: torch.Tensor, history: torch.Tensor, history_lengths: torch.Tensor) -> torch.Tensor:
        """Numbers (batch,), (batch, longest) and (batch,), int64 -> scores (batch, num_items)."""
        size = max(1, _MOST_NUMBERS // max(self.clicks.shape))
        parts = [
            self._scores(*(part[at : at + size] for part in (user, history, history_lengths)))
            for at in range(0, max(1, len(user)), size)
        ]
        return torch.cat(parts)

    def _scores(self, user: torch.Tensor, history: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        norms = self.clicks.sum(dim=1).sqrt()  # (users,)
        asked = self.clicks.new_zeros(len(user), self.clicks.shape[1])
        valid = mask_of(lengths, history.shape[1])
        asked[valid.nonzero()[:, 0], history[valid]] = 1.0
        both = asked @ self.clicks.T  # whole numbers, so exact in whatever order they are added
        cosines = both / (lengths.sqrt()[:, None] * norms).clamp(min=1.0)
        known = (user > 0).nonzero()[:, 0]
        cosines[known, user[known] - 1] = 0.0
        nearest = cosines.sort(dim=1, descending=True, stable=True)
        kept = min(self.num_neighbours, self.clicks.shape[0])
        ends = torch.arange(len(user), device=user.device) * kept
        return nn.functional.embedding_bag(
            nearest.indices[:, :kept].flatten(),
            self.clicks,
            ends,
            mode="sum",
            per_sample_weights=nearest.values[:, :kept].flatten(),
        )
