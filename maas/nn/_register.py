"""The register of networks: the names that recipes and artifacts use instead of classes."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Literal, TypeVar

from torch import nn

from maas.errors import RecipeError, show

ENTRY_POINTS = "maas.networks"
Learns = Literal["gradient", "closed_form"]
_KIND = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_REGISTER: dict[str, type[nn.Module]] = {}
_LEARNS: dict[str, Learns] = {}
_Class = TypeVar("_Class", bound=type[nn.Module])


def network(kind: str, *, learns: Learns = "gradient") -> Callable[[_Class], _Class]:
    """Register a network class under a name, so that recipes can describe it and artifacts can name it.

    The arguments of `__init__` must be JSON values (numbers, strings, booleans, lists, None). A class method
    `sizes(inputs, num_outputs) -> dict` may give those that follow from the data. A network made of others, whose
    recipes are among its arguments, resolves them in a class method `resolve(arguments, inputs, num_outputs) -> dict`.
    An installed package can register without being imported first, through an entry point of the group
    "maas.networks" that has the kind's name.

    Args:
        kind: lower-case name, such as "my_net". It is what artifacts store: keep it for as long as they live.
        learns: "gradient", by the training loop; or "closed_form", by one call of its `solve(parts)`, where each call
            of `parts()` gives the training rows anew, as batches.

    Raises:
        RecipeError: the name is malformed, or another class has it.

    >>> @network("doc.linear")
    ... class Linear(nn.Linear):
    ...     @classmethod
    ...     def sizes(cls, inputs, num_outputs):
    ...         return {"in_features": inputs["input"].shape[0], "out_features": num_outputs}
    """
    if not _KIND.fullmatch(kind):
        raise RecipeError(f"a network's kind is lower-case letters, digits, '_', '-' and '.', got {show(kind)}")

    def register(cls: _Class) -> _Class:
        other = _REGISTER.get(kind)
        # A class of the same name from the same module is the same one, imported again.
        if other is not None and (other.__module__, other.__qualname__) != (cls.__module__, cls.__qualname__):
            raise RecipeError(f"the kind {kind!r} is taken by {other.__module__}.{other.__qualname__}")
        _REGISTER[kind] = cls
        _LEARNS[kind] = learns
        return cls

    return register


def network_class(kind: str) -> type[nn.Module]:
    """The class registered under a name.

    Raises:
        RecipeError: there is none.
    """
    if kind not in _REGISTER:
        for entry in entry_points(group=ENTRY_POINTS, name=kind):
            entry.load()
    if kind not in _REGISTER:
        raise RecipeError(
            f"no network is registered as {show(kind)}; import the module that registers it with "
            f"@maas.network({show(kind)}); there are {', '.join(sorted(_REGISTER))}"
        )
    return _REGISTER[kind]


def learns(kind: str) -> Learns:
    """How the network of this kind learns."""
    network_class(kind)
    return _LEARNS[kind]


def kind_of(cls: type[nn.Module]) -> str:
    """The name a class is registered under."""
    for kind, registered in _REGISTER.items():
        if registered is cls:
            return kind
    raise RecipeError(f"{cls.__qualname__} is not registered; write @maas.network('a_name') above the class")
