"""Texts as bags of n-grams: linear, or nearly so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from maas.nn._arguments import check_dropout, check_positive, check_seed
from maas.nn._initial import seeded
from maas.nn._register import network
from maas.nn._steps import mask_of
from maas.nn._tokens import embedding, sizes_of_tokens
from maas.schema import TensorSpec


@network("text_bag")
class TextBag(nn.Module):
    """The vectors of all tokens and n-grams of a row, summed, divided by the root of their number, a linear output.

    Their order counts only as far as n-grams hold it, which the preprocessing gives: `Text.with_options(ngrams=...)`.
    With enough of them this is the network to beat on some ten thousand texts, and it trains in seconds. The root
    makes rows about as long as those of TF-IDF, where the mean makes long texts fade.

    Args:
        vocabulary: how many different tokens and n-grams there are; 0 pads.
        out_features: outputs a row; raw scores, no softmax.
        embedding_dim: numbers a token; with as many as there are outputs the network is a linear model.
        dropout: share of numbers dropped in training before the output.
        seed: of the initial weights; by default torch's global generator draws them.

    Raises:
        RecipeError: an argument is out of its range.

    Source: Joulin et al. 2016, Bag of Tricks for Efficient Text Classification, section 2; it takes the mean, and
    hashes what is numbered here.

    >>> TextBag(1000, 1)(torch.ones(4, 9, 3, dtype=torch.int64), torch.full((4,), 9)).shape
    torch.Size([4, 1])
    """

    def __init__(
        self,
        vocabulary: int,
        out_features: int,
        *,
        embedding_dim: int = 16,
        dropout: float = 0.0,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        check_positive(vocabulary=vocabulary, out_features=out_features, embedding_dim=embedding_dim)
        check_dropout(dropout)
        check_seed(seed)
        with seeded(seed):
            self.embedding = embedding(vocabulary, embedding_dim)
            self.dropout = nn.Dropout(dropout)
            self.output = nn.Linear(embedding_dim, out_features)

    @classmethod
    def sizes(cls, inputs: Mapping[str, TensorSpec], num_outputs: int) -> dict[str, Any]:
        """The sizes that the data gives: the vocabulary, and the outputs of the task."""
        return sizes_of_tokens("TextBag", inputs, num_outputs)

    def forward(self, tokens: torch.Tensor, tokens_lengths: torch.Tensor) -> torch.Tensor:
        """Tokens (batch, steps) or (batch, steps, orders), their lengths (batch,) from 1 -> (batch, out_features)."""
        valid = mask_of(tokens_lengths, tokens.shape[1])
        bag = (tokens * (valid[:, :, None] if tokens.dim() == 3 else valid)).flatten(1)  # (batch, steps * orders)
        counts = (bag > 0).sum(dim=1, keepdim=True).clamp(min=1)
        # What embedding_bag makes of a matrix; said here, since it then exports for a batch of one too.
        starts = torch.arange(bag.shape[0], device=bag.device) * bag.shape[1]
        sums = F.embedding_bag(bag.flatten(), self.embedding.weight, starts, mode="sum", padding_idx=0)  # (batch, dim)
        scores: torch.Tensor = self.output(self.dropout(sums / counts.sqrt().to(sums.dtype)))
        return scores
