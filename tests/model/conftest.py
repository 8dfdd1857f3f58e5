"""Small models that several tests read; a register as it was before each test."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas
import pytest

import maas
from maas import Model
from maas.data import Rows, read_table
from maas.nn._register import _REGISTER

Parts = tuple[Rows, Rows]


@pytest.fixture(autouse=True)
def register_as_before() -> Iterator[None]:
    before = dict(_REGISTER)
    yield
    _REGISTER.clear()
    _REGISTER.update(before)


@pytest.fixture(scope="module")
def mixed() -> Parts:
    """All kinds of fields, with missing values; columns that the network does not see stand among them."""
    generator = np.random.default_rng(0)
    frame = pandas.DataFrame(
        {
            "size": np.where(np.arange(60) % 7 == 0, np.nan, generator.normal(size=60)),
            "weight": generator.normal(size=60),
            "note": [f"n{row}" for row in range(60)],
            "colour": np.where(np.arange(60) % 11 == 0, None, generator.choice(["red", "blue"], 60)),
            "used": generator.integers(0, 2, 60).astype(bool),
            "price": generator.normal(100, 20, 60),
        }
    )
    train, test = read_table(frame, target="price", drop=["note"]).split(test=0.25, seed=0)
    return train, test


@pytest.fixture(scope="module")
def mixed_model(mixed: Parts) -> Model:
    recipe = maas.recipe(maas.nn.MLP, hidden=(6,))
    return maas.fit(recipe, mixed[0], epochs=2, device="cpu", progress=False)


@pytest.fixture(scope="module")
def vector_model() -> Model:
    """One field `x` of three numbers."""
    x = np.random.default_rng(0).normal(size=(40, 3))
    recipe = maas.recipe(maas.nn.MLP, hidden=(4,))
    return maas.fit(recipe, (x, x[:, 0] > 0), epochs=2, device="cpu", progress=False)
