"""maas.nn.AudioCNN against torch's own layers run on each row by itself, without padding."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from maas.errors import RecipeError
from maas.nn import AudioCNN, recipe
from maas.nn._steps import POOLINGS
from maas.schema import TensorSpec

LENGTHS = torch.tensor([3, 1, 9, 6])


def padded(fill: float = 0.0) -> torch.Tensor:
    """Rows of LENGTHS in a block of 14 frames of 5 bands, `fill` after their end."""
    values = torch.randn(len(LENGTHS), 14, 5, generator=torch.Generator().manual_seed(0))
    return values.masked_fill((torch.arange(14) >= LENGTHS[:, None])[:, :, None], fill)


def warmed(**arguments: Any) -> AudioCNN:
    """A network whose normalisation has seen a batch, with its memory laid out as `maas.Model` does."""
    network = AudioCNN(5, 3, filters=(6, 4), seed=0, **arguments).to(memory_format=torch.channels_last)
    network.train()(padded() * 2 + 1, LENGTHS)
    return network.eval()


@pytest.mark.parametrize(
    ("normalization", "pooling", "pool_size", "activation"),
    [*itertools.product(["batch", None], POOLINGS, [1, 2, 3], ["relu"]), ("batch", "mean", 2, "sigmoid")],
)
def test_padding_never_changes_an_answer(
    normalization: str | None, pooling: str, pool_size: int, activation: str
) -> None:
    network = warmed(normalization=normalization, pooling=pooling, pool_size=pool_size, activation=activation)
    together = network(padded(), LENGTHS)
    assert torch.allclose(network(padded(fill=1e3), LENGTHS), together, rtol=0, atol=1e-6)
    for row, length in enumerate(LENGTHS.tolist()):
        alone = network(padded()[row : row + 1, :length], LENGTHS[row : row + 1])
        assert torch.allclose(alone, together[row : row + 1], rtol=0, atol=1e-6)


@pytest.mark.parametrize(("activation", "pool_size"), [("relu", 2), ("gelu", 2), ("sigmoid", 3)])
def test_padding_never_changes_what_is_learned(activation: str, pool_size: int) -> None:
    """Statistics and gradients in training, with 14 frames and with 9, the longest row's."""
    found = []
    for steps in (9, 14):
        network = AudioCNN(5, 3, filters=(6, 4), activation=activation, pool_size=pool_size, seed=0).double().train()
        network(padded(fill=1e3)[:, :steps].double(), LENGTHS).square().sum().backward()
        gradients = {name: parameter.grad for name, parameter in network.named_parameters()}
        buffers = {name: buffer for name, buffer in network.named_buffers() if buffer.is_floating_point()}
        found.append({**gradients, **buffers})
    for name, value in found[0].items():
        other = found[1][name]
        assert value is not None
        assert other is not None
        assert value.isfinite().all()
        assert torch.allclose(value, other, rtol=1e-10, atol=1e-10), name


