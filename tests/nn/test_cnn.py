"""maas.nn.CNN: parameters counted by hand, its layers in torch's own functions, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional as F

from maas.errors import RecipeError
from maas.nn import CNN, recipe
from maas.schema import TensorSpec


def _count(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_the_first_lesson_network() -> None:
    """28 x 28 x 1: 32 filters of 3 x 3 (26 a side), pool 2 (13 a side), dense 10."""
    network = CNN(1, 28, 28, 10, filters=(32,))
    assert _count(network) == (3 * 3 * 1 + 1) * 32 + (13 * 13 * 32 + 1) * 10
    assert network(torch.zeros(2, 1, 28, 28)).shape == (2, 10)


def test_the_second_lesson_network() -> None:
    """224 x 224 x 3: 32, 64, 128 filters (222 -> 111, 109 -> 54, 52 -> 26 a side), dense 512, dense 10."""
    with torch.device("meta"):
        network = CNN(3, 224, 224, 10, filters=(32, 64, 128), hidden=(512,))
    blocks = (9 * 3 + 1) * 32 + (9 * 32 + 1) * 64 + (9 * 64 + 1) * 128
    assert _count(network) == blocks + (26 * 26 * 128 + 1) * 512 + (512 + 1) * 10
    assert network(torch.zeros(1, 3, 224, 224, device="meta")).shape == (1, 10)


def test_forward_is_torchs_functions_one_after_the_other() -> None:
    network = CNN(2, 11, 9, 3, filters=(4, 5), pool=2, hidden=(6,), activation="tanh", padding="same").double()
    weights = network.state_dict()
    image = torch.randn(3, 2, 11, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = image
    for block in ("blocks.0", "blocks.3"):
        x = F.conv2d(x, weights[f"{block}.weight"], weights[f"{block}.bias"], padding=1)
        x = F.max_pool2d(torch.tanh(x), 2)
    x = torch.tanh(F.linear(x.flatten(1), weights["hidden.0.weight"], weights["hidden.0.bias"]))
    wanted = F.linear(x, weights["output.weight"], weights["output.bias"])
    assert torch.allclose(network(image), wanted, rtol=1e-12, atol=1e-12)


def test_normalisation_stands_between_convolution_and_activation_and_dropout_before_dense_layers() -> None:
    network = CNN(1, 8, 8, 2, filters=(3,), pool=1, hidden=(4,), normalization="batch", dropout=0.5)
    assert [type(one).__name__ for one in network.blocks] == ["Conv2d", "BatchNorm2d", "ReLU"]
    assert [type(one).__name__ for one in network.hidden] == ["Dropout", "Linear", "ReLU", "Dropout"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"channels": 0}, "`channels` must be a positive integer, got 0"),
        ({"height": 2.0}, r"`height` must be a positive integer, got 2\.0"),
        ({"pool": -1}, "`pool` must be a positive integer, got -1"),
        ({"kernel_size": True}, "`kernel_size` must be a positive integer, got True"),
        ({"filters": ()}, "`filters` must have 1 to 100 entries, got 0"),
        ({"filters": 32}, r"`filters` must be a sequence of sizes, such as \(32, 64\), got 32"),
        ({"filters": (4, 0)}, r"`filters` must be positive integers, got \(4, 0\)"),
        ({"hidden": (1,) * 101}, "`hidden` must have 0 to 100 entries, got 101"),
        ({"activation": "step"}, "`activation` must be one of relu, .*, got 'step'"),
        ({"normalization": "layer"}, "`normalization` must be one of None, batch, got 'layer'"),
        ({"padding": "full"}, "`padding` must be one of valid, same, got 'full'"),
        ({"dropout": 1}, "`dropout` must be from 0 to below 1, got 1"),
        (
            {"filters": (4, 4, 4)},
            "an image of 8 x 8 pixels is too small for the convolution and pooling of block 2 of 3: give fewer `filt",
        ),
        ({"kernel_size": 9}, "an image of 8 x 8 pixels is too small for the convolution and pooling of block 1 of 1"),
    ],
)
def test_a_bad_argument_is_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        CNN(**{"channels": 1, "height": 8, "width": 8, "out_features": 2, **arguments})


def test_sizes_follow_from_the_data() -> None:
    resolved = recipe(CNN, filters=[8]).resolve({"image": TensorSpec((3, 9, 12), "float32")}, 4)
    assert resolved.arguments["channels"] == 3
    assert resolved.build()(torch.zeros(1, 3, 9, 12)).shape == (1, 4)


@pytest.mark.parametrize(
    "inputs",
    [
        {},
        {"x": TensorSpec((7,), "float32")},
        {"image": TensorSpec((7,), "float32")},
        {"image": TensorSpec((3, None, 8), "float32")},
        {"image": TensorSpec((3, 8, 8), "float32"), "x": TensorSpec((2,), "float32")},
    ],
)
def test_sizes_refuses_what_is_not_one_image(inputs: dict[str, TensorSpec]) -> None:
    with pytest.raises(
        RecipeError, match=r"a CNN takes one `image` of fixed size \(channels, height, width\), the data"
    ):
        CNN.sizes(inputs, 3)


def test_on_the_meta_device_a_giant_costs_nothing() -> None:
    with torch.device("meta"):
        network = CNN(3, 64, 64, 10, filters=(32,), hidden=(10**9,))
    assert network.output.weight.shape == (10, 10**9)
