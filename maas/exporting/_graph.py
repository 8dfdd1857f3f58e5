"""A model's network as a graph, for any number of rows and, where its inputs have steps, any number of those."""

from __future__ import annotations

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
        ExportError: torch cannot trace it for any number of rows and steps.
    """
    specs = model.preprocess.outputs
    names = tuple(specs)
    batch = Dim(BATCH, min=1)
    # Dim.AUTO lets torch find the least number of steps; whether it stays free is checked below.
    dims = [{0: batch, **{at + 1: Dim.AUTO for at in _free(spec.shape)}} for spec in specs.values()]
    network = Positional(with_scans(model.network), names)
    program = torch.export.export(network, tuple(_example(model).values()), dynamic_shapes=(tuple(dims),))
    _forget_places(program)
    values = [node.meta["val"] for node in program.graph.nodes if node.op == "placeholder"][-len(names) :]
    shapes: dict[str, list[Size]] = {}
    least, symbols = {BATCH: 1}, {}
    for name, spec, value in zip(names, specs.values(), values, strict=True):
        sizes: list[Size] = []
        for at, size in enumerate(value.shape):
            if isinstance(size, int):
                if at == 0 or spec.shape[at - 1] is None:
                    raise ExportError(f"{_kind(model)} fixes the size {at} of `{name}` to {size}: it takes no other")
                sizes.append(size)
                continue
            called = BATCH if at == 0 else f"{name}_steps" if sizes.count(f"{name}_steps") == 0 else f"{name}_{at}"
            symbols[str(size.node.expr)] = called
            bounds = program.range_constraints.get(size.node.expr)
            least[called] = max(1, int(bounds.lower)) if bounds is not None else 1
            sizes.append(called)
        shapes[name] = sizes
    return Graph(program, names, shapes, least, symbols)


def _forget_places(program: ExportedProgram) -> None:
    """Leave out where in which file of this machine each operation stands: others have no use for that."""
    for module in program.graph_module.modules():
        if isinstance(module, torch.fx.GraphModule):
            for node in module.graph.nodes:
                node.meta.pop("stack_trace", None)


def _example(model: Model) -> dict[str, torch.Tensor]:
    """Prepared rows to trace with, padded to more than one step."""
    rows = model.preprocess.examples(_ROWS)
    inputs = model.prepare([rows[place % len(rows)] for place in range(_ROWS)]).batch.inputs
    return {name: padded(model, name, tensor, _STEPS) for name, tensor in inputs.items()}


def padded(model: Model, name: str, tensor: torch.Tensor, steps: int) -> torch.Tensor:
    """An input with zeros behind its steps, so that it has at least so many."""
    for at in _free(model.preprocess.outputs[name].shape):
        if (more := steps - tensor.shape[at + 1]) > 0:
            shape = [*tensor.shape[: at + 1], more, *tensor.shape[at + 2 :]]
            tensor = torch.cat([tensor, tensor.new_zeros(shape)], dim=at + 1)
    return tensor.contiguous()


def _free(shape: tuple[Any, ...]) -> list[int]:
    return [at for at, size in enumerate(shape) if size is None]


def _kind(model: Model) -> str:
    return f"the network {model.recipe.kind!r}"
