"""An autoencoder over images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import nn

from maas.errors import RecipeError, show
from maas.nn._arguments import check_choice, check_positive
from maas.nn._autoencoder import check_noise, check_one_output, with_noise
from maas.nn._cnn import image_sizes
from maas.nn._initial import seeded
from maas.nn._mlp import ACTIVATIONS
from maas.nn._register import network
from maas.schema import TensorSpec

_MOST_LAYERS = 100


@network("image_autoencoder")
class ImageAutoEncoder(nn.Module):
    """An image squeezed through strided convolutions into a code and rebuilt; its answer is the error.

    The way back doubles the size, by repeating pixels, before each convolution (Odena et al. 2016), and cuts it to that
    of the same step on the way in.

    Args:
        channels, height, width: of an image.
        filters: features of each step; each halves height and width.
        code: size of the narrow layer.
        activation: as of `maas.nn.MLP`; the code and the output are linear.
        noise: as of `maas.nn.AutoEncoder`.
        seed: of the initial weights; by default torch's global generator draws them. Weights start as torch's layers
            draw them.

    Raises:
        RecipeError: an argument is out of its range, or the image is too small.

    >>> ImageAutoEncoder(1, 28, 28)(torch.zeros(2, 1, 28, 28)).shape
    torch.Size([2, 1])
    """

    def __init__(
        self,
        channels: int,
        height: int,
        width: int,
        *,
        filters: Sequence[int] = (16, 32),
        code: int = 32,
        activation: str = "relu",
        noise: float = 0.0,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        check_positive(channels=channels, height=height, width=width, code=code)
        if isinstance(filters, (str, bytes)) or not isinstance(filters, Sequence) or not filters:
            raise RecipeError(f"`filters` must be a sequence of sizes, such as (16, 32), got {show(filters)}")
        if len(filters) > _MOST_LAYERS or not all(type(size) is int and size > 0 for size in filters):
            raise RecipeError(f"`filters` must be at most {_MOST_LAYERS} positive integers, got {tuple(filters)!r}")
        check_choice("activation", activation, ACTIVATIONS)
        check_noise(noise)
        if min(height, width) < 2 ** len(filters):
            raise RecipeError(
                f"an image of {height} x {width} pixels is too small to be halved {len(filters)} times: give fewer "
                f"`filters`, or larger images"
            )
        self.noise = float(noise)
        sides = [(height, width)]
        for _ in filters:
            sides.append((math.ceil(sides[-1][0] / 2), math.ceil(sides[-1][1] / 2)))
        self.sides = tuple(reversed(sides[:-1]))
        widths = [channels, *filters]
        inside = (widths[-1], *sides[-1])
        with seeded(seed):
            down: list[nn.Module] = []
            for before, after in pairwise(widths):
                down += [nn.Conv2d(before, after, 3, stride=2, padding=1), ACTIVATIONS[activation]()]
            self.encoder = nn.Sequential(*down, nn.Flatten(), nn.Linear(math.prod(inside), code))
            self.widen = nn.Sequential(nn.Linear(code, math.prod(inside)), nn.Unflatten(1, inside))
            self.activation = ACTIVATIONS[activation]()
            self.up = nn.ModuleList(
                nn.Conv2d(before, after, 3, padding=1) for before, after in pairwise(reversed(widths))
            )

    @classmethod
    def sizes(cls, inputs: Mapping[str, TensorSpec], num_outputs: int) -> dict[str, Any]:
        """The sizes that the data gives: one input `image`."""
        check_one_output("an ImageAutoEncoder", num_outputs)
        channels, height, width = image_sizes(inputs, "an ImageAutoEncoder")
        return {"channels": channels, "height": height, "width": width}

    def reconstruct(self, image: torch.Tensor) -> torch.Tensor:
        """(batch, channels, height, width) -> the same shape: what is left of the images."""
        rebuilt: torch.Tensor = self.widen(self.encoder(with_noise(image, self.noise, self.training)))
        for convolution, (height, width) in zip(self.up, self.sides, strict=True):
            doubled = self.activation(rebuilt).repeat_interleave(2, 2).repeat_interleave(2, 3)
            rebuilt = convolution(doubled[:, :, :height, :width])
        return rebuilt

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(batch, channels, height, width) -> (batch, 1): the squared error, the mean over channels and pixels."""
        return (self.reconstruct(image) - image).square().flatten(1).mean(dim=1, keepdim=True)
