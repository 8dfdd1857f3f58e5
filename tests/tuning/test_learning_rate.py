"""maas.tuning.learning_rate_range: where the loss falls, and where it does not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import maas
from maas.data import Rows
from maas.errors import DataError
from maas.tuning import LearningRates, learning_rate_range

RECIPE = maas.recipe(maas.nn.MLP, hidden=(16,))


def _range(rows: Any, **options: Any) -> LearningRates:
    return learning_rate_range(RECIPE, rows, **{"device": "cpu", **options})


def test_the_suggested_rate_lies_between_too_low_and_too_high(wine_split: tuple[Rows, Rows]) -> None:
    """Reference: five epochs at a hundredth of the rate learn less, and at a thousand times the rate too."""
    train = wine_split[0]
    found = _range(train)
    assert list(found.rates) == sorted(found.rates)
    assert len(found.rates) == len(found.losses)
    assert found.rates[0] < found.suggestion < found.rates[-1]
    losses = [
        maas.fit(RECIPE, train, epochs=5, learning_rate=rate, device="cpu", progress=False).card["training"]["history"][
            -1
        ]
        for rate in (found.suggestion / 100, found.suggestion, found.suggestion * 1000)
    ]
    assert losses[1]["train_loss"] < min(losses[0]["train_loss"], losses[2]["train_loss"])


def test_it_ends_where_the_loss_explodes_and_is_the_same_each_time(wine_split: tuple[Rows, Rows]) -> None:
    before = torch.get_rng_state()
    found = _range(wine_split[0], optimizer="sgd", high=1e6)
    assert len(found.rates) < 200
    assert found == _range(wine_split[0], optimizer="sgd", high=1e6)
    assert torch.equal(before, torch.get_rng_state())
    assert found.to_json()["suggestion"] == found.suggestion
    assert str(found).splitlines()[-1] == f"suggested: {found.suggestion:.2g}"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"low": 1.0, "high": 0.1}, "`low` and `high` must be positive and rise, got 1.0 and 0.1"),
        ({"low": 0.0}, "`low` and `high` must be positive and rise, got 0.0 and 1.0"),
        ({"low": "1e-6"}, "`low` and `high` must be positive and rise, got '1e-6' and 1.0"),
        ({"steps": 3}, "`steps` must be an integer of 20 or more, got 3"),
        (
            {"low": 1e25, "high": 1e30, "optimizer": "sgd"},
            "the loss is not finite within . steps from a rate",
        ),
    ],
)
def test_a_bad_argument_is_named(options: dict[str, Any], message: str, wine_split: tuple[Rows, Rows]) -> None:
    with pytest.raises(DataError, match=message):
        _range(wine_split[0], **options)
    with pytest.raises(DataError, match=r"`recipe` must be a recipe, such as .*, got 'mlp'"):
        learning_rate_range("mlp", wine_split[0])  # type: ignore[arg-type]
    with pytest.raises(DataError, match="a ease learns in closed form, and has no learning rate"):
        learning_rate_range(maas.recipe(maas.nn.EASE), wine_split[0])


def test_regressions_too() -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(60, 3))
    assert 1e-6 < _range((x, x @ [1.0, 2.0, 3.0])).suggestion < 1.0
