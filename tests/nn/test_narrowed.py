"""Narrower layers against torch's own of that size, and as a transform that an artifact carries."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

import maas
from maas.errors import FormatError, RecipeError
from maas.nn.transforms import Narrowed, from_json, narrow, sizes_of

KEPT = torch.tensor([0, 2, 5])
LAYERS = {
    "linear": (lambda: nn.Linear(6, 8), lambda: nn.Linear(3, 3)),
    "no bias": (lambda: nn.Linear(6, 8, bias=False), lambda: nn.Linear(3, 3, bias=False)),
    "conv1d": (lambda: nn.Conv1d(6, 8, 3), lambda: nn.Conv1d(3, 3, 3)),
    "conv2d": (lambda: nn.Conv2d(6, 8, 3), lambda: nn.Conv2d(3, 3, 3)),
    "depthwise": (lambda: nn.Conv2d(6, 6, 3, groups=6), lambda: nn.Conv2d(3, 3, 3, groups=3)),
    "batch": (lambda: nn.BatchNorm2d(6), lambda: nn.BatchNorm2d(3)),
    "no weights": (lambda: nn.BatchNorm1d(6, affine=False), lambda: nn.BatchNorm1d(3, affine=False)),
    "layer": (lambda: nn.LayerNorm(6), lambda: nn.LayerNorm(3)),
    "lstm": (lambda: nn.LSTM(6, 8), lambda: nn.LSTM(3, 3)),
    "gru": (lambda: nn.GRU(6, 8), lambda: nn.GRU(3, 3)),
    "rnn": (lambda: nn.RNN(6, 8, bias=False), lambda: nn.RNN(3, 3, bias=False)),
}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_a_narrowed_layer_is_one_of_that_size(name, device):
    with torch.device(device):
        layer, wanted = (make() for make in LAYERS[name])
    kept = KEPT if device == "cpu" else 3  # the first so many, where there is nothing to choose from
    narrow(layer, kept, kept)
    assert sizes_of(layer) == sizes_of(wanted) == (3, 3)
    assert repr(layer) == repr(wanted)
    shapes = {key: tensor.shape for key, tensor in wanted.state_dict().items()}
    assert {key: tensor.shape for key, tensor in layer.state_dict().items()} == shapes
    assert {key for key, _ in layer.named_parameters()} == {key for key, _ in wanted.named_parameters()}


def test_the_places_that_are_kept_are_those_asked_for():
    linear = nn.Linear(6, 8)
    weight, bias = linear.weight.clone(), linear.bias.clone()
    narrow(linear, torch.tensor([1, 4]), KEPT)
    assert torch.equal(linear.weight, weight[KEPT][:, [1, 4]])
    assert torch.equal(linear.bias, bias[KEPT])


def test_a_gru_without_silent_units_runs_on():
    """Units whose state is never read change nothing, whichever they are."""
    torch.manual_seed(0)
    whole = nn.GRU(4, 6, batch_first=True)
    with torch.no_grad():
        whole.weight_hh_l0[:, [1, 3, 4]] = 0.0
    steps = torch.randn(2, 5, 4)
    wanted = whole(steps)[0][..., KEPT]
    narrow(whole, None, KEPT)
    assert torch.allclose(whole(steps)[0], wanted, atol=1e-6)


def test_an_embedding_keeps_its_rows():
    table = nn.Embedding(9, 6, padding_idx=0)
    weight = table.weight.clone()
    narrow(table, None, KEPT)
    assert torch.equal(table.weight, weight[:, KEPT])
    assert (table.embedding_dim, table.padding_idx) == (3, 0)
    with pytest.raises(RecipeError, match="has a row for each of 9 numbers"):
        narrow(table, 5, None, "embedding")


@pytest.mark.parametrize(
    ("layer", "sizes", "message"),
    [
        (lambda: nn.Linear(6, 8), (7, None), r"takes and gives \(6, 8\), it cannot be narrowed to \(7, 8\)"),
        (lambda: nn.BatchNorm1d(6), (3, 4), "gives as many numbers as it takes"),
        (lambda: nn.LSTM(6, 8, num_layers=2), (3, None), "a LSTM, cannot be narrowed"),
        (lambda: nn.LSTM(6, 8, bidirectional=True), (3, None), "a LSTM, cannot be narrowed"),
        (lambda: nn.Conv2d(6, 6, 3, groups=2), (3, 3), "a Conv2d, cannot be narrowed"),
        (lambda: nn.LayerNorm((2, 6)), (3, 3), "a LayerNorm, cannot be narrowed"),
        (nn.ReLU, (3, 3), "a ReLU, cannot be narrowed"),
    ],
)
def test_what_cannot_be_narrowed_is_named(layer, sizes, message):
    with pytest.raises(RecipeError, match=message):
        narrow(layer(), *sizes, "layer")


def test_the_transform_follows_a_head_of_another_size():
    narrowed = Narrowed({"hidden.0": [None, 5], "output": [5, None]})
    assert from_json([narrowed.to_json()]) == (narrowed,)
    recipe = maas.nn.Recipe("mlp", {"in_features": 4, "out_features": 3, "hidden": [16]}, (narrowed,))
    assert recipe.build().output.weight.shape == (3, 5)
    other = replace(recipe, arguments={**recipe.arguments, "out_features": 7})
    assert other.build().output.weight.shape == (7, 5)
    with pytest.raises(RecipeError, match=r"there is no layer 'hidden\.9' to narrow in a MLP"):
        replace(recipe, transforms=(Narrowed({"hidden.9": [None, 5]}),)).build()


@pytest.mark.parametrize(
    "sizes",
    [3, ["hidden.0"], {"a": 3}, {"a": [3]}, {"a": [None, None]}, {"a": [True, 2]}, {"a": [0, 2]}, {"a": ["3", None]}],
)
def test_sizes_are_pairs_of_positive_integers(sizes):
    with pytest.raises(FormatError, match=r"must be \[taken, given\] by a layer's name"):
        from_json([{"kind": "narrowed", "arguments": {"sizes": sizes}}])
