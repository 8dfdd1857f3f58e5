"""maas.nn.CNN1d against torch's own layers run on each row by itself, without padding."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from maas.errors import RecipeError
from maas.nn import CNN1d
from maas.nn._steps import POOLINGS

LENGTHS = torch.tensor([3, 1, 9, 5])


def padded(fill: float = 0.0) -> torch.Tensor:
    """Rows of LENGTHS in a block of 12 steps, `fill` after their end."""
    values = torch.randn(len(LENGTHS), 12, 4, generator=torch.Generator().manual_seed(0))
    return values.masked_fill((torch.arange(12) >= LENGTHS[:, None])[:, :, None], fill)


def warmed(**arguments: Any) -> CNN1d:
    """A network whose normalisation has seen a batch."""
    network = CNN1d(4, 3, filters=(6, 5), kernel_size=3, seed=0, **arguments)
    network.train()(padded() * 2 + 1, LENGTHS)
    return network.eval()


@pytest.mark.parametrize(
    ("normalization", "pooling", "dilation"),
    list(itertools.product(["batch", "layer", None], POOLINGS, [1, 2])),
)
def test_padding_never_changes_an_answer(normalization: str | None, pooling: str, dilation: int) -> None:
    network = warmed(normalization=normalization, pooling=pooling, dilation=dilation)
    together = network(padded(), LENGTHS)
    assert torch.allclose(network(padded(fill=1e3), LENGTHS), together, rtol=0, atol=1e-6)
    for row, length in enumerate(LENGTHS.tolist()):
        alone = network(padded()[row : row + 1, :length], LENGTHS[row : row + 1])
        assert torch.allclose(alone, together[row : row + 1], rtol=0, atol=1e-6)


@pytest.mark.parametrize("normalization", ["batch", "layer"])
def test_padding_never_changes_what_is_learned(normalization: str) -> None:
    """Statistics and gradients in training, with 12 steps and with 9, the longest row's."""
    found = []
    for steps in (9, 12):
        network = CNN1d(4, 3, filters=(6, 5), kernel_size=3, normalization=normalization, seed=0).double().train()
        network(padded(fill=1e3)[:, :steps].double(), LENGTHS).square().sum().backward()
        gradients = {name: parameter.grad for name, parameter in network.named_parameters()}
        buffers = {name: buffer for name, buffer in network.named_buffers() if buffer.is_floating_point()}
        found.append({**gradients, **buffers})
    for name, value in found[0].items():
        assert value is not None
        other = found[1][name]
        assert other is not None
        assert torch.allclose(value, other, rtol=1e-10, atol=1e-10), name


@pytest.mark.parametrize("pooling", POOLINGS)
def test_forward_is_convolution_normalisation_and_activation_by_hand(pooling: str) -> None:
    """Reference: torch.nn.functional on each row alone, with the module's own weights."""
    network = warmed(pooling=pooling).double()
    state = network.state_dict()
    found = network(padded().double(), LENGTHS)
    for row, length in enumerate(LENGTHS.tolist()):
        steps = padded()[row, :length].double().T[None]  # (1, channels, steps)
        for layer in (0, 1):
            steps = F.conv1d(
                steps, state[f"convolutions.{layer}.weight"], state[f"convolutions.{layer}.bias"], padding=1
            )
            name = f"normalizations.{layer}"
            running = state[f"{name}.running_mean"], state[f"{name}.running_var"]
            steps = F.relu(F.batch_norm(steps, *running, state[f"{name}.weight"], state[f"{name}.bias"]))
        vector = {"mean": steps.mean(2), "max": steps.amax(2), "last": steps[:, :, -1]}[pooling]
        assert torch.allclose(found[row : row + 1], network.output(vector), rtol=1e-10, atol=1e-10)


def test_statistics_of_a_batch_are_those_of_its_valid_steps() -> None:
    """Reference: the mean of the first convolution's outputs over valid steps, a tenth of it after one batch."""
    network = CNN1d(4, 3, filters=(6,), kernel_size=1, seed=0).train()
    network(padded(fill=1e3), LENGTHS)
    valid = torch.cat([padded()[row, :length] for row, length in enumerate(LENGTHS.tolist())])  # (18, 4)
    outputs = valid @ network.state_dict()["convolutions.0.weight"][:, :, 0].T
    assert torch.allclose(network.state_dict()["normalizations.0.running_mean"], 0.1 * outputs.mean(0), atol=1e-6)


def test_a_seed_gives_equal_weights_and_leaves_torchs_generator_alone() -> None:
    before = torch.random.get_rng_state()
    one, again, other = (CNN1d(4, 3, seed=seed).state_dict() for seed in (5, 5, 6))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not torch.equal(one["convolutions.0.weight"], other["convolutions.0.weight"])


def test_dropout_works_in_training_only() -> None:
    network = CNN1d(4, 3, dropout=0.5, normalization=None, seed=0)
    torch.manual_seed(0)
    assert not torch.equal(network.train()(padded(), LENGTHS), network(padded(), LENGTHS))
    assert torch.equal(network.eval()(padded(), LENGTHS), network(padded(), LENGTHS))


def test_it_builds_on_the_meta_device() -> None:
    with torch.device("meta"):
        network = CNN1d(4, 3, filters=(10**5, 10**5))
    assert all(parameter.is_meta for parameter in network.parameters())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"filters": ()}, r"`filters` must be a sequence of sizes, such as \(64, 64\), got tuple of 0"),
        ({"filters": "64"}, "`filters` must be a sequence of sizes"),
        ({"filters": (64, -4)}, r"`filters` must be positive integers, got \(64, -4\)"),
        ({"filters": (1,) * 101}, "`filters` may have at most 100 layers, got 101"),
        ({"kernel_size": 4}, "`kernel_size` must be odd, so that a filter has a middle, got 4"),
        ({"kernel_size": 5.0}, r"`kernel_size` must be a positive integer, got 5\.0"),
        ({"filters": (8,) * 60, "dilation": 2}, "`dilation` of 2 over 60 layers reaches too far"),
        ({"normalization": "group"}, "`normalization` must be one of None, batch, layer, got 'group'"),
        ({"activation": "rleu"}, "`activation` must be one of relu, gelu, .*, got 'rleu'"),
        ({"pooling": "sum"}, "`pooling` must be one of last, mean, max, got 'sum'"),
        ({"dropout": -0.1}, r"`dropout` must be from 0 to below 1, got -0\.1"),
    ],
)
def test_an_argument_out_of_range_is_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        CNN1d(4, 3, **arguments)
