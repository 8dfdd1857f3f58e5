"""Small models that several tests read; a register as it was before each test."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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


def rehash(folder: Path) -> None:
    """Write SHA256SUMS anew, for the files that are there now."""
    names = sorted(path.name for path in folder.iterdir() if path.name != "SHA256SUMS")
    lines = [f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    (folder / "SHA256SUMS").write_text("".join(lines))


def edit(folder: Path, name: str, **changes: Any) -> None:
    """Change keys of a JSON file of an artifact, and its line in SHA256SUMS with it."""
    (folder / name).write_text(json.dumps({**json.loads((folder / name).read_text()), **changes}))
    rehash(folder)


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
