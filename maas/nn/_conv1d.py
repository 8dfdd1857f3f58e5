"""A convolutional network over sequences of any length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import nn

from maas.errors import RecipeError
from maas.nn._arguments import check_choice, check_dropout, check_kernel_size, check_positive, check_sizes
from maas.nn._initial import kaiming_uniform
from maas.nn._mlp import ACTIVATIONS, NORMALIZATIONS
from maas.nn._register import network
from maas.nn._steps import POOLINGS, pool, sequence_sizes, valid_steps
from maas.schema import TensorSpec

_MOST_LAYERS = 100


@network("cnn1d")
class CNN1d(nn.Module):
    """Convolutions along the steps, one vector a row out of the valid steps, then a linear output.

    Padding never changes an answer: every layer sees zeros after a row's end, as it does after the end of the longest
    row, and normalisation counts valid steps only.

    Args:
        channels: numbers a step.
        out_features: outputs a row; raw scores, no softmax.
        filters: features of each layer.
        kernel_size: steps a filter sees, an odd number.
        dilation: each layer's steps stand so many times farther apart than those of the layer before: 2 doubles the
            reach with every layer (van den Oord et al. 2016).
        normalization: "batch" (Ioffe and Szegedy 2015, over the valid steps of all rows), "layer" (Ba et al. 2016, over
            the features of a step) or None.
        activation: as of `maas.nn.MLP`.
        dropout: share of features dropped in training after each layer and before the output, from 0 to below 1.
        pooling: "mean", "max" or "last", over the valid steps.
        seed: of the initial weights; by default torch's global generator draws them. Kaiming's uniform initialisation
            (He et al. 2015), biases 0.

    Raises:
        RecipeError: an argument is out of its range.

    >>> network = CNN1d(12, 9, seed=0)
    >>> network(torch.zeros(2, 7, 12), torch.tensor([7, 3])).shape
    torch.Size([2, 9])
    """

    def __init__(
        self,
        channels: int,
        out_features: int,
        *,
        filters: Sequence[int] = (64, 64),
        kernel_size: int = 5,
        dilation: int = 1,
        normalization: str | None = "batch",
        activation: str = "relu",
        dropout: float = 0.0,
        pooling: str = "mean",
        seed: int | None = None,
    ) -> None:
        super().__init__()
        check_positive(channels=channels, out_features=out_features, dilation=dilation)
        check_kernel_size(kernel_size)
        check_sizes("filters", filters, such_as=(64, 64), most=_MOST_LAYERS)
        if (kernel_size - 1) * dilation ** (len(filters) - 1) > 1 << 20:
            raise RecipeError(f"`dilation` of {dilation} over {len(filters)} layers reaches too far; make it smaller")
        check_choice("normalization", normalization, (None, *NORMALIZATIONS))
        check_choice("activation", activation, ACTIVATIONS)
        check_choice("pooling", pooling, POOLINGS)
        check_dropout(dropout)

        self.pooling = pooling
        widths = [channels, *filters]
        with torch.random.fork_rng(devices=[], enabled=seed is not None):  # layers draw weights of their own first
            self.convolutions = nn.ModuleList(
                nn.Conv1d(before, after, kernel_size, padding="same", dilation=dilation**place)
                for place, (before, after) in enumerate(pairwise(widths))
            )
            self.normalizations = nn.ModuleList(
                nn.Identity() if normalization is None else NORMALIZATIONS[normalization](width) for width in filters
            )
            self.activation = ACTIVATIONS[activation]()
            self.dropout = nn.Dropout(dropout)
            self.output = nn.Linear(widths[-1], out_features)
        kaiming_uniform(self, seed)

    @classmethod
    def sizes(cls, inputs: Mapping[str, TensorSpec], num_outputs: int) -> dict[str, Any]:
        """The sizes that the data gives: a sequence with its lengths."""
        return sequence_sizes("a CNN1d", inputs, num_outputs)

    def forward(self, sequence: torch.Tensor, sequence_lengths: torch.Tensor) -> torch.Tensor:
        """(batch, steps, channels) and int64 lengths of shape (batch,), 1 to steps -> (batch, out_features)."""
        valid = valid_steps(sequence, sequence_lengths)
        steps = sequence.masked_fill(~valid, 0.0)
        for convolution, normalization in zip(self.convolutions, self.normalizations, strict=True):
            steps = convolution(steps.transpose(1, 2)).transpose(1, 2)  # (batch, steps, filters)
            steps = self.dropout(self.activation(_normalized(normalization, steps, valid)))
            steps = steps.masked_fill(~valid, 0.0)
        outputs: torch.Tensor = self.output(self.dropout(pool(steps, sequence_lengths, self.pooling)))
        return outputs


def _normalized(normalization: nn.Module, steps: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """Normalised steps, (batch, steps, filters); the statistics of a batch are those of its valid steps."""
    if not isinstance(normalization, nn.BatchNorm1d):
        normalized: torch.Tensor = normalization(steps)
        return normalized
    if not normalization.training:
        flat: torch.Tensor = normalization(steps.reshape(-1, steps.shape[2]))
        return flat.view_as(steps)
    inside = valid[:, :, 0]
    normalized = torch.zeros_like(steps)
    normalized[inside] = normalization(steps[inside])
    return normalized
