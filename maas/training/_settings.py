"""How a network is trained, as one small value."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import torch

from maas.errors import DataError, show

OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
}
SCHEDULES = ("constant", "cosine", "one_cycle")
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
KEEPS = ("best", "last")
_ONE_CYCLE_WARMUP, _ONE_CYCLE_START, _ONE_CYCLE_END = 0.3, 1 / 25, 1e-4


@dataclass(frozen=True)
class Settings:
    """How a network is trained. `maas.fit` says what each field means.

    Raises:
        DataError: a field is out of its range.
    """

    epochs: int
    batch_size: int
    optimizer: str
    learning_rate: float
    weight_decay: float
    momentum: float
    schedule: str
    warmup: float | None
    precision: str
    keep: str
    patience: int | None
    seed: int

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", *["patience"] * (self.patience is not None)):
            if type(getattr(self, name)) is not int or getattr(self, name) < 1:
                raise DataError(f"`{name}` must be a positive integer, got {show(getattr(self, name))}")
        for name, known in (
            ("optimizer", OPTIMIZERS),
            ("schedule", SCHEDULES),
            ("precision", PRECISIONS),
            ("keep", KEEPS),
        ):
            value = getattr(self, name)
            if not isinstance(value, str) or value not in known:
                raise DataError(f"`{name}` must be one of {', '.join(known)}, got {show(value)}")
        for name, least, most in (
            ("learning_rate", math.ulp(0.0), math.inf),
            ("weight_decay", 0.0, math.inf),
            ("momentum", 0.0, 1.0),
            *[("warmup", 0.0, 1.0)] * (self.warmup is not None),
        ):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value < most:
                wanted = "positive and finite" if least else "at least 0" + (" and below 1" if most == 1 else "")
                raise DataError(f"`{name}` must be {wanted}, got {show(value)}")
        if type(self.seed) is not int or not 0 <= self.seed < 2**63:
            raise DataError(f"`seed` must be an integer from 0 to below 2**63, got {show(self.seed)}")

    def make_optimizer(self, groups: Iterable[dict[str, Any]]) -> torch.optim.Optimizer:
        """The optimizer over these groups of parameters."""
        options: dict[str, Any] = {"lr": self.learning_rate, "weight_decay": self.weight_decay}
        if self.optimizer == "sgd":
            options["momentum"] = self.momentum
        return OPTIMIZERS[self.optimizer](groups, **options)

    def rate(self, step: int, steps: int) -> float:
        """The learning rate of a step, counted from 0, out of so many: a pure function.

        - "constant": `learning_rate`, after the warm-up.
        - "cosine": half a cosine from `learning_rate`, after the warm-up, to 0 (Loshchilov and Hutter 2017, eq. 5).
        - "one_cycle": warm-up from a 25th, then half a cosine down to a 10,000th (Smith and Topin 2018).

        The warm-up is linear, over the share `warmup` of the steps: by default 0, and 0.3 for "one_cycle".
        """
        cycle = self.schedule == "one_cycle"
        share = _ONE_CYCLE_WARMUP * cycle if self.warmup is None else self.warmup
        start, end = (_ONE_CYCLE_START, _ONE_CYCLE_END) if cycle else (0.0, 0.0)
        rising = share * steps
        if step < rising:
            return self.learning_rate * (start + (1 - start) * (step + 1) / (rising + 1))
        if self.schedule == "constant":
            return self.learning_rate
        done = min(1.0, (step - rising) / max(1.0, steps - rising))
        return self.learning_rate * (end + (1 - end) * (1 + math.cos(math.pi * done)) / 2)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)
