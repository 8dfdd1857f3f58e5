"""A small training that is kept in a folder, and one that was stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import maas
from maas.training import Run

STEPS_AN_EPOCH = 6  # 54 of 60 rows learn, in batches of 9


def rows(seed: int = 0) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    generator = np.random.default_rng(seed)
    return generator.normal(size=(60, 4)), generator.integers(0, 2, 60)


def fit(run: Run | Path | None = None, *, seed_of_rows: int = 0, **changes: Any) -> maas.Model:
    settings = {"epochs": 3, "batch_size": 9, "ema": 0.9, "device": "cpu", "progress": False, **changes}
    recipe = settings.pop("recipe", maas.recipe(maas.nn.MLP, hidden=(6,), dropout=0.3, normalization="batch"))
    return maas.fit(recipe, rows(seed_of_rows), run=run, **settings)


def stopped(folder: Path, steps: int, **changes: Any) -> Path:
    """A run with a checkpoint after each of so many steps."""
    how = {name: changes.pop(name) for name in ("keep", "every", "trackers", "resume") if name in changes}
    with pytest.raises(SystemExit) as stop:
        fit(Run(folder, stop_after=steps, **{"every": 0, **how}), **changes)
    assert stop.value.code == 143
    return folder


def same(one: maas.Model, other: maas.Model) -> bool:
    ours, theirs = one.network.state_dict(), other.network.state_dict()
    return all(torch.equal(ours[name], theirs[name]) for name in ours)


def leftovers(folder: Path) -> list[Path]:
    """What a killed or failed process may leave."""
    return [one for one in folder.rglob(".*") if one.name != ".lock"]
