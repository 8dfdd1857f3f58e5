"""Which module of a network reads what another gives: found by running it, never by names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

Call = tuple[str, int]
"""A module's name, and how often it had been called before in the same pass."""
PASSING = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d)
"""Modules that in evaluation give what they take."""


@dataclass
class Trace:
    """What one pass through a network showed.

    Args:
        modules: by name, those that have no modules inside.
        calls: how often each was called.
        readers: by call, who read what it gave; None stands for code outside of these modules.
        shared: modules whose own parameters others read too, or have.
        work: by module, multiplications a row.
    """

    modules: dict[str, nn.Module]
    calls: dict[str, int] = field(default_factory=dict)
    readers: dict[Call, set[Call | None]] = field(default_factory=dict)
    shared: set[str] = field(default_factory=set)
    work: dict[str, float] = field(default_factory=dict)

    def after(self, name: str) -> Iterator[Call]:
        """The calls that follow a module that is called once, as long as each alone reads what the one before gives."""
        call: Call | None = (name, 0)
        while call is not None and len(readers := self.readers.get(call, set())) == 1:
            (call,) = readers
            if call is not None:
                yield call

    def alone(self, *types: type[nn.Module]) -> list[str]:
        """Modules of exactly these classes that are called once and share nothing."""
        return [
            name
            for name, module in self.modules.items()
            if type(module) in types and self.calls.get(name) == 1 and name not in self.shared
        ]


def trace(network: nn.Module, inputs: Mapping[str, torch.Tensor]) -> Trace:
    """Run a network in evaluation mode on a few rows, and see who reads what."""
    watch = _Watch(network)
    hooks: list[Any] = []
    for name, module in watch.trace.modules.items():
        hooks.append(module.register_forward_pre_hook(watch.entering(name)))
        hooks.append(module.register_forward_hook(watch.leaving(name)))
    try:
        with torch.no_grad(), watch:
            watch.read(network(**inputs))
    finally:
        for hook in hooks:
            hook.remove()
    return watch.trace


class _Watch(TorchFunctionMode):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.trace = Trace({name: one for name, one in network.named_modules() if not list(one.children())})
        self.inside: list[Call] = []
        self.givers: dict[int, Call] = {}
        self.alive: list[torch.Tensor] = []  # or an id might come to stand for another tensor
        self.owners: dict[int, str] = {}
        for name, module in self.trace.modules.items():
            for parameter in module.parameters(recurse=False):
                other = self.owners.setdefault(id(parameter), name)
                if other != name:
                    self.trace.shared |= {name, other}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.read(args, *(kwargs or {}).values())
        return func(*args, **(kwargs or {}))

    def read(self, *values: Any) -> None:
        """Note that the module that runs now, or code outside of all, reads these."""
        here = self.inside[-1] if self.inside else None
        for value in values:
            if isinstance(value, (list, tuple)):
                self.read(*value)
            elif isinstance(value, torch.Tensor):
                giver, owner = self.givers.get(id(value)), self.owners.get(id(value))
                if giver is not None and giver != here:
                    self.trace.readers[giver].add(here)
                if owner is not None and (here is None or here[0] != owner):
                    self.trace.shared.add(owner)

    def entering(self, name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: tuple[Any, ...]) -> None:
            self.inside.append((name, self.trace.calls.get(name, 0)))
            self.read(args)

        return hook

    def leaving(self, name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            call = self.inside[-1]  # and what is asked of tensors here counts as asked by the module itself
            self.trace.calls[name] = call[1] + 1
            if isinstance(output, torch.Tensor):
                weight = getattr(module, "weight", None)
                if isinstance(weight, torch.Tensor) and weight.dim() > 1:
                    self.trace.work[name] = output.numel() / max(1, len(output)) * weight[0].numel()
                self.givers[id(output)] = call
                self.trace.readers[call] = set()
                self.alive.append(output)
            self.inside.pop()

        return hook
