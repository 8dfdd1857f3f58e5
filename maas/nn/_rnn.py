"""A recurrent network over sequences of any length."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from maas.nn._arguments import check_choice, check_dropout, check_flag, check_num_layers, check_positive
from maas.nn._register import network
from maas.nn._steps import POOLINGS, pool, reversed_steps, sequence_sizes
from maas.schema import TensorSpec

CELLS: dict[str, Callable[..., nn.RNNBase]] = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}
_GATES = {"lstm": 4, "gru": 3, "rnn": 1}


@network("rnn")
class RNN(nn.Module):
    """Recurrent layers, one vector a row out of their steps, then a linear output.

    Padding never changes an answer. Forwards it comes after every valid step and is not read; the backward direction
    is a second layer that reads each row reversed within its own length, so that there too padding comes last.

    Args:
        channels: numbers a step.
        out_features: outputs a row; raw scores, no softmax.
        cell: "lstm" (Hochreiter and Schmidhuber 1997), "gru" (Cho et al. 2014) or "rnn" (Elman 1990, tanh).
        hidden_size: state a direction.
        num_layers: recurrent layers, each over the steps of the one before.
        bidirectional: read each layer backwards too (Schuster and Paliwal 1997), which doubles its features.
        dropout: share of features dropped in training between layers and before the output, from 0 to below 1.
        pooling: "last": the state after the last valid step, backwards after the first; "mean" or "max" over the
            valid steps.
        seed: of the initial weights; by default torch's global generator draws them. Input weights are Glorot and
            Bengio's uniform (2010), recurrent ones orthogonal (Saxe et al. 2014), biases 0 but for an LSTM's forget
            gate, 1 (Jozefowicz et al. 2015).

    Raises:
        RecipeError: an argument is out of its range.

    >>> network = RNN(12, 9, hidden_size=32, seed=0)
    >>> network(torch.zeros(2, 7, 12), torch.tensor([7, 3])).shape
    torch.Size([2, 9])
    """

    def __init__(
        self,
        channels: int,
        out_features: int,
        *,
        cell: str = "lstm",
        hidden_size: int = 64,
        num_layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        pooling: str = "last",
        seed: int | None = None,
    ) -> None:
        super().__init__()
        check_positive(channels=channels, out_features=out_features, hidden_size=hidden_size)
        check_num_layers(num_layers)
        check_choice("cell", cell, CELLS)
        check_choice("pooling", pooling, POOLINGS)
        check_flag(bidirectional=bidirectional)
        check_dropout(dropout)

        self.pooling = pooling
        features = hidden_size * (2 if bidirectional else 1)
        widths = [channels] + [features] * (num_layers - 1)
        with torch.random.fork_rng(devices=[], enabled=seed is not None):  # layers draw weights of their own first
            layers = [CELLS[cell](width, hidden_size, batch_first=True) for width in widths]
            self.forwards = nn.ModuleList(layers)
            layers = [CELLS[cell](width, hidden_size, batch_first=True) for width in widths if bidirectional]
            self.backwards = nn.ModuleList(layers)
            self.dropout = nn.Dropout(dropout)
            self.output = nn.Linear(features, out_features)
        self._initialize(cell, seed)

    @classmethod
    def sizes(cls, inputs: Mapping[str, TensorSpec], num_outputs: int) -> dict[str, Any]:
        """The sizes that the data gives: a sequence with its lengths."""
        return sequence_sizes("an RNN", inputs, num_outputs)

    def forward(self, sequence: torch.Tensor, sequence_lengths: torch.Tensor) -> torch.Tensor:
        """(batch, steps, channels) and int64 lengths of shape (batch,), 1 to steps -> (batch, out_features)."""
        vectors = read(self.forwards, self.backwards, self.dropout, sequence, sequence_lengths, self.pooling)
        outputs: torch.Tensor = self.output(self.dropout(vectors))
        return outputs

    def _initialize(self, cell: str, seed: int | None) -> None:
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        for name, parameter in self.named_parameters():
            if parameter.is_meta:
                continue
            if "bias" in name:
                nn.init.zeros_(parameter)
                if cell == "lstm" and "bias_ih" in name:
                    _, forget, _, _ = parameter.detach().chunk(4)  # input, forget, cell, output
                    forget.fill_(1.0)
                continue
            gates = _GATES[cell] if "_l0" in name else 1
            draw = nn.init.orthogonal_ if "weight_hh" in name else nn.init.xavier_uniform_
            for gate in parameter.detach().chunk(gates):
                draw(gate, generator=generator)


def read(
    forwards: nn.ModuleList,
    backwards: nn.ModuleList,
    dropout: nn.Module,
    steps: torch.Tensor,
    lengths: torch.Tensor,
    pooling: str,
) -> torch.Tensor:
    """One vector a row out of the steps of recurrent layers: (batch, steps, features) -> (batch, features).

    Args:
        forwards: the layers.
        backwards: as many that read rows from their ends, or none.
        dropout: between layers.
        steps, lengths: the rows.
        pooling: of the last layer's steps, each direction in the order that it read them.
    """
    for place, layer in enumerate(forwards):
        found = [layer(steps)[0]]  # of each direction, (batch, steps, hidden_size)
        if backwards:
            found.append(backwards[place](reversed_steps(steps, lengths))[0])
        if place < len(forwards) - 1:
            in_order = [found[0], *(reversed_steps(back, lengths) for back in found[1:])]
            steps = dropout(torch.cat(in_order, dim=2))
    return torch.cat([pool(one, lengths, pooling) for one in found], dim=1)
