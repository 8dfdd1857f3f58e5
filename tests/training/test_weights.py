"""maas.training._weights: parameters laid end to end, trained as torch trains them where they are."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import maas
from maas.nn import threads
from maas.task import Batch, Classification, Regression, Task
from maas.training import Optimizer, Settings
from maas.training._feed import Resident
from maas.training._freeze import Pace
from maas.training._generators import seed_generators
from maas.training._loop import num_threads, train
from maas.training._plan import Plan
from maas.training._weights import Weights

CPU = torch.device("cpu")
THREE = Classification((0, 1, 2))
ROWS = 24


def _convolutions() -> nn.Sequential:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.Flatten(), nn.Linear(5 * 4 * 4, 2))
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


class Tied(nn.Module):
    """One matrix, there and back, and a number that does not learn."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.there, self.back = nn.Linear(3, 4, bias=False), nn.Linear(4, 3, bias=False)
        self.back.weight = nn.Parameter(torch.randn(3, 4))
        self.again = nn.Linear(4, 3, bias=False)
        self.again.weight = self.back.weight
        self.scale = nn.Parameter(torch.tensor(3.0), requires_grad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        outputs: torch.Tensor = self.again(self.there(self.back(self.there(x)))) * self.scale
        return outputs


class Strided(nn.Module):
    """A parameter with gaps in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.arange(24.0).double().view(3, 8).div(24)[:, ::4])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.weight


def test_views_are_the_parameters_that_were() -> None:
    network = _convolutions()
    before = copy.deepcopy(network)
    kept = list(network.parameters())
    weights = Weights(network, Pace())
    (piece,) = weights.pieces
    flat = piece.parameter.detach()
    assert [name for name, _ in piece.views(flat)] == [name for name, _ in network.named_parameters()]
    for (_, view), parameter, same, old in zip(
        piece.views(flat), network.parameters(), kept, before.parameters(), strict=True
    ):
        assert parameter is same
        assert torch.equal(view, old)
        assert torch.equal(parameter, old)
        assert (view.data_ptr(), view.stride()) == (parameter.data_ptr(), parameter.stride())
        assert view.data_ptr() % 64 == flat.data_ptr() % 64
    flat.fill_(2.0)
    assert all(bool((parameter == 2).all()) for parameter in kept)


def test_weights_that_lie_channels_last_stay_so() -> None:
    network = _convolutions()
    assert network[0].weight.is_contiguous(memory_format=torch.channels_last)
    strides = [parameter.stride() for parameter in network.parameters()]
    weights = Weights(network, Pace())
    assert [parameter.stride() for parameter in network.parameters()] == strides
    weights.release()
    assert [parameter.stride() for parameter in network.parameters()] == strides
    assert network[0].weight.is_contiguous(memory_format=torch.channels_last)


def test_gradients_land_in_the_flat_one() -> None:
    """Reference: torch's gradients of a network whose parameters lie where they were; twice, for they add up."""
    network = _convolutions()
    twin, x = copy.deepcopy(network), torch.randn(6, 3, 6, 6)
    weights = Weights(network, Pace())
    weights.begin(1)
    (piece,) = weights.pieces
    for _ in range(2):
        network(x).square().sum().backward()
        twin(x).square().sum().backward()
    assert piece.gradient is not None
    assert piece.parameter.grad is piece.gradient
    for (_, gradient), other in zip(piece.views(piece.gradient), twin.parameters(), strict=True):
        torch.testing.assert_close(gradient, other.grad, rtol=1e-5, atol=1e-6)
    weights.zero_grad()
    assert not any(parameter.grad.any() for parameter in network.parameters() if parameter.grad is not None)


def test_release_gives_each_parameter_a_place_of_its_own_and_the_same_bits() -> None:
    network = _convolutions()
    weights = Weights(network, Pace())
    weights.pieces[0].parameter.detach().add_(0.1)
    before = [parameter.detach().clone() for parameter in network.parameters()]
    weights.release()
    for parameter, old in zip(network.parameters(), before, strict=True):
        assert torch.equal(parameter, old)
        assert parameter.untyped_storage().nbytes() == parameter.numel() * parameter.element_size()
        assert parameter.grad is None
    weights.pieces[0].parameter.detach().zero_()
    assert torch.equal(network[0].weight, before[0])


def test_tied_parameters_stay_tied() -> None:
    network = Tied()
    weights = Weights(network, Pace())
    assert network.again.weight is network.back.weight
    assert [name for piece in weights.pieces for name in piece.names].count("again.weight") == 0
    weights.release()
    assert network.again.weight is network.back.weight


def test_parts_that_are_frozen_or_have_factors_are_pieces_of_their_own() -> None:
    network = maas.nn.MLP(4, 2, hidden=(6, 5))
    pace = Pace({"hidden.0": 2, "hidden.2.bias": None}, {"output": 0.5, "output.bias": 4.0})
    weights = Weights(network, pace)
    found = {tuple(piece.names): (piece.factor, piece.frozen) for piece in weights.pieces}
    assert found == {
        ("hidden.0.weight", "hidden.0.bias"): (1.0, 2),
        ("hidden.2.weight",): (1.0, 0),
        ("hidden.2.bias",): (1.0, None),
        ("output.weight",): (0.5, 0),
        ("output.bias",): (4.0, 0),
    }
    groups = {group["factor"]: group["params"] for group in weights.groups()}
    assert list(groups) == [1.0, 0.5, 4.0]
    for piece in weights.pieces:  # what never learns is no optimizer's
        assert any(piece.parameter is one for one in groups[piece.factor]) == (piece.frozen is not None)
    assert sum(map(len, groups.values())) == len(weights.pieces) - 1
    for epoch, learning in ((1, 3), (2, 3), (3, 4)):
        weights.begin(epoch)
        assert len(weights.parameters) == len(weights.gradients) == learning
        assert all((piece.parameter.grad is not None) == (piece in weights.learning) for piece in weights.pieces)


def test_a_large_parameter_stays_where_it_is() -> None:
    """2**15 numbers; one with gaps is laid out all the same."""
    network = nn.Sequential(nn.Linear(256, 128), nn.Linear(128, 2))
    place = network[0].weight.data_ptr()
    weights = Weights(network, Pace())
    assert {tuple(piece.names) for piece in weights.pieces} == {
        ("0.weight",),
        ("0.bias", "1.weight", "1.bias"),
    }
    assert network[0].weight.data_ptr() == place
    assert [piece.gradient is None for piece in weights.pieces] == [True, False]
    weights.begin(1)
    network(torch.ones(2, 256)).sum().backward()
    assert len(weights.gradients) == 2
    weights.zero_grad()
    assert len(weights.gradients) == 1
    weights.release()
    assert network[0].weight.data_ptr() == place
    gaps = nn.Module()
    gaps.weight = nn.Parameter(torch.randn(256, 256)[:, ::2])
    assert Weights(gaps, Pace()).pieces[0].places.keys() == {"weight"}


def test_a_parameter_with_gaps_in_memory_is_laid_out_without_them() -> None:
    network = Strided()
    before = network.weight.detach().clone()
    assert not network.weight.is_contiguous()
    weights = Weights(network, Pace())
    assert torch.equal(network.weight, before)
    assert network.weight.is_contiguous()
    weights.release()
    assert torch.equal(network.weight, before)


def test_types_of_numbers_do_not_mix() -> None:
    network = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2).double())
    assert [piece.parameter.dtype for piece in Weights(network, Pace()).pieces] == [torch.float32, torch.float64]


