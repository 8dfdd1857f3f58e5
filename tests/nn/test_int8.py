"""Layers in 8-bit integers: by the processor's kernels and without, beside float layers of the same numbers."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from maas.nn import _int8, steps_a_pass, work_of
from maas.nn._codes import Codes
from maas.nn._int8 import Int8Conv2d, Int8Embedding, Int8Layer, Int8Linear, has_kernels

SCALE, ZERO = 0.03, 40
CONVOLUTIONS: list[dict[str, Any]] = [
    {},
    {"stride": (2, 2), "padding": (1, 1)},
    {"dilation": (2, 2), "padding": (2, 2)},
    {"groups": 2, "padding": (1, 1)},
    {"padding": (1, 0), "stride": (1, 2)},
]


def filled(layer: Int8Layer) -> Int8Layer:
    generator = torch.Generator().manual_seed(0)
    layer.weight.copy_(torch.randint(-127, 128, layer.weight.shape, generator=generator, dtype=torch.int8))
    layer.weight_scale.copy_(torch.rand(len(layer.weight), generator=generator) * 0.01 + 0.001)
    if layer.bias is not None:
        layer.bias.copy_(torch.randn(len(layer.weight), generator=generator))
    layer.get_buffer("input_scale").fill_(SCALE)
    layer.get_buffer("input_zero_point").fill_(ZERO)
    if layer.uint8:
        layer.get_buffer("output_scale").fill_(0.1)
        layer.get_buffer("output_zero_point").fill_(0 if layer.relu else 120)
    return layer.eval()


def linear(**options: Any) -> Int8Layer:
    return filled(Int8Linear(48, 32, **{"bias": True, "relu": False, "uint8": False, **options}))


def convolution(sizes: dict[str, Any], **options: Any) -> Int8Layer:
    given = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1, **sizes}
    shape = (32, 16 // given["groups"], 3, 3)
    return filled(Int8Conv2d(shape, **given, **{"bias": True, "relu": False, "uint8": False, **options}))


def by_floats(layer: Int8Layer, x: torch.Tensor) -> torch.Tensor:
    """The reference: torch's float layer on the numbers that the codes stand for, in float64."""
    read = (Codes(SCALE, ZERO).of(x).double() - ZERO) * layer.get_buffer("input_scale").double()
    weight = layer.weight.double() * layer.weight_scale.double().reshape(-1, *[1] * (layer.weight.dim() - 1))
    bias = None if layer.bias is None else layer.bias.double()
    found = (
        F.conv2d(read, weight, bias, *layer.places) if isinstance(layer, Int8Conv2d) else F.linear(read, weight, bias)
    )
    return found.relu() if layer.relu else found


def layers() -> list[tuple[Int8Layer, tuple[int, ...]]]:
    options = [{}, {"bias": False}, {"relu": True}]
    found = [(linear(**one), (5, 48)) for one in options] + [(linear(), (2, 3, 48))]
    return found + [(convolution(sizes, **one), (2, 16, 9, 10)) for sizes in CONVOLUTIONS for one in options]


@pytest.mark.parametrize("place", range(len(layers())))
@pytest.mark.parametrize("by_kernel", [True, False])
def test_a_layer_gives_what_the_float_layer_of_its_numbers_gives(place, by_kernel, monkeypatch):
    if by_kernel and not has_kernels():
        pytest.skip("this processor has no kernels for int8")
    monkeypatch.setattr(_int8, "has_kernels", lambda: by_kernel)
    layer, shape = layers()[place]
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1)) * 2
    found = layer(x)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), by_floats(layer, x), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("by_kernel", [True, False])
def test_codes_come_in_and_go_out(relu, by_kernel, monkeypatch):
    if by_kernel and not has_kernels():
        pytest.skip("this processor has no kernels for int8")
    monkeypatch.setattr(_int8, "has_kernels", lambda: by_kernel)
    for layer, shape in (
        (linear(relu=relu, uint8=True), (5, 48)),
        (convolution({"padding": (1, 1)}, relu=relu, uint8=True), (2, 16, 9, 10)),
    ):
        x = torch.randn(shape, generator=torch.Generator().manual_seed(2))
        codes = layer(Codes(SCALE, ZERO).of(x))
        assert codes.dtype == torch.uint8
        wanted = Codes(0.1, int(layer.get_buffer("output_zero_point"))).of(by_floats(layer, x).float())
        assert (codes.int() - wanted.int()).abs().max() <= 1  # numbers in the middle between two codes
        assert (codes != wanted).float().mean() < 0.01
        assert torch.equal(layer(x), codes)


