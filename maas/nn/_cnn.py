"""A convolutional network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from maas.errors import RecipeError, show
from maas.nn._arguments import check_choice, check_dropout, check_positive
from maas.nn._mlp import ACTIVATIONS
from maas.nn._register import network
from maas.schema import TensorSpec

_MOST_LAYERS = 100


@network("cnn")
class CNN(nn.Module):
    """Blocks of convolution, normalisation, activation and pooling, then fully connected layers.

    Weights start as torch's layers draw them.

    Args:
        channels, height, width: of an image.
        out_features: outputs a row; raw scores, no softmax.
        filters: of each block's convolution; one block a number.
        kernel_size: side of the convolutions, in pixels.
        pool: side and step of each block's max pooling, in pixels; 1: none.
        hidden: sizes of the fully connected layers between the blocks and the output.
        normalization: "batch" or None; in the blocks.
        activation: "relu", "gelu", "silu", "tanh", "sigmoid", "leaky_relu" or "elu"; of blocks and hidden layers.
        dropout: share of values dropped in training before each fully connected layer, from 0 to below 1.
        padding: "valid" (none: an image loses `kernel_size - 1` pixels a side and block) or "same" (zeros).

    Raises:
        RecipeError: an argument is out of its range, or the image is too small for the blocks.

    >>> sum(p.numel() for p in CNN(1, 28, 28, 10, filters=(32,)).parameters())
    54410
    """

    def __init__(
        self,
        channels: int,
        height: int,
        width: int,
        out_features: int,
        *,
        filters: Sequence[int] = (32,),
        kernel_size: int = 3,
        pool: int = 2,
        hidden: Sequence[int] = (),
        normalization: str | None = None,
        activation: str = "relu",
        dropout: float = 0.0,
        padding: str = "valid",
    ) -> None:
        super().__init__()
        check_positive(channels=channels, height=height, width=width, out_features=out_features)
        check_positive(kernel_size=kernel_size, pool=pool)
        _check_layers("filters", filters, fewest=1)
        _check_layers("hidden", hidden, fewest=0)
        check_choice("normalization", normalization, (None, "batch"))
        check_choice("activation", activation, ACTIVATIONS)
        check_choice("padding", padding, ("valid", "same"))
        check_dropout(dropout)

        sides = (height, width)
        blocks: list[nn.Module] = []
        for block, count in enumerate(filters):
            lost = kernel_size - 1 if padding == "valid" else 0
            sides = (max(0, sides[0] - lost) // pool, max(0, sides[1] - lost) // pool)
            if not all(sides):
                raise RecipeError(
                    f"an image of {height} x {width} pixels is too small for the convolution and pooling of block "
                    f"{block + 1} of {len(filters)}: give fewer `filters`, padding='same', a smaller `kernel_size` or "
                    f"`pool`, or larger images"
                )
            blocks.append(nn.Conv2d(channels, count, kernel_size, padding=padding))
            if normalization == "batch":
                blocks.append(nn.BatchNorm2d(count))
            blocks.append(ACTIVATIONS[activation]())
            if pool > 1:
                blocks.append(nn.MaxPool2d(pool))
            channels = count
        self.blocks = nn.Sequential(*blocks)

        size = channels * sides[0] * sides[1]
        layers: list[nn.Module] = []
        for count in hidden:
            layers += [nn.Dropout(dropout)] if dropout else []
            layers += [nn.Linear(size, count), ACTIVATIONS[activation]()]
            size = count
        layers += [nn.Dropout(dropout)] if dropout else []
        self.hidden = nn.Sequential(*layers)
        self.output = nn.Linear(size, out_features)

    @classmethod
    def sizes(cls, inputs: Mapping[str, TensorSpec], num_outputs: int) -> dict[str, Any]:
        """The sizes that the data gives: one input `image`."""
        channels, height, width = image_sizes(inputs, "a CNN")
        return {"channels": channels, "height": height, "width": width, "out_features": num_outputs}

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(batch, channels, height, width) -> (batch, out_features)."""
        outputs: torch.Tensor = self.output(self.hidden(self.blocks(image).flatten(1)))
        return outputs


def image_sizes(inputs: Mapping[str, TensorSpec], name: str) -> tuple[int, int, int]:
    """Channels, height and width of the one input `image`.

    Raises:
        RecipeError: the data gives something else.
    """
    spec = inputs.get("image")
    sizes = () if spec is None else tuple(size for size in spec.shape if size is not None)
    if len(inputs) != 1 or spec is None or len(sizes) != 3 or len(spec.shape) != 3:
        found = ", ".join(f"{one} {spec.shape}" for one, spec in inputs.items())
        raise RecipeError(
            f"{name} takes one `image` of fixed size (channels, height, width), the data gives {found}; read images "
            f"with maas.data.read_images"
        )
    return sizes[0], sizes[1], sizes[2]


def _check_layers(name: str, sizes: Any, fewest: int) -> None:
    if isinstance(sizes, (str, bytes)) or not isinstance(sizes, Sequence):
        raise RecipeError(f"`{name}` must be a sequence of sizes, such as (32, 64), got {show(sizes)}")
    if not fewest <= len(sizes) <= _MOST_LAYERS:
        raise RecipeError(f"`{name}` must have {fewest} to {_MOST_LAYERS} entries, got {len(sizes)}")
    if not all(type(size) is int and size > 0 for size in sizes):
        raise RecipeError(f"`{name}` must be positive integers, got {tuple(sizes)!r}")
