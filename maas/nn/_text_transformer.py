"""A small transformer encoder over tokens."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from maas.errors import RecipeError
from maas.nn._arguments import check_dropout, check_num_layers, check_positive, check_seed
from maas.nn._initial import seeded
from maas.nn._register import network
from maas.nn._steps import mask_of, pool
from maas.nn._tokens import embed, embedding, parts, sizes_of_tokens
from maas.schema import TensorSpec


class Block(nn.Module):
    """Self-attention, then two linear layers, each of a normalised input and added to it (Xiong et al. 2020)."""

    def __init__(self, width: int, num_heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.attention_norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.mix = nn.Linear(width, width)
        self.feed_norm = nn.LayerNorm(width)
        self.feed = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
        """x (batch, steps, width), valid bool (batch, steps) -> (batch, steps, width); only valid steps are heeded."""
        batch, steps, width = x.shape
        qkv = self.qkv(self.attention_norm(x)).view(batch, steps, 3, self.num_heads, width // self.num_heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)  # each (batch, heads, steps, width / heads)
        heeded = F.scaled_dot_product_attention(query, key, value, attn_mask=valid[:, None, None, :])
        x = x + self.dropout(self.mix(heeded.transpose(1, 2).reshape(batch, steps, width)))
        fed: torch.Tensor = x + self.dropout(self.feed(self.feed_norm(x)))
        return fed


@network("text_transformer")
class TextTransformer(nn.Module):
    """Embedding with sinusoidal positions, pre-norm encoder blocks, the mean over the valid steps, a linear output.

    Positions are computed, so a text may be of any length; the time it takes grows with its square.

    Args:
        vocabulary: how many different tokens there are; 0 pads.
        out_features: outputs a row; raw scores, no softmax.
        width: numbers a token; even, and a multiple of `num_heads`.
        num_heads: attention heads.
        num_layers: encoder blocks.
        feed_forward: size of a block's hidden layer; None: four times the width.
        dropout: share of numbers dropped in training, of the embeddings, of what a block adds, before the output.
        seed: of the initial weights; by default torch's global generator draws them.

    Raises:
        RecipeError: an argument is out of its range.

    Source: Vaswani et al. 2017, sections 3.2 to 3.5.
    """

    def __init__(
        self,
        vocabulary: int,
        out_features: int,
        *,
        width: int = 128,
        num_heads: int = 4,
        num_layers: int = 2,
        feed_forward: int | None = None,
        dropout: float = 0.1,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        check_positive(vocabulary=vocabulary, out_features=out_features, width=width, num_heads=num_heads)
        hidden = 4 * width if feed_forward is None else feed_forward
        check_positive(feed_forward=hidden)
        check_num_layers(num_layers)
        check_dropout(dropout)
        check_seed(seed)
        if width % num_heads or width % 2:
            raise RecipeError(f"`width` must be even and a multiple of `num_heads`, got {width} and {num_heads}")
        with seeded(seed):
            self.embedding = embedding(vocabulary, width)
            self.blocks = nn.ModuleList(Block(width, num_heads, hidden, dropout) for _ in range(num_layers))
            self.norm = nn.LayerNorm(width)
            self.dropout = nn.Dropout(dropout)
            self.output = nn.Linear(width, out_features)

    @classmethod
    def sizes(cls, inputs: Mapping[str, TensorSpec], num_outputs: int) -> dict[str, Any]:
        """The sizes that the data gives: the vocabulary, and the outputs of the task."""
        return sizes_of_tokens("TextTransformer", inputs, num_outputs)

    def forward(self, tokens: torch.Tensor, tokens_lengths: torch.Tensor) -> torch.Tensor:
        """Tokens (batch, steps) or (batch, steps, orders), their lengths (batch,) from 1 -> (batch, out_features)."""
        return torch.cat([self._scores(*part) for part in parts(self, tokens, tokens_lengths)])

    def _scores(self, tokens: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        x = embed(self.embedding, tokens)  # (batch, steps, width)
        x = self.dropout(x + sinusoids(x.shape[1], x.shape[2]).to(x))
        valid = mask_of(lengths, x.shape[1])
        for block in self.blocks:
            x = block(x, valid)
        scores: torch.Tensor = self.output(self.dropout(pool(self.norm(x), lengths, "mean")))
        return scores


def sinusoids(steps: int, width: int) -> torch.Tensor:
    """Positions as sines and cosines, float32 of shape (steps, width). Source: Vaswani et al. 2017, section 3.5."""
    rates = torch.exp(torch.arange(0, width, 2) * (-math.log(10_000.0) / width))
    angles = torch.arange(steps)[:, None] * rates  # (steps, width / 2)
    return torch.stack([angles.sin(), angles.cos()], dim=2).reshape(steps, width)
