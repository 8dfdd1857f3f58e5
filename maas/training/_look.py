"""Reading what steps did: the only wait for the device."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from maas.errors import DivergedError
from maas.training._plan import Plan, Window
from maas.training._settings import Settings
from maas.training._state import State
from maas.training._step import Taken


def look(
    state: State, taken: Sequence[Taken], windows: list[Window], rates: list[float], plan: Plan, settings: Settings
) -> float:
    """Read what the steps since the last look did, in one go: count losses, find steps that are not finite.

    Returns:
        The mean loss of the last step that was finite.

    Raises:
        DivergedError: one is not, and the policy is to raise.
    """
    losses = [part for one in taken for part in one.losses]
    units = [part for one in taken for part in one.counts or ()]
    told = [torch.cat(parts).double() for parts in (losses, units, [one.check.reshape(1) for one in taken]) if parts]
    read = torch.cat(told).cpu().numpy()
    sizes = [sum(map(len, one.losses)) for one in taken]
    found = _sums(read[: sum(sizes)], sizes)
    counts = np.array(sizes, float)
    if units:
        of_units = [sum(map(len, one.counts or ())) for one in taken]
        counts = _sums(read[sum(sizes) : len(read) - len(taken)], of_units)
    sums = np.zeros((len(taken), 4))  # losses, units, processes whose losses or gradients are not finite
    sums[:, 0], sums[:, 1] = found, counts
    sums[:, 2] = ~np.isfinite(sums[:, 0])
    if not state.scaler.is_enabled():  # which meets gradients that are not finite, and lowers its scale
        sums[:, 3] = ~np.isfinite(read[len(read) - len(taken) :])
    sums[sums[:, 2:].any(axis=1), :2] = 0
    state.world.sum_on_host(sums)
    bad = sums[:, 2:].any(axis=1)
    start = state.step - len(taken)
    if bad.any() and settings.non_finite == "raise":
        place = int(np.flatnonzero(bad)[0])
        rows = plan.given(torch.cat(windows[start + place]))
        which = "a loss" if sums[place, 2] else "a gradient"
        raise DivergedError(
            state.steps - len(taken) + place + 1, state.epoch, rates[start + place], rows, f"{which} is not finite"
        )
    state.skipped += int(bad.sum())
    for loss, count, *_ in sums[~bad].tolist():
        state.note(loss, count)
    return float(sums[~bad][-1, 0] / sums[~bad][-1, 1]) if (~bad).any() else math.nan


def _sums(values: np.ndarray[Any, Any], sizes: Sequence[int]) -> np.ndarray[Any, Any]:
    """The sum of each run of so many values; 0 of an empty one."""
    found, filled = np.zeros(len(sizes)), np.array(sizes) > 0
    if filled.any():
        starts = np.cumsum([0, *sizes[:-1]])[filled]
        with np.errstate(invalid="ignore"):  # infinity in one row, and its opposite in another
            found[filled] = np.add.reduceat(values, starts)
    return found