KINDS: dict[str, tuple[Callable[[], nn.Module], str, Task]] = {
    "mlp": (lambda: maas.nn.MLP(6, 3, hidden=(7, 5), normalization="batch", dropout=0.3), "x", THREE),
    "autoencoder": (lambda: maas.nn.AutoEncoder(6, hidden=(5,), noise=0.1), "x", Regression()),
    "cnn": (
        lambda: maas.nn.CNN(3, 9, 8, 3, filters=(4, 5), hidden=(6,), normalization="batch", padding="same"),
        "image",
        THREE,
    ),
    "resnet": (lambda: maas.nn.ResNet(3, 3, width=4), "image", THREE),
    "backbone": (lambda: maas.nn.Backbone("resnet18", 3, height=9, width=8), "image", THREE),
    "image_autoencoder": (lambda: maas.nn.ImageAutoEncoder(3, 9, 8, filters=(3, 4), code=5), "image", Regression()),
    "rnn": (
        lambda: maas.nn.RNN(4, 3, hidden_size=5, num_layers=2, bidirectional=True, dropout=0.2),
        "sequence",
        THREE,
    ),
    "cnn1d": (lambda: maas.nn.CNN1d(4, 3, filters=(5, 6), kernel_size=3), "sequence", THREE),
    "audio_cnn": (lambda: maas.nn.AudioCNN(4, 3, filters=(3, 4)), "sequence", THREE),
    "sequence_autoencoder": (lambda: maas.nn.SequenceAutoEncoder(4, hidden_size=5, code=3), "sequence", Regression()),
    "text_bag": (lambda: maas.nn.TextBag(30, 3, dropout=0.2), "tokens", THREE),
    "text_cnn": (lambda: maas.nn.TextCNN(30, 3, embedding_dim=6, channels=4), "tokens", THREE),
    "text_rnn": (lambda: maas.nn.TextRNN(30, 3, embedding_dim=6, hidden_size=5, cell="gru"), "tokens", THREE),
    "text_transformer": (lambda: maas.nn.TextTransformer(30, 3, width=8, num_heads=2), "tokens", THREE),
    "matrix_factorization": (lambda: maas.nn.MatrixFactorization(9, 3, embedding_dim=4), "user", THREE),
    "rating_factorization": (lambda: maas.nn.RatingFactorization(9, 7, embedding_dim=4), "pair", Regression()),
    "fusion": (
        lambda: maas.nn.Fusion(
            {
                "a": maas.recipe(maas.nn.MLP, in_features=6, out_features=4, hidden=(5,)),
                "b": maas.recipe(maas.nn.TextBag, vocabulary=30, out_features=4),
            },
            3,
            width=4,
            hidden=(5,),
        ),
        "mixed",
        THREE,
    ),
    "tied": (Tied, "three", THREE),
    "strided": (Strided, "three", Regression()),
}