def test_codes_are_rounded_and_held_in_their_range():
    """Reference: numpy's rint and clip."""
    x = torch.linspace(-40, 60, 4001)[torch.randperm(4001, generator=torch.Generator().manual_seed(0))]
    for scale, zero in ((0.25, 100), (0.1, 0), (3.0, 255)):
        found = Codes(scale, zero).of(x).numpy()
        exact = x.double().numpy() / scale + zero
        wanted = np.clip(np.rint(exact), 0, 255)
        near_middle = np.abs(exact - np.floor(exact) - 0.5) < 1e-4
        np.testing.assert_array_equal(found[~near_middle], wanted[~near_middle])
        assert np.abs(found - wanted).max() <= 1


def test_a_row_is_answered_alone_as_in_company():
    for layer, shape in ((linear(), (7, 48)), (convolution({}), (7, 16, 9, 10))):
        x = torch.randn(shape, generator=torch.Generator().manual_seed(3))
        assert torch.equal(layer(x)[2:3], layer(x[2:3]))


def test_a_used_layer_is_copied_loaded_anew_and_keeps_its_scales_in_any_dtype():
    layer = linear()
    x = torch.randn(3, 48, generator=torch.Generator().manual_seed(4))
    wanted = layer(x)
    twin = copy.deepcopy(layer).to(torch.bfloat16)
    assert torch.equal(twin(x), wanted)
    assert {name: one.dtype for name, one in twin.state_dict().items()} == {
        name: one.dtype for name, one in layer.state_dict().items()
    }
    twin.load_state_dict({**layer.state_dict(), "bias": layer.bias + 1})
    torch.testing.assert_close(twin(x), wanted + 1)


def test_a_table_gives_what_the_float_table_of_its_numbers_gives():
    table = Int8Embedding(50, 12)
    generator = torch.Generator().manual_seed(0)
    table.weight.copy_(torch.randint(-127, 128, (50, 12), generator=generator, dtype=torch.int8))
    table.weight_scale.copy_(torch.rand(50, generator=generator))
    tokens = torch.randint(0, 50, (4, 7, 2), generator=generator)
    wanted = F.embedding(tokens, table.weight.float() * table.weight_scale[:, None])
    assert torch.equal(table(tokens), wanted)


def test_the_work_of_integers_is_counted_as_that_of_floats():
    assert work_of(convolution({})) == float("inf")
    assert work_of(linear()) == work_of(nn.Linear(48, 32))
    with_table = nn.ModuleList([Int8Embedding(1000, 8), linear()])
    assert steps_a_pass(with_table) == steps_a_pass(nn.ModuleList([nn.Embedding(1000, 8), nn.Linear(48, 32)]))


def test_kernels_that_compute_otherwise_are_not_used(monkeypatch):
    """As on processors that hold sums of two products at 16 bits."""
    monkeypatch.setattr(
        Int8Linear, "_by_kernel", lambda self, codes, ready: self._sums(codes.float(), ready.weight) * 0
    )
    monkeypatch.setattr(Int8Linear, "_packed", lambda self, read, shape: self.weight.float())
    assert not has_kernels.__wrapped__()


def test_without_kernels_the_layers_compute_all_the_same(monkeypatch):
    def missing(self: Int8Layer, read: Codes, shape: list[int]) -> torch.Tensor:
        raise AttributeError("'_OpNamespace' 'onednn' object has no attribute 'qlinear_prepack'")

    monkeypatch.setattr(Int8Linear, "_packed", missing)
    monkeypatch.setattr(_int8, "has_kernels", has_kernels.__wrapped__)
    assert linear()(torch.zeros(1, 48)).shape == (1, 32)
