"""maas.nn.AutoEncoder, ImageAutoEncoder and SequenceAutoEncoder: errors by hand, padding, arguments, sizes."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import maas
from maas.errors import RecipeError
from maas.nn import AutoEncoder, ImageAutoEncoder, SequenceAutoEncoder
from maas.schema import TensorSpec

VECTOR = {"x": TensorSpec((13,), "float32")}
IMAGE = {"image": TensorSpec((3, 30, 25), "float32")}
SEQUENCE = {"sequence": TensorSpec((None, 2), "float32"), "sequence_lengths": TensorSpec((), "int64")}


def _noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def test_the_answer_is_the_mean_squared_error_of_the_reconstruction() -> None:
    """Reference: torch's mse_loss row by row."""
    for network, x in ((AutoEncoder(5, seed=0), _noise(4, 5)), (ImageAutoEncoder(2, 9, 7, seed=0), _noise(4, 2, 9, 7))):
        rebuilt = network.eval().reconstruct(x)
        assert rebuilt.shape == x.shape
        wanted = torch.stack([torch.nn.functional.mse_loss(*pair) for pair in zip(rebuilt, x, strict=True)])
        assert torch.allclose(network(x), wanted[:, None], rtol=1e-6)


def test_the_error_of_a_sequence_is_that_of_its_valid_steps() -> None:
    network, x, lengths = SequenceAutoEncoder(2, seed=0).eval(), _noise(3, 6, 2), torch.tensor([6, 1, 4])
    rebuilt = network.reconstruct(x, lengths)
    for row, length in enumerate(lengths.tolist()):
        wanted = torch.nn.functional.mse_loss(rebuilt[row, :length], x[row, :length])
        assert network(x, lengths)[row, 0].item() == pytest.approx(wanted.item(), rel=1e-5)


@pytest.mark.parametrize("cell", ["gru", "lstm", "rnn"])
def test_padding_changes_no_answer(cell: str) -> None:
    network = SequenceAutoEncoder(2, hidden_size=8, code=3, cell=cell, seed=0).eval()
    x, lengths = _noise(3, 6, 2), torch.tensor([6, 1, 4])
    wanted = network(x, lengths)
    for filler in (0.0, 1e6, float("nan")):
        padded = torch.full((3, 11, 2), filler)
        padded[:, :6] = x
        padded[torch.arange(11) >= lengths[:, None]] = filler
        assert torch.allclose(network(padded, lengths), wanted, rtol=1e-5), filler
    for row, length in enumerate(lengths.tolist()):
        alone = network(x[row : row + 1, :length], lengths[row : row + 1])
        assert torch.allclose(alone, wanted[row : row + 1], rtol=1e-5)


def test_a_sequence_is_rebuilt_last_step_first_from_the_code_alone() -> None:
    """The decoder's first output is the last step: changing the code's reader changes all, earlier steps nothing."""
    network = SequenceAutoEncoder(1, hidden_size=4, code=2, seed=0).eval()
    x, lengths = _noise(2, 5, 1), torch.tensor([5, 3])
    states = network.encoder(x)[0]
    code = network.narrow(torch.stack([states[0, 4], states[1, 2]]))
    decoded = network.output(network.decoder(code[:, None].expand(-1, 5, -1))[0])
    rebuilt = network.reconstruct(x, lengths)
    assert torch.allclose(rebuilt[0], decoded[0].flip(0), atol=1e-6)
    assert torch.allclose(rebuilt[1, :3], decoded[1, :3].flip(0), atol=1e-6)


def test_an_image_of_any_sides_comes_back_in_its_size() -> None:
    for height, width in ((8, 8), (9, 31), (28, 28), (13, 8)):
        assert ImageAutoEncoder(1, height, width, filters=(4, 4, 4)).reconstruct(_noise(2, 1, height, width)).shape == (
            *(2, 1, height, width),
        )


