"""A recipe: which network, with which arguments, before the data gives the sizes."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import nn

from maas.errors import FormatError, RecipeError, show
from maas.nn._register import Learns, kind_of, learns, network_class
from maas.nn.transforms import Transform, from_json
from maas.schema import TensorSpec

_MOST_BYTES = 1 << 16
_MOST_LEVELS = 32


@dataclass(frozen=True)
class Recipe:
    """A network as a value: a registered name and JSON arguments, no tensors.

    Arguments may hold recipes, of the networks that a network is made of; they are stored as their JSON.

    Args:
        kind: the name the network's class is registered under.
        arguments: arguments of its `__init__`, all or some.
        transforms: what is done to the network that the class builds, in order; see `maas.compress`.
    """

    kind: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    transforms: tuple[Transform, ...] = ()

    def __post_init__(self) -> None:
        cls = network_class(self.kind)
        known = inspect.signature(cls).parameters
        for name, value in self.arguments.items():
            if name not in known:
                raise RecipeError(f"{cls.__name__} has no argument {show(name)}, it has {', '.join(known)}")
            try:
                json.dumps(value, allow_nan=False, default=_plain)
            except (TypeError, ValueError, RecursionError) as error:
                raise RecipeError(
                    f"`{name}` of {cls.__name__} must be a JSON value, got {show(value)}: {error}"
                ) from error
        frozen = json.dumps(dict(self.arguments), default=_plain)
        if len(frozen) > _MOST_BYTES:
            raise RecipeError(f"the arguments of a recipe take at most {_MOST_BYTES} bytes, got {len(frozen)}")
        plain = json.loads(frozen)  # tuples become lists; nothing is shared
        for name, value in plain.items():
            _check_levels(value, name)
        object.__setattr__(self, "arguments", plain)

    @property
    def learns(self) -> Learns:
        """ "gradient" or "closed_form"; see `maas.network`."""
        return learns(self.kind)

    def resolve(self, inputs: Mapping[str, TensorSpec], num_outputs: int) -> Recipe:
        """Fill in the sizes that the data gives and every default, so that a later default changes nothing.

        Args:
            inputs: the tensors that the preprocessing makes, by parameter name of `forward`.
            num_outputs: the number of values that the task wants for each row.

        Raises:
            RecipeError: an argument contradicts the data, or one is still missing.
        """
        cls = network_class(self.kind)
        arguments = dict(self.arguments)
        if hasattr(cls, "resolve"):
            arguments = cls.resolve(arguments, inputs, num_outputs)
        try:
            sizes = cls.sizes(inputs, num_outputs) if hasattr(cls, "sizes") else {}
        except RecipeError as error:
            if not all("__" in name for name in inputs):
                raise
            raise RecipeError(f"{error}; of mixed rows, maas.nn.Fusion takes a network for each part") from error
        for name, size in sizes.items():
            if arguments.setdefault(name, size) != size:
                raise RecipeError(
                    f"`{name}` of {cls.__name__} is {show(arguments[name])} in the recipe, and {size} by the data; "
                    f"leave it out"
                )
        return replace(self, arguments=arguments).bound()

    def bound(self) -> Recipe:
        """The same recipe with every default written out, also of the recipes in its arguments.

        Raises:
            RecipeError: an argument without a default is missing.
        """
        cls = network_class(self.kind)
        try:
            bound = inspect.signature(cls).bind(**self.arguments)
        except TypeError as error:
            raise RecipeError(f"{cls.__name__}: {error}; give it in the recipe") from error
        bound.apply_defaults()
        return replace(self, arguments={name: _bound(value) for name, value in bound.arguments.items()})

    def build(self) -> nn.Module:
        """A new network. Each call gives fresh parameters.

        Raises:
            RecipeError: the class refuses the arguments, or a transform the network.
        """
        cls = network_class(self.kind)
        try:
            network = cls(**self.arguments)
        except RecipeError:
            raise
        except (TypeError, ValueError, RuntimeError, OverflowError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]  # torch appends a backtrace
            given = json.dumps(dict(self.arguments))
            raise RecipeError(f"{cls.__name__} cannot be built from {given[:200]}: {reason[:500]}") from error
        for one in self.transforms:
            network = one.apply(network)
        return network

    def with_arguments(self, **arguments: Any) -> Recipe:
        """The same recipe with some arguments given another value."""
        return replace(self, arguments={**self.arguments, **arguments})

    def to_json(self) -> dict[str, Any]:
        """The recipe as JSON, as an artifact holds it."""
        state = {"kind": self.kind, "arguments": dict(self.arguments)}
        return {**state, "transforms": [one.to_json() for one in self.transforms]} if self.transforms else state

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> Recipe:
        """The recipe that `to_json` wrote."""
        if type(state["kind"]) is not str or type(state["arguments"]) is not dict:
            raise FormatError("a recipe is {kind: string, arguments: object}")
        return cls(state["kind"], state["arguments"], from_json(state.get("transforms", [])))


def recipe(network: type[nn.Module] | str, /, **arguments: Any) -> Recipe:
    """Describe a network; `maas.fit` builds it once the data gives the sizes.

    Args:
        network: a registered class, such as `maas.nn.MLP`, or its name.
        arguments: arguments of its `__init__`; leave out those that follow from the data.

    Raises:
        RecipeError: the class is not registered, or has no such argument.

    >>> from maas.nn import MLP
    >>> recipe(MLP, hidden=(64, 64))
    Recipe(kind='mlp', arguments={'hidden': [64, 64]}, transforms=())
    """
    return Recipe(network if isinstance(network, str) else kind_of(network), arguments)


def _plain(value: Any) -> Any:
    """What json is to write of a value that it does not know."""
    if isinstance(value, Recipe):
        return value.to_json()
    if isinstance(value, type):
        raise TypeError(f"{value.__name__} is a class; give maas.recipe({value.__name__})")
    raise TypeError(f"a {type(value).__name__} is none")


def _check_levels(value: Any, name: str, level: int = 1) -> None:
    if level > _MOST_LEVELS:
        raise RecipeError(f"`{name}` may be nested {_MOST_LEVELS} deep, and is deeper")
    if isinstance(value, (dict, list)):
        for item in value.values() if isinstance(value, dict) else value:
            _check_levels(item, name, level + 1)


def _bound(value: Any) -> Any:
    """An argument's value, each recipe in it bound."""
    if isinstance(value, dict) and value.keys() == {"kind", "arguments"}:
        return Recipe.from_json(value).bound().to_json()
    if isinstance(value, dict):
        return {name: _bound(item) for name, item in value.items()}
    return [_bound(item) for item in value] if isinstance(value, list) else value
