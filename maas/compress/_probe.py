"""Which numbers of which layers stand for one another: found by changing some and looking what changes.

In a copy of the network each layer that can be narrowed gives made-up numbers, whatever it takes. So what comes of one
of them at the next layers is what lies between: activations, pooling, flattening, sums, gates, a gathered step. Numbers
tell who they are by a code: in each of some runs those with a one in it are changed. All codes have as many ones, so a
number that depends on two of them shows more, and is known to be a mixture.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from itertools import combinations, islice
from typing import Any

import torch
from torch import nn

from maas.nn.transforms import is_by_channel, sizes_of

Inputs = Mapping[str, torch.Tensor]
Place = tuple[str, str]
"""A layer's name, and its side: "taken" or "given"."""
Unit = Mapping[Place, list[int]]
_Slot = tuple[str, str, int]
_STEP = 0.25  # by which a number is changed; made-up ones are from a half to one, where no activation is flat
_STAYS: _Slot = ("", "", 0)
"""Stands for all that must stay: inputs, outputs, mixtures."""


def units_by_layers(network: nn.Module, inputs: Inputs) -> list[list[Unit]]:
    """The units of a network, those of the same layers together.

    Args:
        network: in float64 on the CPU, in evaluation mode; it is left as it is.
        inputs: prepared rows, floats in float64.
    """
    probe = _Probe(network, inputs)
    classes = _Classes()
    for (name, side), changed in probe.changes_by_others().items():
        for number in changed.nonzero()[:, 0].tolist():
            classes.join(_STAYS, probe.slot(name, side, number))
    for reached in _apart(probe):
        _follow(probe, classes, reached)
    return _grouped(probe, classes)


class _Probe:
    """A copy of a network whose layers give made-up numbers, and tell what they take."""

    def __init__(self, network: nn.Module, inputs: Inputs) -> None:
        self.network = copy.deepcopy(network)
        self.inputs = {name: one.clone() for name, one in inputs.items()}
        found = {name: module for name, module in self.network.named_modules() if sizes_of(module) is not None}
        for name, module in found.items():
            if isinstance(module, nn.Embedding):  # its table may be read without its forward
                module.weight.uniform_(0.5, 1.0)
            else:
                module.forward = _MadeUp(self, name, module)
        self.steps: Mapping[str, torch.Tensor] = {}
        self.before: dict[str, list[torch.Tensor]] = {}
        self.changed: dict[str, list[torch.Tensor]] = {}
        self.is_first = True
        self._outputs = self.network(**self.inputs)
        self.is_first = False
        self.layers = {name: one for name, one in found.items() if name in self.before or isinstance(one, nn.Embedding)}
        within = {id(parameter) for module in self.layers.values() for parameter in module.parameters()}
        self._others = [parameter for parameter in self.network.parameters() if id(parameter) not in within]

    def slot(self, name: str, side: str, number: int) -> _Slot:
        """Where a number stands; a layer that works by channel gives in a place what it takes there."""
        if not name:
            return _STAYS
        return name, "given" if is_by_channel(self.layers[name]) else side, number

    def changes_by_others(self) -> dict[Place, torch.Tensor]:
        """As `changes`, once all is changed that comes from no layer: inputs, and parameters outside of the layers."""
        others = [*self._others, *(one for one in self.inputs.values() if one.is_floating_point())]
        before = [one.clone() for one in others]
        for one in others:
            one.add_(_STEP)
        found = self.changes({})
        for one, old in zip(others, before, strict=True):
            one.copy_(old)
        return found

    def changes(self, steps: Mapping[str, torch.Tensor]) -> dict[Place, torch.Tensor]:
        """Which numbers that layers take, or that the network gives, change once those of some layers do by `steps`."""
        tables = {name: layer for name, layer in self.layers.items() if isinstance(layer, nn.Embedding)}
        kept = {name: tables[name].weight.clone() for name in steps if name in tables}
        for name in kept:
            tables[name].weight.add_(steps[name])
        self.steps, self.changed = steps, {}
        outputs = self.network(**self.inputs)
        for name, weight in kept.items():
            tables[name].weight.copy_(weight)
        found = {(name, "taken"): torch.stack(parts).any(dim=0) for name, parts in self.changed.items()}
        return {**found, ("", ""): (outputs != self._outputs).flatten(1).any(dim=0)}


