"""A recurrent network over tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from maas.nn._register import network
from maas.nn._tokens import (
    POOLINGS,
    check_arguments,
    check_choice,
    embed,
    embedding,
    mask_of,
    parts,
    pool,
    sizes_of_tokens,
)
from maas.schema import TensorSpec

CELLS: dict[str, type[nn.LSTM | nn.GRU | nn.RNN]] = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}


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
        sizes = {"vocabulary": vocabulary, "out_features": out_features, "embedding_dim": embedding_dim}
        check_arguments({**sizes, "hidden_size": hidden_size, "num_layers": num_layers}, dropout, seed)
        check_choice("cell", cell, tuple(CELLS))
        check_choice("pooling", pooling, POOLINGS)
        self.pooling = pooling
        with torch.random.fork_rng(devices=[], enabled=seed is not None):
            if seed is not None:
                torch.manual_seed(seed)
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
        states = embed(self.embedding, tokens)  # (batch, steps, features)
        order = _reversed(lengths, tokens.shape[1])[:, :, None]
        ends: list[torch.Tensor] = []
        for layer, cell in enumerate(self.forwards):
            states = self.dropout(states)
            read = [cell(states)[0]]
            ends = [read[0]]
            if self.backwards:
                turned = states.gather(1, order.expand(-1, -1, states.shape[2]))
                back = self.backwards[layer](turned)[0]  # its last valid step has read the whole row
                read.append(back.gather(1, order.expand(-1, -1, back.shape[2])))
                ends.append(back)
            states = torch.cat(read, dim=2)
        if self.pooling == "last":
            pooled = torch.cat([pool(one, lengths, "last") for one in ends], dim=1)
        else:
            pooled = pool(states, lengths, self.pooling)
        scores: torch.Tensor = self.output(self.dropout(pooled))
        return scores


def _reversed(lengths: torch.Tensor, steps: int) -> torch.Tensor:
    """For each row the places that turn its valid steps round and leave the padding, int64 (batch, steps)."""
    places = torch.arange(steps, device=lengths.device).expand(lengths.shape[0], steps)
    return torch.where(mask_of(lengths, steps), lengths[:, None] - 1 - places, places)
