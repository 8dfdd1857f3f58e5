"""A recurrent network over tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from maas.nn._arguments import check_choice, check_dropout, check_flag, check_num_layers, check_positive, check_seed
from maas.nn._initial import seeded
from maas.nn._register import network
from maas.nn._rnn import CELLS, read
from maas.nn._steps import POOLINGS
from maas.nn._tokens import embed, embedding, parts, sizes_of_tokens
from maas.schema import TensorSpec


@network("text_rnn")
class TextRNN(nn.Module):
    """Embedding, recurrent layers, pooling over the valid steps, a linear output.

    A padded step never reaches an answer: "last" gathers the last valid step, and the backward direction reads each
    row reversed within its own length. Torch's cells have two bias vectors where the papers and Keras have one.

    Args:
        vocabulary: how many different tokens there are; 0 pads.
        out_features: outputs a row; raw scores, no softmax.
        embedding_dim: numbers a token.
        hidden_size: of each layer and direction.
        cell: "lstm" (Hochreiter and Schmidhuber 1997), "gru" (Cho et al. 2014) or "rnn" (Elman 1990, tanh).
        bidirectional: whether each layer also reads from the end (Schuster and Paliwal 1997).
        num_layers: recurrent layers, each over the states of the one before.
        pooling: "last": the state after a whole row was read, of each direction; "mean" or "max" over its steps.
        dropout: share of numbers dropped in training, of the embeddings, between layers and before the output.
        seed: of the initial weights; by default torch's global generator draws them.

    Raises:
        RecipeError: an argument is out of its range.

    >>> sum(p.numel() for p in TextRNN(1000, 1).parameters())  # 32,000 + 4 * (32*32 + 32*32 + 32 + 32) + 33
    40481
    """

    def __init__(
        self,
        vocabulary: int,
        out_features: int,
        *,
        embedding_dim: int = 32,
        hidden_size: int = 32,
        cell: str = "lstm",
        bidirectional: bool = False,
        num_layers: int = 1,
        pooling: str = "last",
        dropout: float = 0.0,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        check_positive(vocabulary=vocabulary, out_features=out_features)
        check_positive(embedding_dim=embedding_dim, hidden_size=hidden_size)
        check_num_layers(num_layers)
        check_choice("cell", cell, CELLS)
        check_choice("pooling", pooling, POOLINGS)
        check_flag(bidirectional=bidirectional)
        check_dropout(dropout)
        check_seed(seed)
        self.pooling = pooling
        with seeded(seed):
            self.embedding = embedding(vocabulary, embedding_dim)
            width, directions = embedding_dim, 2 if bidirectional else 1
            forwards, backwards = [], []
            for _ in range(num_layers):
                forwards.append(CELLS[cell](width, hidden_size, batch_first=True))
                if bidirectional:
                    backwards.append(CELLS[cell](width, hidden_size, batch_first=True))
                width = hidden_size * directions
            self.forwards, self.backwards = nn.ModuleList(forwards), nn.ModuleList(backwards)
            self.dropout = nn.Dropout(dropout)
            self.output = nn.Linear(width, out_features)

    @classmethod
    def sizes(cls, inputs: Mapping[str, TensorSpec], num_outputs: int) -> dict[str, Any]:
        """The sizes that the data gives: the vocabulary, and the outputs of the task."""
        return sizes_of_tokens("TextRNN", inputs, num_outputs)

    def forward(self, tokens: torch.Tensor, tokens_lengths: torch.Tensor) -> torch.Tensor:
        """Tokens (batch, steps) or (batch, steps, orders), their lengths (batch,) from 1 -> (batch, out_features)."""
        return torch.cat([self._scores(*part) for part in parts(self, tokens, tokens_lengths)])

    def _scores(self, tokens: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        states = self.dropout(embed(self.embedding, tokens))  # (batch, steps, features)
        vectors = read(self.forwards, self.backwards, self.dropout, states, lengths, self.pooling)
        scores: torch.Tensor = self.output(self.dropout(vectors))
        return scores
