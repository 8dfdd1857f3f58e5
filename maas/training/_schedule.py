"""How the learning rate moves over a run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from maas.errors import DataError, show

SCHEDULES = ("constant", "cosine", "one_cycle", "step", "plateau")
_ONE_CYCLE_WARMUP, _ONE_CYCLE_START, _ONE_CYCLE_END = 0.3, 1 / 25, 1e-4


@dataclass(frozen=True)
class Schedule:
    """What the learning rate is multiplied by at each step: `maas.fit(..., schedule=Schedule("cosine", warmup=0.05))`.

    - "constant": 1, after the warm-up.
    - "cosine": half a cosine from 1, after the warm-up, to 0 (Loshchilov and Hutter 2017, eq. 5).
    - "one_cycle": warm-up from a 25th, then half a cosine down to a 10,000th (Smith and Topin 2018).
    - "step": times `factor` after every `epochs` epochs.
    - "plateau": times `factor` when the validation loss was not lower than before for `epochs` epochs.

    Args:
        kind: one of these.
        warmup: share of all steps over which the rate rises first, in a straight line, from 0 to below 1; by default 0,
            and 0.3 for "one_cycle".
        factor: of "step" and "plateau", above 0 and below 1.
        epochs: of "step", by default a third of all, and of "plateau", by default 10.

    Raises:
        DataError: an argument is out of its range.
    """

    kind: str = "constant"
    warmup: float | None = None
    factor: float = 0.1
    epochs: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.kind, str) or self.kind not in SCHEDULES:
            raise DataError(f"`schedule` must be one of {', '.join(SCHEDULES)}, got {show(self.kind)}")
        if self.warmup is not None and (
            isinstance(self.warmup, bool) or not isinstance(self.warmup, (int, float)) or not 0 <= self.warmup < 1
        ):
            raise DataError(f"`warmup` must be at least 0 and below 1, got {show(self.warmup)}")
        if isinstance(self.factor, bool) or not isinstance(self.factor, (int, float)) or not 0 < self.factor < 1:
            raise DataError(f"`factor` of a schedule must be above 0 and below 1, got {show(self.factor)}")
        if self.epochs is not None and (type(self.epochs) is not int or self.epochs < 1):
            raise DataError(f"`epochs` of a schedule must be a positive integer, got {show(self.epochs)}")

    @classmethod
    def of(cls, given: Any) -> Schedule:
        """A schedule, or that of a name."""
        return given if isinstance(given, Schedule) else cls(given)

    @property
    def knows_the_end(self) -> bool:
        """Whether the rate of a step depends on how many steps there will be."""
        return self.kind in ("cosine", "one_cycle") or bool(self.warmup) or (self.kind == "step" and not self.epochs)

    def to_json(self) -> dict[str, Any]:
        """The kind, and the options that were given or matter."""
        options = {"warmup": self.warmup, "epochs": self.epochs}
        if self.kind in ("step", "plateau"):
            options["factor"] = self.factor
        return {"kind": self.kind, **{name: value for name, value in options.items() if value is not None}}

    def scale(self, step: int, steps: int, epoch: int, epochs: int, losses: Sequence[float]) -> float:
        """What the rate is multiplied by: a pure function of where a run is.

        Args:
            step: counted from 0, out of `steps`.
            epoch: counted from 1, out of `epochs`.
            losses: validation losses of the epochs before.
        """
        cycle = self.kind == "one_cycle"
        share = _ONE_CYCLE_WARMUP * cycle if self.warmup is None else self.warmup
        start, end = (_ONE_CYCLE_START, _ONE_CYCLE_END) if cycle else (0.0, 0.0)
        rising = share * steps
        if step < rising:
            return start + (1 - start) * (step + 1) / (rising + 1)
        if self.kind == "constant":
            return 1.0
        if self.kind == "step":
            return float(self.factor ** ((epoch - 1) // (self.epochs or max(1, math.ceil(epochs / 3)))))
        if self.kind == "plateau":
            return float(self.factor ** _plateaus(losses, self.epochs or 10))
        done = min(1.0, (step - rising) / max(1.0, steps - rising))
        return end + (1 - end) * (1 + math.cos(math.pi * done)) / 2


def _plateaus(losses: Sequence[float], patience: int) -> int:
    """How often the losses stayed without a new least one for so many epochs; each time the wait begins anew."""
    least, waited, found = math.inf, 0, 0
    for loss in losses:
        waited = 0 if loss < least else waited + 1
        least = min(least, loss)
        if waited == patience:
            found, waited = found + 1, 0
    return found
