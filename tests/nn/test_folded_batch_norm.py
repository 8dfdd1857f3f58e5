"""Batch normalisation folded into the layer before it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from maas.errors import FormatError, RecipeError
from maas.nn.transforms import FoldedBatchNorm, from_json


def network(bias: bool = True, affine: bool = True) -> nn.Sequential:
    torch.manual_seed(0)
    made = nn.Sequential(
        *(nn.Conv2d(3, 8, 3, bias=bias), nn.BatchNorm2d(8, affine=affine), nn.ReLU(), nn.Flatten()),
        *(nn.Linear(8 * 36, 5, bias=bias), nn.BatchNorm1d(5, affine=affine)),
    )
    with torch.no_grad():
        for norm in (made[1], made[5]):
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.5, 2.0)
            if affine:
                norm.weight.normal_()
                norm.bias.normal_()
    return made.eval()


FOLDS = FoldedBatchNorm((("0", "1"), ("4", "5")))


@pytest.mark.parametrize(("bias", "affine"), [(True, True), (False, True), (True, False), (False, False)])
def test_the_folded_network_answers_as_the_normalised_one(bias, affine):
    plain = network(bias, affine)
    images = torch.randn(4, 3, 8, 8)
    with torch.no_grad():
        wanted = plain(images)
        folded = FOLDS.folded(plain)
        torch.testing.assert_close(folded(images), wanted, rtol=1e-5, atol=1e-5)
        assert torch.equal(plain(images), wanted)
    assert not any(isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)) for module in folded.modules())


def test_the_structure_is_built_without_numbers():
    with torch.device("meta"):
        built = FOLDS.apply(network(bias=False))
    folded = FOLDS.folded(network(bias=False)).state_dict()
    assert {name: one.shape for name, one in built.state_dict().items()} == {
        name: one.shape for name, one in folded.items()
    }


def test_it_goes_through_json():
    (found,) = from_json([{"kind": "folded_batch_norm", "arguments": {"pairs": [["0", "1"], ["4", "5"]]}}])
    assert found == FOLDS


@pytest.mark.parametrize(
    "pairs", [3, "ab", [["0"]], [["0", "1", "2"]], [["0", 1]], [[]], [["", "1"]], {"0": "1"}, [{"0": "1"}], [None]]
)
def test_what_is_no_list_of_pairs_is_refused(pairs):
    with pytest.raises(FormatError, match="`pairs` are lists of two names"):
        from_json([{"kind": "folded_batch_norm", "arguments": {"pairs": pairs}}])


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        (("7", "1"), "names the module '7', which the network does not have"),
        (("0", "x" * 1000), "names the module 'x+.*, which the network does not have"),
        (("0", "0.__class__"), "does not have"),
        (("0", "2"), "wants '2' to be a BatchNorm1d or BatchNorm2d, it is a ReLU"),
        (("2", "1"), "wants '2' to be a Linear or Conv1d or Conv2d"),
        (("4", "1"), "'1' does not go with the layer '4'"),
    ],
)
def test_a_pair_that_the_network_does_not_have_is_refused(pair, message):
    with pytest.raises(RecipeError, match=message):
        FoldedBatchNorm((pair,)).apply(network())
    with pytest.raises(RecipeError, match=r"does not have|it is a Identity"):
        FoldedBatchNorm((("0", "1"), ("0", "1"))).apply(network())
