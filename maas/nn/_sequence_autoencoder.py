"""An autoencoder over sequences of any length."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from maas.nn._arguments import check_choice, check_positive
from maas.nn._autoencoder import check_noise, check_one_output, with_noise
from maas.nn._initial import seeded
from maas.nn._register import network
from maas.nn._rnn import CELLS
from maas.nn._steps import pool, reversed_steps, sequence_sizes, valid_steps
from maas.schema import TensorSpec


@network("sequence_autoencoder")
class SequenceAutoEncoder(nn.Module):
    """A sequence read into one code and rebuilt from it, last step first; its answer is the error, one number a row.

    The decoder sees the code at each step, and nothing of the sequence. Padding never counts: the encoder's state is
    that after a row's last step, the decoder runs from there, and the error is the mean over valid steps.

    Args:
        channels: numbers a step.
        hidden_size: state of encoder and decoder.
        code: size of the narrow layer between them.
        cell: "gru" (Cho et al. 2014), "lstm" (Hochreiter and Schmidhuber 1997) or "rnn" (Elman 1990, tanh).
        noise: as of `maas.nn.AutoEncoder`.
        seed: of the initial weights; by default torch's global generator draws them. Weights start as torch's layers
            draw them.

    Raises:
        RecipeError: an argument is out of its range.

    Source: Malhotra et al. 2016, "LSTM-based encoder-decoder for multi-sensor anomaly detection"; here the decoder does
    not see the steps that it has rebuilt.

    >>> network = SequenceAutoEncoder(3, seed=0)
    >>> network(torch.zeros(2, 7, 3), torch.tensor([7, 4])).shape
    torch.Size([2, 1])
    """

    def __init__(
        self,
        channels: int,
        *,
        hidden_size: int = 64,
        code: int = 16,
        cell: str = "gru",
        noise: float = 0.0,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        check_positive(channels=channels, hidden_size=hidden_size, code=code)
        check_choice("cell", cell, CELLS)
        check_noise(noise)
        self.noise = float(noise)
        layer = CELLS[cell]
        with seeded(seed):
            self.encoder = layer(channels, hidden_size, batch_first=True)
            self.narrow = nn.Linear(hidden_size, code)
            self.decoder = layer(code, hidden_size, batch_first=True)
            self.output = nn.Linear(hidden_size, channels)

    @classmethod
    def sizes(cls, inputs: Mapping[str, TensorSpec], num_outputs: int) -> dict[str, Any]:
        """The size that the data gives: a sequence with its lengths."""
        check_one_output("a SequenceAutoEncoder", num_outputs)
        return {"channels": sequence_sizes("a SequenceAutoEncoder", inputs, num_outputs)["channels"]}

    def reconstruct(self, sequence: torch.Tensor, sequence_lengths: torch.Tensor) -> torch.Tensor:
        """(batch, steps, channels) and int64 lengths of shape (batch,) -> the same shape: what is left of the rows."""
        states = self.encoder(with_noise(sequence, self.noise, self.training))[0]  # (batch, steps, hidden_size)
        code = self.narrow(pool(states, sequence_lengths, "last"))
        repeated = code[:, None].expand(-1, sequence.shape[1], -1)
        backwards: torch.Tensor = self.output(self.decoder(repeated)[0])
        return reversed_steps(backwards, sequence_lengths)

    def forward(self, sequence: torch.Tensor, sequence_lengths: torch.Tensor) -> torch.Tensor:
        """(batch, steps, channels) and lengths (batch,) -> (batch, 1): the mean squared error over the valid steps."""
        squared = (self.reconstruct(sequence, sequence_lengths) - sequence).square()
        valid = valid_steps(sequence, sequence_lengths)
        total = squared.masked_fill(~valid, 0.0).sum(dim=(1, 2))
        return (total / (sequence_lengths * sequence.shape[2]))[:, None]