class _MadeUp:
    """What a layer gives in place of what it would: numbers that depend on nothing."""

    def __init__(self, probe: _Probe, name: str, module: nn.Module) -> None:
        self.probe, self.name, self.module, self.real = probe, name, module, module.forward
        self.axis = 1 if isinstance(module, (nn.Conv1d, nn.Conv2d, nn.BatchNorm1d, nn.BatchNorm2d)) else -1
        self.given: list[Any] = []  # at each call

    def __call__(self, values: torch.Tensor, *more: Any) -> Any:
        probe = self.probe
        before = probe.before.setdefault(self.name, [])  # at each call
        if probe.is_first:
            before.append(values.clone())
            self.given.append(self._map(self.real(values, *more), lambda one: torch.empty_like(one).uniform_(0.5, 1.0)))
            return self._map(self.given[-1], torch.clone)
        calls = probe.changed.setdefault(self.name, [])
        given = self.given[len(calls)]
        calls.append((values != before[len(calls)]).movedim(self.axis, 0).flatten(1).any(dim=1))
        step = probe.steps.get(self.name)
        # always a new tensor: what comes next may write into it
        return self._map(given, lambda one: one.clone() if step is None else one + self._along(step, one))

    def _map(self, given: Any, change: Any) -> Any:
        """Of a recurrent layer all that it gives: its steps, and the state after the last one."""
        if isinstance(given, tuple):
            return tuple(self._map(one, change) for one in given)
        return change(given)

    def _along(self, step: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        return step.reshape(-1, *[1] * (values.dim() - 2)) if self.axis == 1 else step


class _Classes:
    """Numbers that stand for one another: a forest of disjoint sets."""

    def __init__(self) -> None:
        self.parents: dict[_Slot, _Slot] = {}

    def find(self, slot: _Slot) -> _Slot:
        while (parent := self.parents.setdefault(slot, slot)) != slot:
            self.parents[slot] = slot = self.parents[parent]
        return slot

    def join(self, one: _Slot, other: _Slot) -> None:
        self.parents[self.find(one)] = self.find(other)


def _apart(probe: _Probe) -> list[dict[Place, str]]:
    """Layers that can be followed at once, as no other layer depends on two of them: by what is reached, from where."""
    parts: list[dict[Place, str]] = []
    for name in probe.layers:
        step = torch.full((_given(probe, name),), _STEP, dtype=torch.float64)
        reached = {place: name for place, changed in probe.changes({name: step}).items() if changed.any()}
        part = next((part for part in parts if not part.keys() & reached.keys()), None)
        if part is None:
            parts.append(part := {})
        part.update(reached)
    return parts


def _follow(probe: _Probe, classes: _Classes, reached: Mapping[Place, str]) -> None:
    """Find what depends on each of the numbers that some layers give."""
    codes = {name: _codes(_given(probe, name)) for name in reached.values()}
    known = {name: {tuple(code): number for number, code in enumerate(codes[name].tolist())} for name in codes}
    runs = [
        probe.changes({name: code[:, run].double() * _STEP for name, code in codes.items() if run < code.shape[1]})
        for run in range(max((code.shape[1] for code in codes.values()), default=0))
    ]
    for (other, side), name in reached.items():
        seen = torch.stack([run[other, side] for run in runs[: codes[name].shape[1]]], dim=1)  # (numbers taken, runs)
        for place in seen.any(dim=1).nonzero()[:, 0].tolist():
            number = known[name].get(tuple(map(int, seen[place].tolist())))
            if number is not None:
                classes.join(probe.slot(other, side, place), (name, "given", number))
                continue
            classes.join(probe.slot(other, side, place), _STAYS)
            for each in range(len(codes[name])):
                classes.join((name, "given", each), _STAYS)


def _given(probe: _Probe, name: str) -> int:
    sizes = sizes_of(probe.layers[name])
    assert sizes is not None
    return sizes[1]


def _codes(count: int) -> torch.Tensor:
    """A code of zeros and ones for each of so many numbers, all with as many ones: (count, runs)."""
    runs = next(runs for runs in range(1, 64) if math.comb(runs, (runs + 1) // 2) >= count)
    codes = torch.zeros(count, runs, dtype=torch.int64)
    for number, ones in enumerate(islice(combinations(range(runs), (runs + 1) // 2), count)):
        codes[number, list(ones)] = 1
    return codes


def _grouped(probe: _Probe, classes: _Classes) -> list[list[Unit]]:
    """Units by the layers that they are in; a unit is made by a layer with weights of its own."""
    order = {name: place for place, name in enumerate(probe.layers)}
    members: dict[_Slot, dict[Place, list[int]]] = {}
    for name, module in probe.layers.items():
        sizes = sizes_of(module)
        assert sizes is not None
        for side, size in zip(("taken", "given"), sizes, strict=True):
            if side == "taken" and (is_by_channel(module) or isinstance(module, nn.Embedding)):
                continue
            for number in range(size):
                unit = members.setdefault(classes.find((name, side, number)), {})
                unit.setdefault((name, side), []).append(number)
    members.pop(classes.find(_STAYS), None)
    groups: dict[tuple[Place, ...], list[Unit]] = {}
    for unit in members.values():
        if any(side == "given" and not is_by_channel(probe.layers[name]) for name, side in unit):
            key = tuple(sorted(unit, key=lambda place: (order[place[0]], place[1])))
            groups.setdefault(key, []).append(unit)
    return list(groups.values())
