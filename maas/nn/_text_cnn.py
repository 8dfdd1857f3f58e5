"""Convolutions over tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from maas.errors import RecipeError, show
from maas.nn._arguments import check_dropout, check_positive, check_seed
from maas.nn._initial import seeded
from maas.nn._register import network
from maas.nn._steps import mask_of, pool
from maas.nn._tokens import embed, embedding, parts, sizes_of_tokens
from maas.schema import TensorSpec


@network("text_cnn")
class TextCNN(nn.Module):
    """Embedding, convolutions of several widths, the greatest value of each over the valid steps, a linear output.

    Args:
        vocabulary: how many different tokens there are; 0 pads.
        out_features: outputs a row; raw scores, no softmax.
        embedding_dim: numbers a token.
        widths: tokens that a convolution sees at once, one convolution for each.
        channels: filters of each convolution.
        dropout: share of numbers dropped in training, of the embeddings and before the output.
        seed: of the initial weights; by default torch's global generator draws them.

    Raises:
        RecipeError: an argument is out of its range.

    Source: Kim 2014, Convolutional Neural Networks for Sentence Classification, section 2.
    """

    def __init__(
        self,
        vocabulary: int,
        out_features: int,
        *,
        embedding_dim: int = 128,
        widths: Sequence[int] = (2, 3, 4),
        channels: int = 100,
        dropout: float = 0.5,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        check_positive(vocabulary=vocabulary, out_features=out_features)
        check_positive(embedding_dim=embedding_dim, channels=channels)
        check_dropout(dropout)
        check_seed(seed)
        if isinstance(widths, (str, bytes)) or not isinstance(widths, Sequence) or not 0 < len(widths) <= 100:
            raise RecipeError(f"`widths` must be a sequence of 1 to 100 sizes, such as (2, 3, 4), got {show(widths)}")
        if not all(type(width) is int and 0 < width <= 1000 for width in widths):
            raise RecipeError(f"`widths` must be integers from 1 to 1000, got {tuple(widths)!r}")
        self.widths = tuple(widths)
        with seeded(seed):
            self.embedding = embedding(vocabulary, embedding_dim)
            self.convolutions = nn.ModuleList(nn.Conv1d(embedding_dim, channels, width) for width in widths)
            self.dropout = nn.Dropout(dropout)
            self.output = nn.Linear(channels * len(widths), out_features)

    @classmethod
    def sizes(cls, inputs: Mapping[str, TensorSpec], num_outputs: int) -> dict[str, Any]:
        """The sizes that the data gives: the vocabulary, and the outputs of the task."""
        return sizes_of_tokens("TextCNN", inputs, num_outputs)

    def forward(self, tokens: torch.Tensor, tokens_lengths: torch.Tensor) -> torch.Tensor:
        """Tokens (batch, steps) or (batch, steps, orders), their lengths (batch,) from 1 -> (batch, out_features)."""
        return torch.cat([self._scores(*part) for part in parts(self, tokens, tokens_lengths)])

    def _scores(self, tokens: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        valid = mask_of(lengths, tokens.shape[1])[:, :, None]
        x = (self.dropout(embed(self.embedding, tokens)) * valid).transpose(1, 2)  # (batch, features, steps)
        found = []
        for width, convolution in zip(self.widths, self.convolutions, strict=True):
            padded = F.pad(x, ((width - 1) // 2, width // 2))  # as many steps come out, and beside a row are zeros
            found.append(pool(F.relu(convolution(padded)).transpose(1, 2), lengths, "max"))
        scores: torch.Tensor = self.output(self.dropout(torch.cat(found, dim=1)))
        return scores
