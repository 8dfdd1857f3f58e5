"""A small residual network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from maas.errors import RecipeError, show
from maas.nn._arguments import check_positive
from maas.nn._cnn import image_sizes
from maas.nn._register import network
from maas.schema import TensorSpec

_MOST_STAGES = 8


@network("resnet")
class ResNet(nn.Module):
    """Residual network for images of 28 x 28 to 64 x 64 pixels: a few wide stages, trained fast.

    A convolution to `width` filters; then stages, each of a convolution that doubles the filters, a max pooling that
    halves the sides, and a residual block of two convolutions; then the greatest value of each filter, and a linear
    output, scaled. Every convolution is 3 x 3, followed by batch normalisation and ReLU.

    The size of the image is free: it needs 2**stages pixels a side.

    Args:
        channels: of an image.
        out_features: outputs a row; raw scores, no softmax.
        width: filters of the first convolution.
        stages: how often sides are halved and filters doubled; a third one suits 64 x 64.
        logit_scale: what the outputs are multiplied by; a small one softens the first steps.

    Raises:
        RecipeError: an argument is out of its range.

    Source: the residual network of Page 2018, "How to train your ResNet" (DAWNBench), after He et al. 2016,
    arXiv:1512.03385; here with a residual block in each stage.

    >>> sum(p.numel() for p in ResNet(1, 10).parameters())
    261298
    """

    def __init__(
        self, channels: int, out_features: int, *, width: int = 24, stages: int = 2, logit_scale: float = 0.125
    ) -> None:
        super().__init__()
        check_positive(channels=channels, out_features=out_features, width=width)
        if type(stages) is not int or not 1 <= stages <= _MOST_STAGES:
            raise RecipeError(f"`stages` must be an integer from 1 to {_MOST_STAGES}, got {show(stages)}")
        if isinstance(logit_scale, bool) or not isinstance(logit_scale, (int, float)) or not 0 < logit_scale <= 1e3:
            raise RecipeError(f"`logit_scale` must be above 0, and at most 1000, got {show(logit_scale)}")
        self.logit_scale = logit_scale
        self.first = _convolution(channels, width)
        parts: list[nn.Module] = []
        for _ in range(stages):
            parts += [_convolution(width, 2 * width, pool=2), _Residual(2 * width)]
            width *= 2
        self.stages = nn.Sequential(*parts)
        self.output = nn.Linear(width, out_features)
        self._least = 2**stages

    @classmethod
    def sizes(cls, inputs: Mapping[str, TensorSpec], num_outputs: int) -> dict[str, Any]:
        """The sizes that the data gives: one input `image`."""
        return {"channels": image_sizes(inputs, "a ResNet")[0], "out_features": num_outputs}

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(batch, channels, height, width) -> (batch, out_features)."""
        if min(image.shape[-2:]) < self._least:
            height, width = image.shape[-2:]
            raise RecipeError(
                f"an image of {height} x {width} pixels is too small for this ResNet, which halves its sides "
                f"until {self._least} pixels are one: give fewer `stages`, or larger images"
            )
        features = self.stages(self.first(image)).amax(dim=(2, 3))  # (batch, width * 2**stages)
        outputs: torch.Tensor = self.output(features) * self.logit_scale
        return outputs


class _Residual(nn.Module):
    """Two convolutions beside a short cut."""

    def __init__(self, filters: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(_convolution(filters, filters), _convolution(filters, filters))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(batch, filters, height, width) -> the same."""
        outputs: torch.Tensor = features + self.inner(features)
        return outputs


def _convolution(inputs: int, filters: int, pool: int = 1) -> nn.Sequential:
    """3 x 3 convolution, pooling, batch normalisation, ReLU."""
    pooling = [nn.MaxPool2d(pool)] if pool > 1 else []
    return nn.Sequential(
        nn.Conv2d(inputs, filters, 3, padding=1, bias=False), *pooling, nn.BatchNorm2d(filters), nn.ReLU()
    )
