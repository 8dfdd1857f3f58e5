"""A change to a network after its class built it: a kind and JSON arguments, no tensors and no code."""

from __future__ import annotations

import json
import re
from abc import ABC
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from typing import Any, ClassVar, TypeVar

import torch
from torch import nn

from maas.errors import FormatError, RecipeError, show

_KIND = re.compile(r"[a-z][a-z0-9_]{0,63}")
_MOST_BYTES = 1 << 20
_REGISTER: dict[str, type[Transform]] = {}
_Class = TypeVar("_Class", bound="type[Transform]")


class Transform(ABC):
    """A frozen dataclass, registered by `transform`, whose fields are JSON values.

    It changes a network's structure, before weights are put in; or only how its tensors are stored; or both.
    """

    kind: ClassVar[str]
    trainable: ClassVar[bool] = True
    """Whether `maas.fit` may go on with the network."""
    differentiable: ClassVar[bool] = True
    """Whether gradients go through what it makes, and its numbers are floats that may be taken in fewer bits."""
    tolerance: ClassVar[float] = 0.0
    """By how much golden answers may differ on another machine, where that is more than the dtype's own."""

    def apply(self, network: nn.Module) -> nn.Module:
        """The changed network; it may be the very one. Also on the meta device, where tensors have no content.

        Raises:
            RecipeError: the network is not one that this transform was made for.
        """
        return network

    def stored(self, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """A network's tensors as an artifact holds them."""
        return dict(tensors)

    def restored(self, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The inverse of `stored`, to the bit for tensors that it has been through once.

        Raises:
            FormatError: they are not what `stored` gives.
        """
        return dict(tensors)

    def to_json(self) -> dict[str, Any]:
        """The transform as JSON, as an artifact holds it."""
        return {"kind": self.kind, "arguments": asdict(self)}  # type: ignore[call-overload]


def transform(kind: str) -> Callable[[_Class], _Class]:
    """Register a transform under the name that artifacts store."""
    if not _KIND.fullmatch(kind):
        raise RecipeError(f"a transform's kind is lower-case letters, digits and '_', got {show(kind)}")

    def register(cls: _Class) -> _Class:
        other = _REGISTER.get(kind)
        if other is not None and (other.__module__, other.__qualname__) != (cls.__module__, cls.__qualname__):
            raise RecipeError(f"the transform {kind!r} is taken by {other.__module__}.{other.__qualname__}")
        cls.kind = kind
        _REGISTER[kind] = cls
        return cls

    return register


def from_json(states: Any) -> tuple[Transform, ...]:
    """The transforms of an artifact, in order.

    Raises:
        FormatError: one is unknown, or its arguments are not those of its kind.
    """
    if type(states) is not list:
        raise FormatError(f"transforms are a list, got {show(states)}")
    found: list[Transform] = []
    for state in states:
        if type(state) is not dict or state.keys() != {"kind", "arguments"} or type(state["arguments"]) is not dict:
            raise FormatError(f"a transform is {{kind: string, arguments: object}}, got {show(state)}")
        cls = _REGISTER.get(state["kind"]) if type(state["kind"]) is str else None
        if cls is None:
            known = ", ".join(sorted(_REGISTER)) or "none"
            raise FormatError(f"unknown transform {show(state['kind'])}; this version of maas knows {known}")
        if len(json.dumps(state["arguments"])) > _MOST_BYTES:
            raise FormatError(f"the arguments of the transform {cls.kind!r} take more than {_MOST_BYTES} bytes")
        names = {field.name for field in fields(cls)}  # type: ignore[arg-type]
        if state["arguments"].keys() != names:
            raise FormatError(
                f"the transform {cls.kind!r} has the arguments {', '.join(sorted(names)) or 'none'}, got "
                f"{', '.join(map(show, state['arguments'])) or 'none'}"
            )
        found.append(cls(**state["arguments"]))
    return tuple(found)
