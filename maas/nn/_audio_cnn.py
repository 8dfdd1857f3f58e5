"""A convolutional network over the frames of sounds, of any length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from maas.nn._arguments import check_choice, check_dropout, check_kernel_size, check_positive, check_sizes
from maas.nn._initial import kaiming_uniform
from maas.nn._mlp import ACTIVATIONS
from maas.nn._register import network
from maas.nn._steps import POOLINGS, pool, sequence_sizes, valid_steps
from maas.schema import TensorSpec

_MOST_BLOCKS = 20


@network("audio_cnn")
class AudioCNN(nn.Module):
    """Convolutions over time and pitch, one vector a row out of the valid frames, then a linear output.

    Blocks of convolution, normalisation, max pooling and activation see frames x mel bands as an image; what is left of
    pitch stays apart, while time is pooled. Padding never changes an answer: every layer sees zeros after a row's end,
    as it does after the end of the longest row, and normalisation counts valid frames only.

    Args:
        num_mels: bands a frame.
        out_features: outputs a row; raw scores, no softmax.
        filters: of each block's convolution; one block a number.
        kernel_size: side of the convolutions, in frames and bands, an odd number.
        pool_size: side and step of each block's max pooling; 1: none. What is left at an edge counts as a whole one.
        normalization: "batch" (Ioffe and Szegedy 2015, over the valid frames of all rows) or None.
        activation: as of `maas.nn.MLP`.
        dropout: share of features dropped in training before the output, from 0 to below 1.
        pooling: "mean", "max" or "last", over the valid frames that are left.
        seed: of the initial weights; by default torch's global generator draws them. Kaiming's uniform initialisation
            (He et al. 2015), biases 0.

    Raises:
        RecipeError: an argument is out of its range.

    Source: the shape of Kong et al. 2020, "PANNs", arXiv:1912.10211, with one convolution a block.

    >>> network = AudioCNN(64, 10, seed=0)
    >>> network(torch.zeros(2, 101, 64), torch.tensor([101, 40])).shape
    torch.Size([2, 10])
    """

    def __init__(
        self,
        num_mels: int,
        out_features: int,
        *,
        filters: Sequence[int] = (16, 32, 64),
        kernel_size: int = 3,
        pool_size: int = 2,
        normalization: str | None = "batch",
        activation: str = "relu",
        dropout: float = 0.0,
        pooling: str = "mean",
        seed: int | None = None,
    ) -> None:
        super().__init__()
        check_positive(num_mels=num_mels, out_features=out_features, pool_size=pool_size)
        check_kernel_size(kernel_size)
        check_sizes("filters", filters, such_as=(16, 32, 64), most=_MOST_BLOCKS, called="blocks")
        check_choice("normalization", normalization, (None, "batch"))
        check_choice("activation", activation, ACTIVATIONS)
        check_choice("pooling", pooling, POOLINGS)
        check_dropout(dropout)

        self.pool_size, self.pooling = pool_size, pooling
        bands = num_mels
        for _ in filters:
            bands = -(-bands // pool_size)
        with torch.random.fork_rng(devices=[], enabled=seed is not None):  # layers draw weights of their own first
            self.convolutions = nn.ModuleList(
                nn.Conv2d(before, after, kernel_size, padding="same") for before, after in pairwise([1, *filters])
            )
            self.normalizations = nn.ModuleList(
                nn.Identity() if normalization is None else nn.BatchNorm2d(count) for count in filters
            )
            self.activation = ACTIVATIONS[activation]()
            self.dropout = nn.Dropout(dropout)
            self.output = nn.Linear(bands * filters[-1], out_features)
        kaiming_uniform(self, seed)

    @classmethod
    def sizes(cls, inputs: Mapping[str, TensorSpec], num_outputs: int) -> dict[str, Any]:
        """The sizes that the data gives: a sequence of frames with its lengths."""
        sizes = sequence_sizes("an AudioCNN", inputs, num_outputs)
        return {"num_mels": sizes["channels"], "out_features": num_outputs}

    def forward(self, sequence: torch.Tensor, sequence_lengths: torch.Tensor) -> torch.Tensor:
        """(batch, frames, num_mels) and int64 lengths of shape (batch,), 1 to frames -> (batch, out_features)."""
        lengths = sequence_lengths
        valid = valid_steps(sequence, lengths)[:, None]  # (batch, 1, frames, 1)
        features = sequence[:, None].masked_fill(~valid, 0.0)  # (batch, 1, frames, num_mels)
        for convolution, normalization in zip(self.convolutions, self.normalizations, strict=True):
            features = _normalized(normalization, convolution(features), valid)
            if self.pool_size > 1:
                features = features.masked_fill(~valid, -torch.inf)
                if torch.compiler.is_exporting():  # a graph for any number of frames cannot round up, it rounds down
                    more = self.pool_size - 1
                    features = F.pad(features, (0, more, 0, more), value=-torch.inf)
                features = F.max_pool2d(features, self.pool_size, ceil_mode=not torch.compiler.is_exporting())
                lengths = (lengths + self.pool_size - 1) // self.pool_size
                valid = valid_steps(features[:, 0], lengths)[:, None]
                features = features.masked_fill(~valid, 0.0)  # of infinities an activation has no derivative
            features = self.activation(features).masked_fill(~valid, 0.0)
        steps = features.permute(0, 2, 3, 1).flatten(2)  # (batch, frames left, bands left * filters)
        outputs: torch.Tensor = self.output(self.dropout(pool(steps, lengths, self.pooling)))
        return outputs


def _normalized(normalization: nn.Module, features: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """Normalised features, (batch, filters, frames, bands); a batch's statistics are those of its valid frames."""
    if not normalization.training or isinstance(normalization, nn.Identity) or bool(valid.all()):
        whole: torch.Tensor = normalization(features)
        return whole
    steps = features.permute(0, 2, 3, 1)  # (batch, frames, bands, filters), as channels_last has it in memory
    inside = valid[:, 0, :, 0]
    chosen = normalization(steps[inside].permute(2, 0, 1)[None])  # (1, filters, valid frames, bands)
    filled = torch.zeros_like(steps)
    filled[inside] = chosen[0].permute(1, 2, 0)
    return filled.permute(0, 3, 1, 2)
