"""Which units of each network of this library can go, and that nothing else changes when they do."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from maas import nn as networks
from maas.compress._units import cut, groups_of, kept_of

TOKENS = {"tokens": torch.tensor([[5, 9, 3, 7], [8, 2, 0, 0], [4, 4, 1, 0]]), "tokens_lengths": torch.tensor([4, 2, 3])}
STEPS = {"sequence": torch.randn(3, 11, 6), "sequence_lengths": torch.tensor([11, 7, 2])}
IMAGE = {"image": torch.randn(2, 1, 28, 28)}
ROWS = {"x": torch.randn(4, 5)}
CLICKS = {
    "user": torch.tensor([1, 0]),
    "history": torch.tensor([[1, 2], [3, 0]]),
    "history_lengths": torch.tensor([2, 1]),
}
PHOTO = {"image": torch.randn(1, 3, 32, 32)}
_MLP = {"kind": "mlp", "arguments": {"in_features": 5, "out_features": 8, "hidden": [16]}}
_CNN = {"kind": "cnn", "arguments": {"channels": 1, "height": 28, "width": 28, "out_features": 8, "filters": [6]}}
CASES = {
    "mlp": (lambda: networks.MLP(5, 3, hidden=(16, 12), normalization="batch"), ROWS, [16, 12]),
    "cnn": (
        lambda: networks.CNN(1, 28, 28, 10, filters=(8, 6), hidden=(12,), normalization="batch"),
        IMAGE,
        [8, 6, 12],
    ),
    "resnet": (lambda: networks.ResNet(1, 10, width=4), IMAGE, [4, 8, 8, 16, 16]),
    "cnn1d": (lambda: networks.CNN1d(6, 3, filters=(8, 6)), STEPS, [8, 6]),
    "audio cnn": (lambda: networks.AudioCNN(6, 3, filters=(4, 6)), STEPS, [4, 6]),
    "lstm": (
        lambda: networks.RNN(6, 3, hidden_size=5, num_layers=2, bidirectional=True, pooling="max"),
        STEPS,
        [5, 5, 5, 5],
    ),
    "gru": (lambda: networks.RNN(6, 3, cell="gru", hidden_size=8), STEPS, [8]),
    "text cnn": (lambda: networks.TextCNN(20, 3, embedding_dim=7, channels=6, widths=(2, 3)), TOKENS, [7, 6, 6]),
    "text rnn": (
        lambda: networks.TextRNN(20, 3, embedding_dim=7, hidden_size=6, bidirectional=True),
        TOKENS,
        [7, 6, 6],
    ),
    "text bag": (lambda: networks.TextBag(20, 3, embedding_dim=6), TOKENS, [6]),
    # Attention and what is added to it stay: heads share a width, and positions are made for it.
    "text transformer": (lambda: networks.TextTransformer(20, 3, width=8, num_heads=2), TOKENS, [32, 32]),
    "autoencoder": (lambda: networks.AutoEncoder(5, hidden=(8,)), ROWS, [8, 3, 8]),
    # The last filters stay: what the code is widened to has a fixed shape.
    "image autoencoder": (lambda: networks.ImageAutoEncoder(1, 28, 28, filters=(4, 6), code=5), IMAGE, [4, 6, 5, 4]),
    "sequence autoencoder": (lambda: networks.SequenceAutoEncoder(6, hidden_size=8, code=4), STEPS, [8, 4, 8]),
    "fusion": (
        lambda: networks.Fusion({"photo": _CNN, "table": _MLP}, 3, width=8, hidden=(10,)),
        {"photo__image": torch.randn(4, 1, 28, 28), "table__x": ROWS["x"]},
        [6, 16, 10],
    ),
    # Depthwise convolutions, and gates that squeeze and excite.
    "mobilenet": (
        lambda: networks.Backbone("mobilenet_v3_small", 5, height=32, width=32),
        PHOTO,
        [
            16,
            8,
            16,
            72,
            24,
            88,
            96,
            24,
            40,
            240,
            64,
            240,
            64,
            120,
            32,
            48,
            144,
            40,
            288,
            72,
            96,
            576,
            144,
            576,
            144,
            576,
            1024,
        ],
    ),
    "factorization": (lambda: networks.MatrixFactorization(10, 12), CLICKS, []),
    "ratings": (lambda: networks.RatingFactorization(9, 9), {"user": torch.tensor([1]), "item": torch.tensor([2])}, []),
    "ease": (lambda: networks.EASE(10, 12), CLICKS, []),
}


@pytest.mark.parametrize("name", CASES)
def test_without_units_that_nobody_reads_a_network_answers_the_same(name):
    torch.manual_seed(0)
    make, inputs, sizes = CASES[name]
    network = _shaken(make()).eval()
    groups = groups_of(network, inputs)
    assert [len(group) for group in groups] == sizes
    gone = [(group, torch.arange(0, len(group) - 1, 2)) for group in groups]
    modules = dict(network.named_modules())
    with torch.no_grad():
        for group, places in gone:
            for place in places.tolist():
                _silence(modules, group.units[place])
        before = copy.deepcopy(network.state_dict())
        wanted = network(**inputs)
        found = cut(copy.deepcopy(network), kept_of(network, gone))
        torch.testing.assert_close(found(**inputs), wanted, rtol=1e-5, atol=1e-5 * float(wanted.abs().max()))
    assert all(torch.equal(before[key], tensor) for key, tensor in network.state_dict().items())
    fewer = sum(one.numel() for one in found.parameters()) < sum(one.numel() for one in network.parameters())
    assert fewer == bool(sizes)


def test_a_layer_normalisation_goes_with_its_units():
    """It is one of fewer features then, which is why the others are not left quite as they were."""
    groups = groups_of(networks.MLP(5, 3, hidden=(16,), normalization="layer"), ROWS)
    assert [group.places for group in groups] == [[("hidden.0", "given"), ("hidden.1", "given"), ("output", "taken")]]


class _Odd(nn.Module):
    """Two ways that meet in a product, a sum with the inputs, a softmax over features, a parameter of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.gate = nn.Linear(5, 6), nn.Linear(5, 6)
        self.same, self.mixed, self.own = nn.Linear(6, 5), nn.Linear(5, 4), nn.Linear(4, 6)
        self.added = nn.Parameter(torch.ones(6))
        self.output = nn.Linear(6, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        added = self.same(self.first(x) * torch.sigmoid(self.gate(x))) + x
        outputs: torch.Tensor = self.output(self.own(self.mixed(added).softmax(dim=1)) + self.added)
        return outputs


def test_units_that_meet_are_one_and_what_is_bound_stays():
    (group,) = groups_of(_Odd().eval(), ROWS)
    assert group.places == [("first", "given"), ("gate", "given"), ("same", "taken")]
    assert len(group) == 6


def _silence(modules: dict[str, nn.Module], unit: object) -> None:
    """Let no layer read a unit: an independent reading of what its places mean."""
    for (name, side), numbers in unit.items():  # type: ignore[attr-defined]
        module = modules[name]
        if isinstance(module, nn.RNNBase):
            (module.weight_ih_l0 if side == "taken" else module.weight_hh_l0)[:, numbers] = 0.0
        elif side == "taken":
            module.weight[:, numbers] = 0.0


def _shaken(network: nn.Module) -> nn.Module:
    """Numbers of a size that shows, also where a network starts with zeros."""
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if tensor.is_floating_point():
                tensor.uniform_(0.5, 1.5) if "running_var" in name else tensor.add_(0.1 * torch.randn_like(tensor))
    return network
