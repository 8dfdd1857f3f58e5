"""Fused convolutions: by the processor's kernels and without, beside torch's own layers."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torchvision.models.resnet import BasicBlock, Bottleneck

from maas.errors import FormatError, RecipeError
from maas.nn import _fused
from maas.nn._fused import ACTIVATIONS, FusedConv2d, FusedResidual, has_kernels
from maas.nn.transforms import FoldedBatchNorm, Fused, FusedForm, from_json

LARGE = (3, 16, 40, 40)  # more numbers a row than torch's own convolution is chosen for
CONVOLUTIONS: list[dict[str, Any]] = [
    {"padding": 1},
    {"padding": 1, "stride": 2, "bias": False},
    {"padding": "same", "dilation": 2},
    {"groups": 16},
    {"padding": (1, 0), "stride": (1, 2)},
]
FUNCTIONS = {"none": lambda x: x, "relu": F.relu, "hardswish": F.hardswish, "silu": F.silu}


def convolution(**sizes: Any) -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(16, 32, 3, **sizes).to(memory_format=torch.channels_last)


def fused(layer: nn.Conv2d, activation: str) -> FusedConv2d:
    made = Fused((FusedForm("0", activation),), (), ()).apply(nn.Sequential(copy.deepcopy(layer)))[0]
    assert isinstance(made, FusedConv2d)
    return made


@pytest.mark.parametrize("kernels", [True, False])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("sizes", CONVOLUTIONS)
def test_it_gives_what_the_layer_and_the_activation_give(sizes, activation, kernels, monkeypatch):
    if not kernels:
        monkeypatch.setattr(_fused, "has_kernels", lambda dtype: False)
    layer = convolution(**sizes)
    made = fused(layer, activation)
    x = torch.randn(LARGE)
    for rows in (x, x[:1], x[:1, :, :6, :6]):
        wanted = FUNCTIONS[activation](layer(rows))
        with torch.no_grad():
            found = made(rows)
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(made(rows), wanted, rtol=1e-5, atol=1e-5)  # with gradients


@pytest.mark.parametrize("activation", ["none", "relu"])
def test_it_adds_before_the_activation_and_leaves_what_is_added(activation):
    layer, x, other = convolution(padding=1), torch.randn(LARGE), torch.randn(3, 32, 40, 40)
    kept = other.clone()
    with torch.no_grad():
        found = fused(layer, activation)(x, other)
        torch.testing.assert_close(found, FUNCTIONS[activation](layer(x) + other), rtol=1e-5, atol=1e-5)
    assert torch.equal(other, kept)


def test_new_weights_another_dtype_and_a_copy_are_heeded():
    first, second = convolution(padding=1), convolution(padding=1)
    nn.init.normal_(second.weight, std=0.1)
    made, x = fused(first, "relu"), torch.randn(LARGE)
    with torch.no_grad():
        made(x)
        made.load_state_dict(second.state_dict())
        torch.testing.assert_close(made(x), second(x).relu(), rtol=1e-5, atol=1e-5)
        low = copy.deepcopy(made).to(torch.bfloat16)(x.bfloat16())
        assert low.dtype == torch.bfloat16
        torch.testing.assert_close(low.float(), second(x).relu(), rtol=0.02, atol=0.1)


def test_here_are_kernels_only_for_what_they_compute():
    assert not has_kernels(torch.float64)


def block(kind: type[nn.Module], stride: int) -> nn.Module:
    torch.manual_seed(0)
    expansion = 4 if kind is Bottleneck else 1
    down = nn.Sequential(nn.Conv2d(16, 16 * expansion, 1, stride=stride, bias=False), nn.BatchNorm2d(16 * expansion))
    made = kind(16, 16, stride, down if stride > 1 or expansion > 1 else None).eval()
    for one in made.modules():
        if isinstance(one, nn.BatchNorm2d):
            nn.init.normal_(one.running_mean)
            nn.init.uniform_(one.running_var, 0.5, 2.0)
    return made


@pytest.mark.parametrize(("kind", "stride"), [(BasicBlock, 1), (BasicBlock, 2), (Bottleneck, 1), (Bottleneck, 2)])
def test_a_residual_block_is_one_pass_a_convolution(kind, stride):
    plain = nn.Sequential(block(kind, stride))
    pairs = [(f"0.conv{place}", f"0.bn{place}") for place in (1, 2, *([3] if kind is Bottleneck else []))]
    pairs += [("0.downsample.0", "0.downsample.1")] if plain[0].downsample is not None else []
    folded = FoldedBatchNorm(tuple(pairs)).folded(plain)
    names = list(folded.state_dict())
    made = Fused((), (), ("0",)).apply(folded)
    assert isinstance(made[0], FusedResidual)
    assert list(made.state_dict()) == names
    x = torch.randn(LARGE)
    with torch.no_grad():
        torch.testing.assert_close(made(x), plain(x), rtol=1e-4, atol=1e-5)


def test_a_block_whose_batch_normalisation_is_there_is_refused():
    with pytest.raises(RecipeError, match="the residual block '0' has modules that it does not have when it is folded"):
        Fused((), (), ("0",)).apply(nn.Sequential(block(BasicBlock, 1)))


def test_a_padding_of_another_kind_is_refused():
    with pytest.raises(RecipeError, match="the convolution '0' has a padding that fused layers do not have"):
        fused(convolution(padding=1, padding_mode="reflect"), "relu")


def test_it_goes_through_json_and_is_built_without_numbers():
    (made,) = from_json(
        [{"kind": "fused", "arguments": {"layers": [{"name": "0", "activation": "silu"}], "idle": ["1"], "blocks": []}}]
    )
    assert made == Fused((FusedForm("0", "silu"),), ("1",), ())
    with torch.device("meta"):
        network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.SiLU())
    built = made.apply(network)
    assert [type(one) for one in built] == [FusedConv2d, nn.Identity]
    assert {name: one.shape for name, one in built.state_dict().items()} == {"0.weight": (4, 3, 3, 3), "0.bias": (4,)}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layers": 3, "idle": [], "blocks": []}, "`layers` is a list, got 3"),
        ({"layers": ["a"], "idle": [], "blocks": []}, "a layer is {name: string, activation: string}, got 'a'"),
        ({"layers": [{"name": "a", "activation": "tanh"}], "idle": [], "blocks": []}, "must be one of none, relu"),
        ({"layers": [{"name": "a", "activation": []}], "idle": [], "blocks": []}, "`activation` must be one of"),
        ({"layers": [], "idle": [1], "blocks": []}, "`idle` is a list of names, got"),
        ({"layers": [], "idle": [], "blocks": "ab"}, "`blocks` is a list of names, got 'ab'"),
    ],
)
def test_other_arguments_are_refused(arguments, message):
    with pytest.raises(FormatError, match=message):
        from_json([{"kind": "fused", "arguments": arguments}])
