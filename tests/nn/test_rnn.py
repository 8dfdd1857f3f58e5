"""maas.nn.RNN against torch's own recurrent layers run on each row by itself, without padding."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch

import maas
from maas.data import read_sequences
from maas.errors import RecipeError
from maas.nn import RNN
from maas.nn._rnn import CELLS
from maas.nn._steps import POOLINGS
from maas.schema import TensorSpec

LENGTHS = torch.tensor([3, 1, 9, 5])


def padded(fill: float = 0.0, channels: int = 4) -> torch.Tensor:
    """Rows of LENGTHS in a block of 12 steps, `fill` after their end."""
    values = torch.randn(len(LENGTHS), 12, channels, generator=torch.Generator().manual_seed(0))
    return values.masked_fill((torch.arange(12) >= LENGTHS[:, None])[:, :, None], fill)


@pytest.mark.parametrize(
    ("cell", "bidirectional", "pooling", "num_layers"),
    list(itertools.product(CELLS, [False, True], POOLINGS, [1, 2])),
)
def test_padding_never_changes_an_answer(cell: str, bidirectional: bool, pooling: str, num_layers: int) -> None:
    network = RNN(
        4, 3, cell=cell, hidden_size=8, num_layers=num_layers, bidirectional=bidirectional, pooling=pooling, seed=0
    ).eval()
    together = network(padded(), LENGTHS)
    assert torch.allclose(network(padded(fill=1e3), LENGTHS), together, rtol=0, atol=1e-6)
    for row, length in enumerate(LENGTHS.tolist()):
        alone = network(padded()[row : row + 1, :length], LENGTHS[row : row + 1])
        assert torch.allclose(alone, together[row : row + 1], rtol=0, atol=1e-6)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_the_last_valid_step_is_that_of_torchs_layers_on_the_row_alone(cell: str, bidirectional: bool) -> None:
    """Reference: nn.LSTM, nn.GRU, nn.RNN with two layers, its final hidden states of both directions."""
    network = RNN(4, 3, cell=cell, hidden_size=8, num_layers=2, bidirectional=bidirectional, seed=0).double()
    reference = CELLS[cell](4, 8, num_layers=2, bidirectional=bidirectional, batch_first=True).double()
    weights = {}
    for direction, suffix in (("forwards", ""), ("backwards", "_reverse"))[: 1 + bidirectional]:
        for layer, name in itertools.product((0, 1), ("weight_ih", "weight_hh", "bias_ih", "bias_hh")):
            weights[f"{name}_l{layer}{suffix}"] = network.state_dict()[f"{direction}.{layer}.{name}_l0"]
    reference.load_state_dict(weights)
    found = network(padded().double(), LENGTHS)
    for row, length in enumerate(LENGTHS.tolist()):
        states = reference(padded()[row : row + 1, :length].double())[1]
        hidden = states[0] if cell == "lstm" else states  # (layers x directions, 1, 8)
        last = torch.cat(list(hidden[-(1 + bidirectional) :]), dim=1)
        assert torch.allclose(found[row : row + 1], network.output(last), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_pooling_is_over_the_valid_steps(pooling: str) -> None:
    network = RNN(4, 3, hidden_size=8, pooling=pooling, seed=0).double()
    found = network(padded().double(), LENGTHS)
    for row, length in enumerate(LENGTHS.tolist()):
        steps = network.forwards[0](padded()[row : row + 1, :length].double())[0]
        vector = steps.mean(dim=1) if pooling == "mean" else steps.amax(dim=1)
        assert torch.allclose(found[row : row + 1], network.output(vector), rtol=1e-12, atol=1e-12)


def test_gradients_do_not_come_from_padding() -> None:
    network = RNN(4, 3, hidden_size=8, bidirectional=True, pooling="max", seed=0)
    sequence = padded().requires_grad_()
    network(sequence, LENGTHS).sum().backward()
    assert sequence.grad is not None
    beyond = (torch.arange(12) >= LENGTHS[:, None])[:, :, None].expand_as(sequence)
    assert not sequence.grad[beyond].any()
    assert sequence.grad.isfinite().all()


@pytest.mark.parametrize("cell", CELLS)
def test_initialisation(cell: str) -> None:
    """Recurrent weights orthogonal gate by gate, input weights within Glorot's bound, forget gate's bias 1."""
    network = RNN(10, 3, cell=cell, hidden_size=16, seed=0)
    state = network.state_dict()
    for gate in state["forwards.0.weight_hh_l0"].split(16):
        assert torch.allclose(gate @ gate.T, torch.eye(16), atol=1e-5)
    bound = (6 / (10 + 16)) ** 0.5
    assert 0.95 * bound < state["forwards.0.weight_ih_l0"].abs().max().item() <= bound
    biases = state["forwards.0.bias_ih_l0"]
    wanted = torch.zeros_like(biases)
    if cell == "lstm":
        wanted[16:32] = 1.0
    assert torch.equal(biases, wanted)


def test_a_seed_gives_equal_weights_and_leaves_torchs_generator_alone() -> None:
    before = torch.random.get_rng_state()
    one, again, other = (RNN(4, 3, num_layers=2, bidirectional=True, seed=seed).state_dict() for seed in (5, 5, 6))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not torch.equal(one["forwards.0.weight_hh_l0"], other["forwards.0.weight_hh_l0"])


def test_dropout_works_in_training_only() -> None:
    network = RNN(4, 3, num_layers=2, dropout=0.5, seed=0)
    torch.manual_seed(0)
    assert not torch.equal(network.train()(padded(), LENGTHS), network(padded(), LENGTHS))
    assert torch.equal(network.eval()(padded(), LENGTHS), network(padded(), LENGTHS))


def test_sizes_come_from_the_data() -> None:
    inputs = {"sequence": TensorSpec((None, 12), "float32"), "sequence_lengths": TensorSpec((), "int64")}
    assert RNN.sizes(inputs, 9) == {"channels": 12, "out_features": 9}
    with pytest.raises(RecipeError, match=r"an RNN takes a `sequence` of shape .*, the data gives x \(3,\)"):
        RNN.sizes({"x": TensorSpec((3,), "float32")}, 9)


def test_it_builds_on_the_meta_device() -> None:
    with torch.device("meta"):
        network = RNN(4, 3, hidden_size=10**6, bidirectional=True)
    assert all(parameter.is_meta for parameter in network.parameters())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cell": "lmst"}, "`cell` must be one of lstm, gru, rnn, got 'lmst'"),
        ({"pooling": ["last"]}, "`pooling` must be one of last, mean, max, got list of 1"),
        ({"hidden_size": 0}, "`hidden_size` must be a positive integer, got 0"),
        ({"num_layers": True}, "`num_layers` must be a positive integer, got True"),
        ({"num_layers": 10**9}, "`num_layers` may be at most 100, got 1000000000"),
        ({"bidirectional": 1}, "`bidirectional` must be true or false, got 1"),
        ({"dropout": 1.0}, r"`dropout` must be from 0 to below 1, got 1\.0"),
    ],
)
def test_an_argument_out_of_range_is_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        RNN(4, 3, **arguments)


def test_it_learns_to_tell_frequencies_in_rows_of_different_lengths() -> None:
    generator = np.random.default_rng(0)
    lengths, fast = generator.integers(10, 25, 240), generator.integers(0, 2, 240)
    series = [
        np.sin(np.arange(length) * (1.1 if one else 0.5) + generator.uniform(0, 6)) + generator.normal(0, 0.3, length)
        for length, one in zip(lengths, fast, strict=True)
    ]
    train, test = read_sequences(series, target=np.where(fast, "fast", "slow").tolist()).split(0.3)
    recipe = maas.recipe(RNN, hidden_size=16)
    model = maas.fit(recipe, train, epochs=20, learning_rate=0.01, device="cpu", progress=False)
    accuracy = model.evaluate(test).scores["accuracy"]
    assert accuracy is not None
    assert accuracy > 0.9
