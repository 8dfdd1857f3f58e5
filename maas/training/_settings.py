"""How a network is trained, as one small value."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from maas.errors import DataError, show
from maas.training._schedule import Schedule

OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
}
PRECISIONS = {"float32": torch.float32, "tf32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
KEEPS = ("best", "last")
NON_FINITE = ("raise", "skip")
_FUSED = ("cpu", "cuda")


@dataclass(frozen=True)
class Optimizer:
    """An optimizer with its options: `maas.fit(..., optimizer=Optimizer("sgd", momentum=0.95))`.

    Args:
        kind: "adamw" (Loshchilov and Hutter 2019), "adam" (Kingma and Ba 2015) or "sgd".
        betas: of Adam and AdamW: decay of the means of gradients and of their squares, from 0 to below 1.
        eps: of Adam and AdamW: what is added to the root of the second, positive.
        momentum: of SGD, from 0 to below 1.
        nesterov: of SGD with momentum: Nesterov's form of it.

    Raises:
        DataError: an argument is out of its range.
    """

    kind: str = "adamw"
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    momentum: float = 0.9
    nesterov: bool = False

    def __post_init__(self) -> None:
        _check_one_of("optimizer", self.kind, OPTIMIZERS)
        if not isinstance(self.betas, Sequence) or len(self.betas) != 2:
            raise DataError(f"`betas` must be two numbers, such as (0.9, 0.999), got {show(self.betas)}")
        object.__setattr__(self, "betas", tuple(self.betas))
        for beta in self.betas:
            _check_number("betas", beta, 0.0, 1.0)
        _check_number("eps", self.eps, math.ulp(0.0), math.inf)
        _check_number("momentum", self.momentum, 0.0, 1.0)
        if type(self.nesterov) is not bool or (self.nesterov and not self.momentum):
            raise DataError(f"`nesterov` must be True or False, and wants a momentum, got {show(self.nesterov)}")

    @classmethod
    def of(cls, given: Any) -> Optimizer:
        """An optimizer, or that of a name."""
        return given if isinstance(given, Optimizer) else cls(given)

    def to_json(self) -> dict[str, Any]:
        """The kind, and the options that it has."""
        if self.kind == "sgd":
            return {"kind": self.kind, "momentum": self.momentum, "nesterov": self.nesterov}
        return {"kind": self.kind, "betas": list(self.betas), "eps": self.eps}

    def make(
        self,
        groups: Iterable[dict[str, Any]],
        *,
        learning_rate: float,
        weight_decay: float,
        device: torch.device,
        sharded: bool = False,
    ) -> torch.optim.Optimizer:
        """torch's own, over these groups of parameters; on a GPU fit to be recorded in a graph."""
        options: dict[str, Any] = {"lr": learning_rate, "weight_decay": weight_decay}
        options["fused"] = device.type in _FUSED and not (sharded and self.kind == "sgd")  # torch has none of shards
        if self.kind == "sgd":
            options |= {"momentum": self.momentum, "nesterov": self.nesterov}
        else:
            options |= {"betas": self.betas, "eps": self.eps, "capturable": device.type == "cuda"}
        if device.type == "cuda":
            options["lr"] = torch.tensor(learning_rate, device=device)
        return OPTIMIZERS[self.kind](groups, **options)


@dataclass(frozen=True)
class Settings:
    """How a network is trained. `maas.fit` says what each field means.

    Raises:
        DataError: a field is out of its range.
    """

    epochs: int = 50
    batch_size: int = 32
    accumulate: int = 1
    optimizer: Optimizer = field(default_factory=Optimizer)
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    clip_norm: float | None = None
    schedule: Schedule = field(default_factory=Schedule)
    ema: float | None = None
    precision: str = "float32"
    keep: str = "best"
    patience: int | None = None
    non_finite: str = "raise"
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "accumulate", *["patience"] * (self.patience is not None)):
            if type(getattr(self, name)) is not int or getattr(self, name) < 1:
                raise DataError(f"`{name}` must be a positive integer, got {show(getattr(self, name))}")
        for name, known in (("precision", PRECISIONS), ("keep", KEEPS), ("non_finite", NON_FINITE)):
            _check_one_of(name, getattr(self, name), known)
        _check_number("learning_rate", self.learning_rate, math.ulp(0.0), math.inf)
        _check_number("weight_decay", self.weight_decay, 0.0, math.inf)
        if self.clip_norm is not None:
            _check_number("clip_norm", self.clip_norm, math.ulp(0.0), math.inf)
        if self.ema is not None:
            _check_number("ema", self.ema, 0.0, 1.0)
        if type(self.seed) is not int or not 0 <= self.seed < 2**63:
            raise DataError(f"`seed` must be an integer from 0 to below 2**63, got {show(self.seed)}")

    def make_optimizer(
        self, groups: Iterable[dict[str, Any]], device: torch.device, *, sharded: bool = False
    ) -> torch.optim.Optimizer:
        """The optimizer over these groups of parameters, which may be shards (FSDP)."""
        return self.optimizer.make(
            groups, learning_rate=self.learning_rate, weight_decay=self.weight_decay, device=device, sharded=sharded
        )

    def rate(self, step: int, steps: int, epoch: int, losses: Sequence[float] = ()) -> float:
        """The learning rate of a step, counted from 0, out of so many: a pure function. See `Schedule.scale`."""
        return self.learning_rate * self.schedule.scale(step, steps, epoch, self.epochs, losses)

    def to_json(self) -> dict[str, Any]:
        """The settings as JSON, as a card holds them."""
        return {**asdict(self), "optimizer": self.optimizer.to_json(), "schedule": self.schedule.to_json()}


def _check_one_of(name: str, value: Any, known: Iterable[str]) -> None:
    if not isinstance(value, str) or value not in known:
        raise DataError(f"`{name}` must be one of {', '.join(known)}, got {show(value)}")


def _check_number(name: str, value: Any, least: float, most: float) -> None:
    """From `least` to below `most`."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value < most:
        wanted = "positive and finite" if least else "at least 0" + (" and below 1" if most == 1 else "")
        raise DataError(f"`{name}` must be {wanted}, got {show(value)}")
