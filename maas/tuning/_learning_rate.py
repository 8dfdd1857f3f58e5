"""The learning-rate range test: how the loss moves as the rate rises over a few steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from maas.errors import DataError, show
from maas.nn import Recipe
from maas.preprocess import Learner
from maas.task import TaskLearner
from maas.training import Optimizer, Settings, trial_losses
from maas.training._setup import check_recipe

_SMOOTHING = 0.9
_UNSETTLED = 10  # steps
_DIVERGED = 4.0  # times the least loss


@dataclass(frozen=True)
class LearningRates:
    """What a range test saw.

    Args:
        rates: of the steps, rising.
        losses: smoothed, one a step.
        suggestion: the rate where the loss fell fastest, for `maas.fit(learning_rate=...)`; with a schedule that rises
            and falls its greatest value may be some times higher.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    suggestion: float

    def __str__(self) -> str:
        step = max(1, len(self.rates) // 20)
        lines = [f"{'rate':>10}  loss"]
        top = max(self.losses[: -step or None], default=1.0)
        for rate, loss in list(zip(self.rates, self.losses, strict=True))[::step]:
            lines.append(f"{rate:10.2e}  {loss:8.4f} {'#' * round(40 * min(1.0, loss / top))}")
        return "\n".join([*lines, f"suggested: {self.suggestion:.2g}"])

    def to_json(self) -> dict[str, Any]:
        """The rates and their losses as JSON."""
        return {"rates": list(self.rates), "losses": list(self.losses), "suggestion": self.suggestion}


def learning_rate_range(
    recipe: Recipe,
    train: Any,
    *,
    low: float = 1e-6,
    high: float = 1.0,
    steps: int = 200,
    task: str | TaskLearner | None = None,
    preprocess: Learner | None = None,
    batch_size: int = 32,
    optimizer: str | Optimizer = "adamw",
    weight_decay: float = 0.01,
    seed: int = 0,
    device: str | torch.device | None = None,
) -> LearningRates:
    """Raise the learning rate step by step from `low` to `high`, and see where the loss falls fastest.

    The test ends early where the loss is 4 times its least. Source: Smith 2017, arXiv:1506.01186, section 3.3; losses
    are smoothed, and the rate of the steepest fall taken, as fast.ai's finder does.

    Args:
        low, high: rates of the first and the last step, positive.
        steps: at most so many, over as many passes through the rows as that takes; 20 or more.
        recipe, train, task, preprocess, batch_size, optimizer, weight_decay, seed, device: as in `maas.fit`.

    Raises:
        DataError: an argument is out of its range, or as in `maas.fit`.
    """
    if not all(isinstance(rate, (int, float)) for rate in (low, high)) or not 0 < low < high < math.inf:
        raise DataError(f"`low` and `high` must be positive and rise, got {show(low)} and {show(high)}")
    if type(steps) is not int or steps < 20:
        raise DataError(f"`steps` must be an integer of 20 or more, got {show(steps)}")
    check_recipe(recipe)
    if recipe.learns == "closed_form":
        raise DataError(f"a {recipe.kind} learns in closed form, and has no learning rate")
    settings = Settings(
        batch_size=batch_size, optimizer=Optimizer.of(optimizer), weight_decay=weight_decay, seed=seed, keep="last"
    )
    rates = np.geomspace(low, high, steps).tolist()
    seen: list[float] = []
    smooth, least = 0.0, math.inf
    losses = trial_losses(recipe, train, settings, rates, task=task, preprocess=preprocess, device=device)
    for place, loss in enumerate(losses):
        smooth = _SMOOTHING * smooth + (1 - _SMOOTHING) * loss
        now = smooth / (1 - _SMOOTHING ** (place + 1))
        if not math.isfinite(now) or now > _DIVERGED * least:
            break
        least = min(least, now)
        seen.append(now)
    if len(seen) < 3:
        raise DataError(f"the loss is not finite within {len(seen)} steps from a rate of {low:g}; give a lower `low`")
    return LearningRates(tuple(rates[: len(seen)]), tuple(seen), rates[_steepest(rates, seen)])


def _steepest(rates: Sequence[float], losses: Sequence[float]) -> int:
    """Where the loss falls fastest over the logarithm of the rate, before it is least."""
    first = min(_UNSETTLED, len(losses) - 3)  # the mean of a few batches says nothing yet
    end = max(first + 3, int(np.argmin(losses)) + 1)
    return first + int(np.argmin(np.gradient(losses[first:end], np.log(rates[first:end]))))