def test_noise_disturbs_training_only() -> None:
    x = _noise(4, 5)
    network = AutoEncoder(5, noise=0.5, seed=0)
    assert not torch.equal(network(x), network(x))
    network.eval()
    assert torch.equal(network(x), network(x))
    assert torch.equal(network(x), AutoEncoder(5, seed=0).eval()(x))


def test_a_seed_gives_the_same_weights_and_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    for build in (
        lambda seed: AutoEncoder(6, seed=seed),
        lambda seed: ImageAutoEncoder(1, 8, 8, seed=seed),
        lambda seed: SequenceAutoEncoder(2, seed=seed),
    ):
        one, same, other = (build(seed).state_dict() for seed in (1, 1, 2))
        assert all(torch.equal(one[name], same[name]) for name in one)
        assert any(not torch.equal(one[name], other[name]) for name in one)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_code_is_half_of_the_features_by_default() -> None:
    assert AutoEncoder(13).encoder.output.out_features == 7
    assert AutoEncoder(1).encoder.output.out_features == 1


@pytest.mark.parametrize(
    ("kind", "inputs", "sizes"),
    [
        ("autoencoder", VECTOR, {"in_features": 13}),
        ("image_autoencoder", IMAGE, {"channels": 3, "height": 30, "width": 25}),
        ("sequence_autoencoder", SEQUENCE, {"channels": 2}),
    ],
)
def test_sizes_come_from_the_data(kind: str, inputs: dict[str, TensorSpec], sizes: dict[str, int]) -> None:
    resolved = maas.recipe(kind).resolve(inputs, 1)
    assert {name: resolved.arguments[name] for name in sizes} == sizes
    resolved.build()
    with pytest.raises(
        RecipeError, match=r"gives one number a row, its error, and this task wants 3; it is for task='a"
    ):
        maas.recipe(kind).resolve(inputs, 3)


@pytest.mark.parametrize(
    ("kind", "inputs", "message"),
    [
        ("autoencoder", IMAGE, r"takes one vector `x` of fixed size a row"),
        ("image_autoencoder", VECTOR, r"an ImageAutoEncoder takes one `image` of fixed size"),
        ("sequence_autoencoder", VECTOR, r"a SequenceAutoEncoder takes a `sequence` of shape"),
    ],
)
def test_data_of_another_kind_is_refused(kind: str, inputs: dict[str, TensorSpec], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        maas.recipe(kind).resolve(inputs, 1)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: AutoEncoder(0), "`in_features` must be a positive integer, got 0"),
        (lambda: AutoEncoder(3, code=0), "`code` must be a positive integer, got 0"),
        (lambda: AutoEncoder(3, hidden=(0,)), "`hidden` must be positive integers"),
        (lambda: AutoEncoder(3, noise=-1.0), "`noise` must be a deviation, 0 or more, got -1.0"),
        (lambda: AutoEncoder(3, activation="swoosh"), "`activation` must be one of relu"),
        (lambda: ImageAutoEncoder(1, 8, 0), "`width` must be a positive integer, got 0"),
        (lambda: ImageAutoEncoder(1, 3, 8), "an image of 3 x 8 pixels is too small to be halved 2 times: give fewer"),
        (lambda: ImageAutoEncoder(1, 8, 8, filters=()), r"`filters` must be a sequence of sizes, such as \(16, 32\)"),
        (lambda: ImageAutoEncoder(1, 8, 8, filters=(-1,)), r"`filters` must be at most 100 positive integers"),
        (lambda: ImageAutoEncoder(1, 8, 8, activation=3), "`activation` must be one of relu.*, got 3"),  # type: ignore[arg-type]
        (lambda: SequenceAutoEncoder(2, code=1.5), "`code` must be a positive integer, got 1.5"),  # type: ignore[arg-type]
        (lambda: SequenceAutoEncoder(2, cell="cnn"), "`cell` must be one of lstm, gru, rnn, got 'cnn'"),
        (lambda: SequenceAutoEncoder(2, noise=True), "`noise` must be a deviation, 0 or more, got True"),
    ],
)
def test_wrong_arguments_are_refused(build: Any, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        build()
