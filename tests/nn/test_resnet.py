"""maas.nn.ResNet: parameters counted by hand, its residual block, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from maas.errors import RecipeError
from maas.nn import ResNet, recipe
from maas.schema import TensorSpec


def test_parameters_at_the_default_width() -> None:
    """24, then 48 and 96 filters, each stage one convolution and two in its block; two numbers a normalised filter."""
    convolutions = 9 * (1 * 24 + 24 * 48 + 2 * 48 * 48 + 48 * 96 + 2 * 96 * 96)
    normalisations = 2 * (24 + 3 * 48 + 3 * 96)
    network = ResNet(1, 10)
    assert sum(one.numel() for one in network.parameters()) == convolutions + normalisations + 96 * 10 + 10 == 261_298


@pytest.mark.parametrize(("side", "stages"), [(28, 2), (32, 2), (64, 3), (4, 2), (5, 1)])
def test_any_size_of_image_that_can_be_halved(side: int, stages: int) -> None:
    network = ResNet(3, 7, width=2, stages=stages).eval()
    assert network(torch.zeros(2, 3, side, side + 1)).shape == (2, 7)


def test_a_block_that_gives_nothing_leaves_its_input() -> None:
    network = ResNet(1, 2, width=2, stages=1).eval()
    block = network.stages[1]
    features = torch.randn(1, 4, 5, 5, generator=torch.Generator().manual_seed(0))
    assert not torch.equal(block(features), features)
    with torch.no_grad():
        block.inner[1][0].weight.zero_()  # of the second convolution
    assert torch.equal(block(features), features)


def test_outputs_are_scaled() -> None:
    torch.manual_seed(0)
    network = ResNet(1, 2, width=2, logit_scale=1.0).eval()
    image = torch.randn(3, 1, 8, 8)
    plain = network(image)
    network.logit_scale = 0.125
    assert torch.equal(network(image), plain * 0.125)


def test_sizes_follow_from_the_data() -> None:
    resolved = recipe(ResNet, width=2).resolve({"image": TensorSpec((3, 8, 8), "float32")}, 4)
    assert (resolved.arguments["channels"], resolved.arguments["out_features"]) == (3, 4)
    with pytest.raises(RecipeError, match="a ResNet takes one `image` of fixed size"):
        ResNet.sizes({"x": TensorSpec((8,), "float32")}, 4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"channels": 0}, "`channels` must be a positive integer, got 0"),
        ({"width": 1.5}, r"`width` must be a positive integer, got 1\.5"),
        ({"stages": 9}, "`stages` must be an integer from 1 to 8, got 9"),
        ({"stages": True}, "`stages` must be an integer from 1 to 8, got True"),
        ({"logit_scale": 0}, "`logit_scale` must be above 0, and at most 1000, got 0"),
        ({"logit_scale": float("nan")}, "`logit_scale` must be above 0, and at most 1000, got nan"),
    ],
)
def test_a_bad_argument_is_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        ResNet(**{"channels": 1, "out_features": 2, **arguments})


def test_a_tiny_image_is_refused_with_the_remedy() -> None:
    with pytest.raises(
        RecipeError, match=r"an image of 3 x 8 pixels is too small for this ResNet.*give fewer `stages`"
    ):
        ResNet(1, 2, width=2)(torch.zeros(1, 1, 3, 8))
