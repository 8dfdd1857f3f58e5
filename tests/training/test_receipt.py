"""maas.training._receipt: a bare loop to hold a step beside, which changes nothing."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

import maas
from maas.task import Batch, Classification
from maas.training import Settings, _loop
from maas.training._feed import Resident
from maas.training._loop import train
from maas.training._plan import Plan
from maas.training._receipt import bare_microseconds

CPU = torch.device("cpu")


def _network() -> torch.nn.Module:
    torch.manual_seed(0)
    return maas.nn.MLP(4, 3, hidden=(6,), normalization="batch", dropout=0.3)


def _rows() -> Batch:
    return Batch({"x": torch.randn(40, 4, generator=torch.Generator().manual_seed(0))}, torch.arange(40) % 3)


@pytest.mark.parametrize("settings", [{}, {"precision": "bfloat16", "accumulate": 2}])
def test_it_leaves_the_network_and_the_generator_alone(settings: dict[str, Any]) -> None:
    network = _network().eval()
    before, generator = copy.deepcopy(network.state_dict()), torch.get_rng_state()
    chosen = Settings(1, 8, **settings)
    windows = list(Resident(_rows(), CPU)(Plan(40, 8, chosen.accumulate, 0).windows(1)[:2], 1))
    assert bare_microseconds(network, Classification((0, 1, 2)), windows, chosen) > 1
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), generator)
    assert not network.training
    assert all(parameter.grad is None for parameter in network.parameters())


def test_a_run_that_took_long_is_held_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reference: the same run without; its network is the same to the bit."""
    networks, outcomes = [_network(), _network()], []
    for network, seconds in zip(networks, (1e9, 0.0), strict=True):
        monkeypatch.setattr(_loop, "_WORTH_A_COMPARISON_SECONDS", seconds)
        with torch.random.fork_rng(devices=[]):
            feed, plan = Resident(_rows(), CPU), Plan(40, 8, 1, 0)
            settings = Settings(2, 8, keep="last")
            outcomes.append(train(network, Classification((0, 1, 2)), feed, None, plan, settings))
    assert "microseconds_of_a_bare_step" not in outcomes[0].receipt
    assert outcomes[1].receipt["microseconds_of_a_bare_step"] > 1
    for one, other in zip(networks[0].state_dict().values(), networks[1].state_dict().values(), strict=True):
        assert torch.equal(one, other)
    assert [record["train_loss"] for record in outcomes[0].history] == [
        record["train_loss"] for record in outcomes[1].history
    ]
