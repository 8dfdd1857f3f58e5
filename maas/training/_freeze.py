"""Which parts of a network learn in which epoch, and how fast."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from maas.errors import DataError, show

Freeze = str | Sequence[str] | Mapping[str, int]


@dataclass(frozen=True)
class Pace:
    """Which parts of a network learn in which epoch, and how fast.

    A part is the beginning of a tensor's name, such as "body" or "body.layer1". A frozen part does not learn, has no
    optimizer state and no weight decay; batch statistics in it do not move and nothing in it is dropped.

    Args:
        frozen: by part, the number of epochs it is frozen at the start; None: all.
        factors: by part, what the learning rate is multiplied by.

    Raises:
        DataError: an entry is not one of these.
    """

    frozen: Mapping[str, int | None] = field(default_factory=dict)
    factors: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for argument, wanted, given in (("freeze", "epochs", self.frozen), ("rate_factors", "factors", self.factors)):
            if any(not isinstance(part, str) or not part for part in given):
                raise DataError(f"`{argument}` must give {wanted} by the name of a part, such as 'body', got {given!r}")
        for part, epochs in self.frozen.items():
            if epochs is not None and (type(epochs) is not int or epochs < 1):
                raise DataError(f"`freeze` of {show(part)} must be a number of epochs, 1 or more, got {show(epochs)}")
        for part, factor in self.factors.items():
            if isinstance(factor, bool) or not isinstance(factor, (int, float)) or not 0 < factor < math.inf:
                raise DataError(f"`rate_factors` of {show(part)} must be positive and finite, got {show(factor)}")

    @classmethod
    def of(cls, freeze: Any, rate_factors: Any) -> Pace:
        """Out of the arguments of `maas.fit`.

        Raises:
            DataError: they are nothing of the kind.
        """
        if freeze is None or isinstance(freeze, Mapping):
            frozen = dict(freeze or {})
            if None in frozen.values():
                raise DataError(
                    "`freeze` of a part must be a number of epochs; to freeze it in all, give its name only"
                )
        elif isinstance(freeze, (str, list, tuple)):
            frozen = dict.fromkeys([freeze] if isinstance(freeze, str) else freeze)
        else:
            raise DataError(
                f"`freeze` must be a part's name, several, or numbers of epochs by name, such as {{'body': 3}}, got "
                f"{show(freeze)}"
            )
        if rate_factors is not None and not isinstance(rate_factors, Mapping):
            raise DataError(
                f"`rate_factors` must be factors by part, such as {{'body': 0.1}}, got {show(rate_factors)}"
            )
        return cls(frozen, dict(rate_factors or {}))

    def check(self, network: nn.Module) -> None:
        """Raise DataError where a part is not in the network, or nothing would learn."""
        names = [name for name, _ in network.named_parameters()]
        for argument, parts in (("freeze", self.frozen), ("rate_factors", self.factors)):
            for part in parts:
                if not any(_is_in(name, [part]) for name in names):
                    tops = dict.fromkeys(name.partition(".")[0] for name in names)
                    raise DataError(f"`{argument}` names {show(part)}, the network's parts are {', '.join(tops)}")
        if all(_is_in(name, self.frozen) for name in names):
            raise DataError(f"`freeze` leaves nothing to learn: {', '.join(self.frozen)} are all of the network")

    def factor_of(self, name: str) -> float:
        """What the learning rate of a parameter is multiplied by; the longest part that fits counts."""
        fitting = [part for part in self.factors if _is_in(name, [part])]
        return self.factors[max(fitting, key=len)] if fitting else 1.0

    def frozen_epochs_of(self, name: str) -> int | None:
        """For how many epochs a parameter is frozen: 0 for one that is not, None for all."""
        found = [epochs for part, epochs in self.frozen.items() if _is_in(name, [part])]
        return None if None in found else max((epochs for epochs in found if epochs is not None), default=0)

    def changes(self, epoch: int) -> bool:
        """Whether other parts learn in this epoch, counted from 1, than in the one before."""
        return epoch > 1 and (epoch - 1) in self.frozen.values()

    def begin(self, network: nn.Module, epoch: int) -> None:
        """Put a network into training mode for an epoch, counted from 1, but for the parts that are frozen in it."""
        network.train()
        frozen = [part for part, epochs in self.frozen.items() if epochs is None or epoch <= epochs]
        for name, parameter in network.named_parameters():
            if _is_in(name, self.frozen):
                # An optimizer passes over what has no gradient, autograd over what needs none.
                parameter.requires_grad_(not _is_in(name, frozen))
        for name, module in network.named_modules():
            if _is_in(name, frozen):
                module.eval()

    def end(self, network: nn.Module) -> None:
        """Let every part that was frozen learn again, for whoever trains the network next."""
        for name, parameter in network.named_parameters():
            if _is_in(name, self.frozen):
                parameter.requires_grad_(True)

    def to_json(self) -> dict[str, Any]:
        return {"freeze": dict(self.frozen), "rate_factors": dict(self.factors)}


def _is_in(name: str, parts: Iterable[str]) -> bool:
    return any(name == part or name.startswith(f"{part}.") for part in parts)
