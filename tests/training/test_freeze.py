"""maas.fit(freeze=..., rate_factors=...): which parts learn, when and how fast."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import maas
from maas.errors import DataError
from maas.training import Optimizer
from maas.training._freeze import Pace
from maas.training._weights import Weights

RECIPE = maas.recipe(maas.nn.MLP, hidden=(6, 5), normalization="batch", dropout=0.2)


def _rows(rows: int = 40) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    return np.random.default_rng(0).normal(size=(rows, 4)), np.arange(rows) % 3


@pytest.fixture(scope="module")
def parent() -> maas.Model:
    return _fit(epochs=2)


def _fit(**settings: Any) -> maas.Model:
    wanted = {"validation": 0, "keep": "last", "device": "cpu", "progress": False, "epochs": 3, **settings}
    return maas.fit(RECIPE, _rows(), **wanted)


def _changed(model: maas.Model, parent: maas.Model) -> set[str]:
    """Names of the tensors that differ, running statistics among them."""
    before = parent.network.state_dict()
    return {name for name, tensor in model.network.state_dict().items() if not torch.equal(tensor, before[name])}


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "adam"])
def test_a_frozen_part_stays_to_the_bit_with_its_batch_statistics(parent: maas.Model, optimizer: str) -> None:
    model = _fit(start=parent, freeze="hidden", weight_decay=0.5, optimizer=optimizer, learning_rate=0.01)
    assert _changed(model, parent) == {"output.weight", "output.bias"}
    assert model.card["training"]["freeze"] == {"hidden": None}
    assert all(one.requires_grad for one in model.network.parameters())


def test_a_part_of_a_part(parent: maas.Model) -> None:
    names = set(parent.network.state_dict())
    frozen = {name for name in names if name.startswith(("hidden.0.", "hidden.1."))}
    assert 0 < len(frozen) < len(names)
    assert _changed(_fit(start=parent, freeze=("hidden.0", "hidden.1")), parent) == names - frozen


def test_a_part_is_frozen_for_so_many_epochs(parent: maas.Model) -> None:
    assert _changed(_fit(start=parent, freeze={"hidden": 2}, epochs=2), parent) == {"output.weight", "output.bias"}
    assert _changed(_fit(start=parent, freeze={"hidden": 2}, epochs=3), parent) == set(parent.network.state_dict())


def test_what_a_step_does_to_a_frozen_part() -> None:
    """No gradient, no step of the optimizer, no decay; all else has them."""
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    pace = Pace({"0": 1, "1": 1})
    weights = Weights(network, pace)
    optimizer = torch.optim.AdamW(weights.groups(), weight_decay=0.5)
    for epoch, learning in ((1, 2), (2, 6)):
        before = {name: one.detach().clone() for name, one in network.named_parameters()}
        pace.begin(network, epoch)
        weights.begin(epoch)
        weights.zero_grad()
        network(torch.randn(5, 3)).square().sum().backward()
        optimizer.step()
        assert sum(not torch.equal(one, before[name]) for name, one in network.named_parameters()) == learning
        assert network[1].training == (epoch == 2)
        assert network[2].training


def test_a_factor_of_the_rate_is_that_of_the_step(parent: maas.Model) -> None:
    """Reference: plain SGD on all rows at once moves a weight by its rate times the gradient, which starts the same."""
    settings = {
        "start": parent,
        "epochs": 1,
        "optimizer": Optimizer("sgd", momentum=0.0),
        "weight_decay": 0.0,
        "batch_size": 40,
    }
    whole, slow = _fit(**settings), _fit(**settings, rate_factors={"hidden": 0.1, "hidden.0.bias": 0.5})
    before = parent.network.state_dict()
    for name, _ in parent.network.named_parameters():
        moved = whole.network.state_dict()[name] - before[name]
        factor = 0.5 if name == "hidden.0.bias" else 0.1 if name.startswith("hidden") else 1.0
        assert torch.allclose(slow.network.state_dict()[name] - before[name], factor * moved, atol=1e-7), name
    assert slow.card["training"]["rate_factors"] == {"hidden": 0.1, "hidden.0.bias": 0.5}


def test_a_factor_goes_with_a_schedule(parent: maas.Model) -> None:
    settings = {"start": parent, "schedule": "cosine", "epochs": 2}
    assert _changed(_fit(**settings, rate_factors={"hidden": 1.0}), _fit(**settings)) == set()
    assert "hidden.0.weight" in _changed(_fit(**settings, rate_factors={"hidden": 0.5}), _fit(**settings))


def test_freezing_without_a_start_is_told() -> None:
    with pytest.warns(UserWarning, match="`freeze` without `start` keeps weights as they were drawn at random"):
        _fit(freeze="hidden", epochs=1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"freeze": 3}, r"`freeze` must be a part's name, several, or numbers of epochs by name, .* got 3"),
        ({"freeze": {"hidden": 0}}, "`freeze` of 'hidden' must be a number of epochs, 1 or more, got 0"),
        ({"freeze": {"hidden": True}}, "`freeze` of 'hidden' must be a number of epochs, 1 or more, got True"),
        ({"freeze": {"hidden": None}}, "to freeze it in all, give its name only"),
        ({"freeze": [1]}, "`freeze` must give epochs by the name of a part, such as 'body'"),
        ({"freeze": ""}, "`freeze` must give epochs by the name of a part, such as 'body'"),
        ({"freeze": "body"}, "`freeze` names 'body', the network's parts are hidden, output"),
        ({"freeze": "hid"}, "`freeze` names 'hid', the network's parts are hidden, output"),
        ({"freeze": ("hidden", "output")}, "`freeze` leaves nothing to learn: hidden, output are all of the network"),
        ({"rate_factors": 0.1}, "`rate_factors` must be factors by part, such as .* got 0.1"),
        ({"rate_factors": {"hidden": 0.0}}, "`rate_factors` of 'hidden' must be positive and finite, got 0.0"),
        ({"rate_factors": {"hidden": "x"}}, "`rate_factors` of 'hidden' must be positive and finite, got 'x'"),
        ({"rate_factors": {"tail": 0.5}}, "`rate_factors` names 'tail', the network's parts are hidden, output"),
    ],
)
def test_a_bad_argument_is_named(arguments: dict[str, Any], message: str, parent: maas.Model) -> None:
    with pytest.raises(DataError, match=message):
        _fit(start=parent, **arguments)
