"""maas.nn.MLP against torch's own functions and the initialisations' published formulas."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from maas.errors import RecipeError
from maas.nn import MLP
from maas.nn._mlp import ACTIVATIONS, INITIALIZATIONS
from maas.schema import TensorSpec

FUNCTIONS = {
    "relu": F.relu,
    "gelu": F.gelu,
    "silu": F.silu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "leaky_relu": F.leaky_relu,
    "elu": F.elu,
}


def _rows(features: int, rows: int = 7) -> torch.Tensor:
    return torch.randn(rows, features, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_forward_is_linear_and_activation_by_hand(activation: str) -> None:
    """Reference: torch.nn.functional, layer by layer, with the module's own weights."""
    network = MLP(5, 3, hidden=(4, 6), activation=activation, seed=0).double()
    weights = network.state_dict()
    x = _rows(5).double()
    hidden = x
    for layer in ("hidden.0", "hidden.2"):
        hidden = FUNCTIONS[activation](hidden @ weights[f"{layer}.weight"].T + weights[f"{layer}.bias"])
    wanted = hidden @ weights["output.weight"].T + weights["output.bias"]
    assert torch.allclose(network(x), wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("normalization", ["batch", "layer"])
def test_normalisation_stands_between_linear_and_activation(normalization: str, training: bool) -> None:
    """Reference: the formulas of batch and of layer normalisation, epsilon 1e-5, written out."""
    network = MLP(5, 2, hidden=(4,), normalization=normalization, seed=0).double().train(training)
    weights = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    x = _rows(5).double()
    hidden = x @ weights["hidden.0.weight"].T + weights["hidden.0.bias"]
    if normalization == "layer":
        mean, variance = hidden.mean(1, keepdim=True), hidden.var(1, unbiased=False, keepdim=True)
    elif training:
        mean, variance = hidden.mean(0), hidden.var(0, unbiased=False)
    else:
        mean, variance = weights["hidden.1.running_mean"], weights["hidden.1.running_var"]
    hidden = torch.relu((hidden - mean) / torch.sqrt(variance + 1e-5))
    wanted = hidden @ weights["output.weight"].T + weights["output.bias"]
    assert torch.allclose(network(x), wanted, rtol=1e-10, atol=1e-10)


def test_dropout_works_in_training_only() -> None:
    network = MLP(8, 2, hidden=(64,), dropout=0.5, seed=0)
    x = _rows(8)
    torch.manual_seed(0)
    assert not torch.equal(network.train()(x), network(x))
    assert torch.equal(network.eval()(x), network(x))


def test_the_lesson_network() -> None:
    """100-64-64-10, counted by hand: 100*64+64 + 64*64+64 + 64*10+10."""
    network = MLP(100, 10, hidden=(64, 64))
    shapes = {name: tuple(parameter.shape) for name, parameter in network.named_parameters()}
    assert shapes == {
        "hidden.0.weight": (64, 100),
        "hidden.0.bias": (64,),
        "hidden.2.weight": (64, 64),
        "hidden.2.bias": (64,),
        "output.weight": (10, 64),
        "output.bias": (10,),
    }
    assert sum(parameter.numel() for parameter in network.parameters()) == 11_274


def test_no_hidden_layer_is_a_linear_model() -> None:
    network = MLP(3, 2, hidden=(), seed=0)
    x = _rows(3)
    assert set(network.state_dict()) == {"output.weight", "output.bias"}
    assert torch.equal(network(x), F.linear(x, network.output.weight, network.output.bias))


@pytest.mark.parametrize(
    ("initialization", "deviation", "most"),
    [  # fan_in 400, fan_out 300; deviation by the papers, and for a uniform one its bound, sqrt(3) deviations
        ("kaiming_uniform", math.sqrt(2 / 400), math.sqrt(6 / 400)),
        ("kaiming_normal", math.sqrt(2 / 400), None),
        ("xavier_uniform", 5 / 3 * math.sqrt(2 / 700), 5 / 3 * math.sqrt(6 / 700)),
        ("xavier_normal", 5 / 3 * math.sqrt(2 / 700), None),
        ("uniform", 0.05 / math.sqrt(3), 0.05),
        ("normal", 0.05, None),
        ("orthogonal", 5 / 3 / math.sqrt(400), None),
    ],
)
def test_initialisation(initialization: str, deviation: float, most: float | None) -> None:
    """Reference: He et al. 2015 and Glorot and Bengio 2010, gain 5/3 for tanh; biases are zero."""
    network = MLP(400, 2, hidden=(300,), activation="tanh", initialization=initialization, seed=0)
    weight = network.state_dict()["hidden.0.weight"]
    assert weight.std().item() == pytest.approx(deviation, rel=0.02)
    assert abs(weight.mean().item()) < 0.05 * deviation
    assert most is None or 0.99 * most < weight.abs().max().item() <= most
    if initialization == "orthogonal":
        assert torch.allclose(weight @ weight.T, torch.eye(300) * (5 / 3) ** 2, atol=1e-4)
    for name, tensor in network.state_dict().items():
        assert not name.endswith("bias") or not tensor.any()


@pytest.mark.parametrize("initialization", INITIALIZATIONS)
def test_a_seed_gives_equal_weights(initialization: str) -> None:
    states = []
    for seed in (5, 5, 6):
        torch.rand(1)  # whatever happened to torch's generator in between
        states.append(MLP(6, 3, hidden=(8,), initialization=initialization, seed=seed).state_dict())
    one, again, other = states
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not torch.equal(one["hidden.0.weight"], other["hidden.0.weight"])


def test_a_seed_leaves_torchs_generator_alone() -> None:
    before = torch.get_rng_state()
    MLP(6, 3, hidden=(8,), seed=5)
    assert torch.equal(torch.get_rng_state(), before)


def test_without_a_seed_torchs_generator_draws() -> None:
    torch.manual_seed(3)
    one, other = MLP(4, 2).output.weight, MLP(4, 2).output.weight
    torch.manual_seed(3)
    again = MLP(4, 2).output.weight
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"in_features": 0}, "`in_features` must be a positive integer, got 0"),
        ({"in_features": -3}, "`in_features` must be a positive integer, got -3"),
        ({"in_features": 2.0}, "`in_features` must be a positive integer, got 2.0"),
        ({"in_features": True}, "`in_features` must be a positive integer, got True"),
        ({"out_features": "3"}, "`out_features` must be a positive integer, got '3'"),
        ({"out_features": None}, "`out_features` must be a positive integer, got None"),
        ({"hidden": 64}, r"`hidden` must be a sequence of sizes, such as \(64, 64\), got 64"),
        ({"hidden": "64"}, "`hidden` must be a sequence of sizes.*got '64'"),
        ({"hidden": {64}}, "`hidden` must be a sequence of sizes.*got set of 1"),
        ({"hidden": (64, -4)}, r"`hidden` must be positive integers, got \(64, -4\)"),
        ({"hidden": (64, 0)}, r"`hidden` must be positive integers, got \(64, 0\)"),
        ({"hidden": (True,)}, r"`hidden` must be positive integers, got \(True,\)"),
        ({"hidden": [8.0]}, r"`hidden` must be positive integers, got \(8.0,\)"),
        ({"hidden": (1,) * 1001}, "`hidden` may have at most 1000 layers, got 1001"),
        ({"activation": "swish"}, "`activation` must be one of relu, gelu, .*, got 'swish'"),
        ({"activation": None}, "`activation` must be one of relu, gelu, .*, got None"),
        ({"activation": ["relu"]}, "`activation` must be one of relu, gelu, .*, got list of 1"),
        ({"normalization": "group"}, "`normalization` must be one of None, batch, layer, got 'group'"),
        ({"initialization": "zeros"}, "`initialization` must be one of kaiming_uniform, .*, got 'zeros'"),
        ({"dropout": 1.0}, "`dropout` must be from 0 to below 1, got 1.0"),
        ({"dropout": -0.1}, "`dropout` must be from 0 to below 1, got -0.1"),
        ({"dropout": math.nan}, "`dropout` must be from 0 to below 1, got nan"),
        ({"dropout": True}, "`dropout` must be from 0 to below 1, got True"),
        ({"dropout": "0.5"}, "`dropout` must be from 0 to below 1, got '0.5'"),
    ],
)
def test_a_bad_argument_is_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        MLP(**{"in_features": 3, "out_features": 2, **arguments})


def test_on_the_meta_device_a_giant_costs_nothing() -> None:
    """4 * 10**18 bytes could not be allocated; that this returns is the proof."""
    with torch.device("meta"):
        network = MLP(10**9, 10, hidden=(10**9,))
    assert network.hidden[0].weight.shape == (10**9, 10**9)
    assert all(parameter.is_meta for parameter in network.parameters())


def test_sizes_follow_from_the_data() -> None:
    assert MLP.sizes({"x": TensorSpec((7,), "float32")}, 3) == {"in_features": 7, "out_features": 3}


@pytest.mark.parametrize(
    "inputs",
    [
        {},
        {"image": TensorSpec((7,), "float32")},
        {"x": TensorSpec((3, 8), "float32")},
        {"x": TensorSpec((None,), "float32")},
        {"x": TensorSpec((7,), "float32"), "y": TensorSpec((7,), "float32")},
    ],
)
def test_sizes_refuses_what_is_not_one_vector(inputs: dict[str, TensorSpec]) -> None:
    with pytest.raises(RecipeError, match="an MLP takes one vector `x` of fixed size a row, the data gives"):
        MLP.sizes(inputs, 3)