def _inputs(form: str) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    lengths = torch.randint(5, 9, (ROWS,))
    lengths[::8] = 8
    tokens = torch.randint(1, 30, (ROWS, 8)) * (torch.arange(8) < lengths[:, None])
    items = torch.randint(0, 3, (ROWS, 2)).sort(dim=1)[0]
    return {
        "x": {"x": torch.randn(ROWS, 6).double()},
        "three": {"x": torch.randn(ROWS, 3).double()},
        "image": {"image": torch.rand(ROWS, 3, 9, 8).double()},
        "sequence": {"sequence": torch.randn(ROWS, 8, 4).double(), "sequence_lengths": lengths},
        "tokens": {"tokens": tokens, "tokens_lengths": lengths},
        "user": {
            "user": torch.randint(0, 9, (ROWS,)),
            "history": items,
            "history_lengths": torch.full((ROWS,), 2),
        },
        "pair": {"user": torch.randint(0, 9, (ROWS,)), "item": torch.randint(0, 7, (ROWS,))},
        "mixed": {"a__x": torch.randn(ROWS, 6).double(), "b__tokens": tokens, "b__tokens_lengths": lengths},
    }[form]


OPTIMIZERS = {
    "adamw": (Optimizer("adamw"), torch.optim.AdamW, {"betas": (0.9, 0.999), "eps": 1e-8}),
    "adam": (Optimizer("adam", betas=(0.8, 0.99), eps=1e-6), torch.optim.Adam, {"betas": (0.8, 0.99), "eps": 1e-6}),
    "sgd": (Optimizer("sgd", momentum=0.8), torch.optim.SGD, {"momentum": 0.8}),
    "nesterov": (
        Optimizer("sgd", momentum=0.9, nesterov=True),
        torch.optim.SGD,
        {"momentum": 0.9, "nesterov": True},
    ),
    "plain": (Optimizer("sgd", momentum=0.0), torch.optim.SGD, {}),
}


@pytest.mark.parametrize(
    ("kind", "optimizer"),
    [(kind, optimizer) for kind in KINDS for optimizer in OPTIMIZERS if kind != "backbone" or optimizer == "adamw"],
)
def test_each_network_learns_as_in_a_loop_written_by_hand(kind: str, optimizer: str) -> None:
    """Reference: a plain loop over the same batches, torch's own optimizer on the network's own parameters.

    In float64, so that what is compared is not rounding: bits differ, since fused kernels over one long tensor round
    otherwise than torch's steps tensor by tensor, and a gradient that should be 0 is rounding alone.
    """
    make, form, task = KINDS[kind]
    torch.manual_seed(2)
    network = make().double()
    twin = copy.deepcopy(network)
    begun = {name: tensor.clone() for name, tensor in network.named_parameters()}
    fixed = sum(not parameter.requires_grad for parameter in network.parameters())
    target = torch.arange(ROWS) % 3 if task is THREE else torch.linspace(-1, 1, ROWS).double()
    rows = Batch(_inputs(form), target)
    plan = Plan(ROWS, 8, 1, 0)
    chosen, theirs, options = OPTIMIZERS[optimizer]
    settings = Settings(1, 8, optimizer=chosen, learning_rate=0.02, weight_decay=0.1, keep="last")

    with torch.random.fork_rng(devices=[]):
        train(network, task, Resident(rows, CPU, channels_last=form == "image"), None, plan, settings)
        seed_generators(0, 1, 0, CPU)  # dropout draws the same
        steps: Any = theirs(twin.parameters(), lr=0.02, weight_decay=0.1, foreach=False, fused=False, **options)
        twin.train()
        with threads(num_threads(twin, task, 8)):  # Adam makes steps of what another number of them rounds otherwise
            for (index,) in plan.windows(1):
                steps.zero_grad()
                task.loss(twin, rows[index].trimmed()).mean().backward()
                steps.step()

    for (name, tensor), other in zip(network.state_dict().items(), twin.state_dict().values(), strict=True):
        torch.testing.assert_close(tensor, other, rtol=1e-6, atol=1e-9, msg=lambda text, name=name: f"{name}: {text}")
    moved = [not torch.equal(tensor, begun[name]) for name, tensor in network.named_parameters()]
    assert sum(moved) >= len(moved) - fixed
