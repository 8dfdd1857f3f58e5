"""Finding and replacing the modules of a network by their names, which an artifact may give wrongly."""

from __future__ import annotations

from typing import Any

from torch import nn

from maas.errors import FormatError, RecipeError, show


def named(network: nn.Module, name: str, *types: type[nn.Module]) -> Any:
    """The module of a name, which must be of exactly one of these classes, for a subclass may compute otherwise.

    Raises:
        RecipeError: there is none, or it is of another class.
    """
    module = dict(network.named_modules()).get(name)
    if module is None:
        raise RecipeError(f"a transform names the module {show(name)}, which the network does not have")
    if type(module) not in types:
        wanted = " or ".join(one.__name__ for one in types)
        raise RecipeError(f"a transform wants {show(name)} to be a {wanted}, it is a {type(module).__name__}")
    return module


def put(network: nn.Module, name: str, module: nn.Module) -> None:
    """Let a module stand where one of that name stood."""
    parent, _, last = name.rpartition(".")
    network.get_submodule(parent).register_module(last, module)


def is_names(value: object) -> bool:
    """Whether a value out of JSON is a list of names."""
    return isinstance(value, (list, tuple)) and all(type(name) is str and name for name in value)


def as_names(argument: str, value: object) -> tuple[str, ...]:
    """A transform's list of names. Raises FormatError for anything else."""
    if not is_names(value):
        raise FormatError(f"`{argument}` is a list of names, got {show(value)}")
    return tuple(value)  # type: ignore[arg-type]