@pytest.mark.parametrize("pooling", POOLINGS)
def test_forward_is_convolution_normalisation_pooling_and_activation_by_hand(pooling: str) -> None:
    """Reference: torch.nn.functional on each row alone, with the module's own weights."""
    network = warmed(pooling=pooling, activation="gelu").double()
    state = network.state_dict()
    found = network(padded().double(), LENGTHS)
    for row, length in enumerate(LENGTHS.tolist()):
        image = padded()[row, :length].double()[None, None]  # (1, 1, frames, bands)
        for block in (0, 1):
            image = F.conv2d(
                image, state[f"convolutions.{block}.weight"], state[f"convolutions.{block}.bias"], padding=1
            )
            name = f"normalizations.{block}"
            running = state[f"{name}.running_mean"], state[f"{name}.running_var"]
            image = F.batch_norm(image, *running, state[f"{name}.weight"], state[f"{name}.bias"])
            image = F.gelu(F.max_pool2d(image, 2, ceil_mode=True))
        steps = image[0].permute(1, 2, 0).flatten(1)  # (frames left, bands left * filters)
        assert steps.shape[1] == 2 * 4
        vector = {"mean": steps.mean(0), "max": steps.amax(0), "last": steps[-1]}[pooling]
        assert torch.allclose(found[row], network.output(vector), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("longest", [9, 14])
def test_statistics_of_a_batch_are_those_of_its_valid_frames(longest: int) -> None:
    """Reference: mean and variance of the first convolution's outputs over each row alone, a tenth after one batch."""
    network = AudioCNN(5, 3, filters=(6,), seed=0).train()
    network(padded(fill=1e3)[:, :longest], LENGTHS)
    state = network.state_dict()
    rows = [padded()[row, :length][None, None] for row, length in enumerate(LENGTHS.tolist())]
    outputs = torch.cat([F.conv2d(one, state["convolutions.0.weight"], padding=1)[0].flatten(1) for one in rows], dim=1)
    assert torch.allclose(state["normalizations.0.running_mean"], 0.1 * outputs.mean(1), atol=1e-6)
    assert torch.allclose(state["normalizations.0.running_var"], 0.9 + 0.1 * outputs.var(1), atol=1e-6)


def test_rows_of_one_length_are_normalised_as_any_others() -> None:
    """Without padding torch's layer sees the block as it is; a row of padding beside must change nothing."""
    found = []
    for steps in (9, 14):
        network = AudioCNN(5, 3, filters=(6,), seed=0).double().train()
        values = F.pad(padded()[:, :9], (0, 0, 0, steps - 9)).double()
        found.append(network(values, torch.full((4,), 9)))
    assert torch.allclose(*found, rtol=1e-10, atol=1e-10)


def test_a_seed_gives_equal_weights_and_leaves_torchs_generator_alone() -> None:
    before = torch.random.get_rng_state()
    one, again, other = (AudioCNN(5, 3, seed=seed).state_dict() for seed in (5, 5, 6))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not torch.equal(one["convolutions.0.weight"], other["convolutions.0.weight"])


def test_dropout_works_in_training_only() -> None:
    network = AudioCNN(5, 3, dropout=0.5, normalization=None, seed=0)
    torch.manual_seed(0)
    assert not torch.equal(network.train()(padded(), LENGTHS), network(padded(), LENGTHS))
    assert torch.equal(network.eval()(padded(), LENGTHS), network(padded(), LENGTHS))


def test_a_recipe_gets_its_sizes_from_the_frames() -> None:
    frames = {"sequence": TensorSpec((None, 40), "float32"), "sequence_lengths": TensorSpec((), "int64")}
    resolved = recipe(AudioCNN, filters=(8,)).resolve(frames, 4)
    assert (resolved.arguments["num_mels"], resolved.arguments["out_features"]) == (40, 4)
    with pytest.raises(RecipeError, match=r"an AudioCNN takes a `sequence` of shape \(steps, channels\)"):
        recipe(AudioCNN).resolve({"image": TensorSpec((1, 8, 8), "float32")}, 4)


def test_it_builds_on_the_meta_device() -> None:
    with torch.device("meta"):
        network = AudioCNN(64, 3, filters=(10**5, 10**5))
    assert all(parameter.is_meta for parameter in network.parameters())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"filters": ()}, r"`filters` must be a sequence of sizes, such as \(16, 32, 64\), got tuple of 0"),
        ({"filters": "64"}, "`filters` must be a sequence of sizes"),
        ({"filters": (64, -4)}, r"`filters` must be positive integers, got \(64, -4\)"),
        ({"filters": (1,) * 21}, "`filters` may have at most 20 blocks, got 21"),
        ({"kernel_size": 4}, "`kernel_size` must be odd, so that a filter has a middle, got 4"),
        ({"kernel_size": 5.0}, r"`kernel_size` must be a positive integer, got 5\.0"),
        ({"pool_size": 0}, "`pool_size` must be a positive integer, got 0"),
        ({"normalization": "layer"}, "`normalization` must be one of None, batch, got 'layer'"),
        ({"activation": "rleu"}, "`activation` must be one of relu, gelu, .*, got 'rleu'"),
        ({"pooling": "sum"}, "`pooling` must be one of last, mean, max, got 'sum'"),
        ({"dropout": -0.1}, r"`dropout` must be from 0 to below 1, got -0\.1"),
    ],
)
def test_an_argument_out_of_range_is_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        AudioCNN(5, 3, **arguments)
