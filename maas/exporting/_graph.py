"""A model's network as a graph, for any number of rows and, where its inputs have steps, any number of those."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.export import Dim, ExportedProgram

from maas.errors import ExportError
from maas.exporting._scan import with_scans
from maas.model import Model

_ROWS, _STEPS = 3, 17
"""Of the example that a graph is traced by; the numbers mean nothing, but that 0 and 1 would be taken for constants."""
BATCH = "batch"
Size = int | str


@dataclass(frozen=True)
class Graph:
    """A network as a graph.

    Args:
        program: takes the inputs in their order, and gives the outputs.
        names: of the inputs.
        shapes: of each input: a number, or the name of a size that may differ.
        least: by name of such a size, the least that the graph takes; shorter ones are padded by zeros to it.
        symbols: by torch's name of such a size, ours.
    """

    program: ExportedProgram
    names: tuple[str, ...]
    shapes: dict[str, list[Size]]
    least: dict[str, int]
    symbols: dict[str, str]


class Positional(nn.Module):
    """A network whose inputs come in a fixed order: what a graph has in place of names."""

    def __init__(self, network: nn.Module, names: tuple[str, ...]) -> None:
        super().__init__()
        self.network, self.names = network, names

    def forward(self, *tensors: torch.Tensor) -> torch.Tensor:
        """The inputs -> (batch, num_outputs)."""
        outputs: torch.Tensor = self.network(**dict(zip(self.names, tensors, strict=True)))
        return outputs


def graph_of(model: Model) -> Graph:
    """The graph of a model's network.

    Raises:
        ExportError: torch fixes the number of rows or of steps.
        Exception: torch cannot trace it.
    """
    names = tuple(model.preprocess.outputs)
    program = _traced(model, names)
    _forget_places(program)
    values = [node.meta["val"] for node in program.graph.nodes if node.op == "placeholder"][-len(names) :]
    shapes: dict[str, list[Size]] = {}
    least, symbols = {BATCH: 1}, {}
    for name, value in zip(names, values, strict=True):
        shapes[name] = list(value.shape)
        for at in (0, *_steps_at(model, name)):
            size = value.shape[at]
            called = _called(name, at)
            if isinstance(size, int):
                raise ExportError(
                    f"the network {model.recipe.kind!r} is fixed to {size} as {called}: it takes no other"
                )
            symbols[str(size.node.expr)] = shapes[name][at] = called
            if at:
                least[called] = int(program.range_constraints[size.node.expr].lower)
    return Graph(program, names, shapes, least, symbols)


def padded(model: Model, name: str, tensor: torch.Tensor, steps: int) -> torch.Tensor:
    """An input with zeros behind its steps, so that it has at least so many."""
    for at in _steps_at(model, name):
        if (more := steps - tensor.shape[at]) > 0:
            tensor = torch.cat([tensor, tensor.new_zeros([*tensor.shape[:at], more, *tensor.shape[at + 1 :]])], dim=at)
    return tensor.contiguous()


def _traced(model: Model, names: tuple[str, ...]) -> ExportedProgram:
    network = Positional(with_scans(model.network), names)
    rows = model.preprocess.examples(_ROWS)
    inputs = model.prepare([rows[place % len(rows)] for place in range(_ROWS)]).batch.inputs
    example = tuple(padded(model, name, inputs[name], _STEPS) for name in names)

    def traced(free: Callable[[str], Any]) -> ExportedProgram:
        batch = Dim(BATCH, min=1)
        sizes = [{0: batch, **{at: free(_called(name, at)) for at in _steps_at(model, name)}} for name in names]
        return torch.export.export(network, example, dynamic_shapes=(tuple(sizes),))

    try:
        return traced(lambda called: Dim(called, min=1))
    except torch._dynamo.exc.UserError:  # not for so few steps; then torch finds for how many
        return traced(lambda _: Dim.AUTO)


def _steps_at(model: Model, name: str) -> list[int]:
    """The axes of an input whose size differs from batch to batch, but for the first."""
    return [at for at, size in enumerate(model.preprocess.outputs[name].shape, 1) if size is None]


def _called(name: str, at: int) -> str:
    """What a size that may differ is called."""
    return BATCH if at == 0 else f"{name}_steps" if at == 1 else f"{name}_steps_{at}"


def _forget_places(program: ExportedProgram) -> None:
    """Leave out where in which file of this machine each operation stands: others have no use for that."""
    for module in program.graph_module.modules():
        if isinstance(module, torch.fx.GraphModule):
            for node in module.graph.nodes:
                node.meta.pop("stack_trace", None)
