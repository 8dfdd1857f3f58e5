"""How a network is trained, as one small value."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from maas.errors import DataError, show

OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
}


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
    patience: int | None
    seed: int

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", *["patience"] * (self.patience is not None)):
            if type(getattr(self, name)) is not int or getattr(self, name) < 1:
                raise DataError(f"`{name}` must be a positive integer, got {show(getattr(self, name))}")
        if not isinstance(self.optimizer, str) or self.optimizer not in OPTIMIZERS:
            raise DataError(f"`optimizer` must be one of {', '.join(OPTIMIZERS)}, got {show(self.optimizer)}")
        for name, least, most in (
            ("learning_rate", math.ulp(0.0), math.inf),
            ("weight_decay", 0.0, math.inf),
            ("momentum", 0.0, 1.0),
        ):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value < most:
                wanted = "positive and finite" if least else "at least 0" + (" and below 1" if most == 1 else "")
                raise DataError(f"`{name}` must be {wanted}, got {show(value)}")
        if type(self.seed) is not int or not 0 <= self.seed < 2**63:
            raise DataError(f"`seed` must be an integer from 0 to below 2**63, got {show(self.seed)}")

    def make_optimizer(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """The optimizer over these parameters."""
        options: dict[str, Any] = {"lr": self.learning_rate, "weight_decay": self.weight_decay}
        if self.optimizer == "sgd":
            options["momentum"] = self.momentum
        return OPTIMIZERS[self.optimizer](parameters, **options)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)
