"""Users and items as vectors: matrix factorisation, of what was touched and of ratings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from maas.errors import RecipeError, show
from maas.nn._arguments import check_dropout, check_positive, check_seed
from maas.nn._clicks import sizes_of_clicks, sum_of
from maas.nn._initial import seeded
from maas.nn._register import network
from maas.schema import TensorSpec


@network("matrix_factorization")
class MatrixFactorization(nn.Module):
    """A vector for each user and each item, and a bias for each item; a score is their product plus the bias.

    The loss is the task's: `maas.task.Ranking.with_options(loss="bpr")`, "softmax" or "pointwise".

    Someone who is no known user, or an item to find others like, gets the mean of the vectors of the items named, made
    as long as the vectors of known users are in the middle. A known user keeps their vector also where items are
    named beside them: those are left out of the answer and change no score.

    Args:
        num_users, num_items: how many there are.
        embedding_dim: numbers of a vector.
        dropout: share of a user's numbers that are dropped in training.
        deviation: of the initial vectors.
        seed: of the initial vectors; by default torch's global generator draws them.

    Raises:
        RecipeError: an argument is out of its range.

    Source: Koren, Bell and Volinsky 2009, Matrix factorization techniques; Rendle et al. 2009 for BPR.
    """

    def __init__(
        self,
        num_users: int,
        num_items: int,
        *,
        embedding_dim: int = 64,
        dropout: float = 0.0,
        deviation: float = 0.1,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        check_positive(num_users=num_users, num_items=num_items, embedding_dim=embedding_dim)
        check_dropout(dropout)
        check_seed(seed)
        _check_deviation(deviation)
        with seeded(seed):
            self.users = nn.Embedding(num_users + 1, embedding_dim, padding_idx=0)
            self.items = nn.Embedding(num_items, embedding_dim)
        with torch.no_grad():
            self.users.weight.mul_(deviation)
            self.items.weight.mul_(deviation)
        self.bias = nn.Parameter(torch.zeros(num_items))
        self.dropout = nn.Dropout(dropout)

    @classmethod
    def sizes(cls, inputs: Mapping[str, TensorSpec], num_outputs: int) -> dict[str, Any]:
        """The sizes that the data gives."""
        return sizes_of_clicks("MatrixFactorization", inputs, num_outputs)

    def forward(
        self,
        user: torch.Tensor,
        history: torch.Tensor,
        history_lengths: torch.Tensor,
        candidates: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Scores of all items, or of some.

        Args:
            user, history, history_lengths: int64 of shape (batch,), (batch, longest) and (batch,).
            candidates: int64 of shape (batch, candidates): numbers of the items wanted; by default all.

        Returns:
            Scores of shape (batch, num_items), or (batch, candidates).
        """
        vectors = self.users(user)  # (batch, embedding_dim)
        new = (user == 0).nonzero()[:, 0]
        if torch.compiler.is_exporting():  # a graph cannot ask whether there are some
            vectors = torch.where((user == 0)[:, None], self._folded(history, history_lengths), vectors)
        elif len(new):
            vectors = vectors.index_copy(0, new, self._folded(history[new], history_lengths[new]))
        vectors = self.dropout(vectors)
        if candidates is None:
            return torch.addmm(self.bias, vectors, self.items.weight.T)
        return torch.einsum("bd,bcd->bc", vectors, self.items(candidates)) + self.bias[candidates]

    def _folded(self, history: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Vectors of those who are not known, (batch, embedding_dim)."""
        vectors = sum_of(self.items.weight, history, lengths)
        norms = self.users.weight[1:].norm(dim=1)
        # ONNX has no median: it is the least of the upper half.
        half = len(norms) - (len(norms) - 1) // 2
        middle = norms.topk(half).values[-1] if torch.compiler.is_exporting() else norms.median()
        folded: torch.Tensor = vectors * (middle / vectors.norm(dim=1, keepdim=True).clamp(min=1e-12))
        return folded


@network("rating_factorization")
class RatingFactorization(nn.Module):
    """A rating is a bias of the user, one of the item, and the product of their vectors, beside the mean of all.

    A user or an item that training did not have adds nothing: the other's bias is left, or the mean.

    Args:
        num_users, num_items: how many there are.
        embedding_dim: numbers of a vector; 0 for biases alone.
        dropout: share of the products that are dropped in training.
        deviation: of the initial vectors.
        seed: of the initial vectors; by default torch's global generator draws them.

    Raises:
        RecipeError: an argument is out of its range.

    Source: Koren, Bell and Volinsky 2009, Matrix factorization techniques for recommender systems, equation 4.
    """

    def __init__(
        self,
        num_users: int,
        num_items: int,
        *,
        embedding_dim: int = 32,
        dropout: float = 0.0,
        deviation: float = 0.1,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        check_positive(num_users=num_users, num_items=num_items, embedding_dim=embedding_dim or 1)
        check_dropout(dropout)
        check_seed(seed)
        _check_deviation(deviation)
        with seeded(seed):
            self.users = nn.Embedding(num_users + 1, embedding_dim + 1, padding_idx=0)
            self.items = nn.Embedding(num_items + 1, embedding_dim + 1, padding_idx=0)
        with torch.no_grad():
            for table in (self.users, self.items):
                table.weight.mul_(deviation)
                table.weight[:, 0] = 0.0  # the bias
        self.dropout = nn.Dropout(dropout)

    @classmethod
    def sizes(cls, inputs: Mapping[str, TensorSpec], num_outputs: int) -> dict[str, Any]:
        """The sizes that the data gives.

        Raises:
            RecipeError: the data gives something else than a user and an item, or wants more than a rating.
        """
        limits = [inputs[name].limit for name in ("user", "item") if name in inputs]
        if set(inputs) != {"user", "item"} or None in limits or num_outputs != 1:
            found = ", ".join(f"{one} {spec.shape}" for one, spec in inputs.items())
            raise RecipeError(
                f"a RatingFactorization takes `user` and `item`, as maas.preprocess.Ids gives them, for one number; "
                f"the data gives {found}, and wants {num_outputs} outputs"
            )
        return {"num_users": limits[0] - 1, "num_items": limits[1] - 1}  # type: ignore[operator]

    def forward(self, user: torch.Tensor, item: torch.Tensor) -> torch.Tensor:
        """Numbers of users and items, int64 (batch,), 0 where unknown -> (batch, 1)."""
        users, items = self.users(user), self.items(item)  # (batch, 1 + embedding_dim)
        products = self.dropout(users[:, 1:] * items[:, 1:]).sum(dim=1)
        rating: torch.Tensor = users[:, 0] + items[:, 0] + products
        return rating[:, None]


def _check_deviation(deviation: Any) -> None:
    if isinstance(deviation, bool) or not isinstance(deviation, (int, float)) or not 0 < deviation <= 100:
        raise RecipeError(f"`deviation` must be above 0 and at most 100, got {show(deviation)}")
