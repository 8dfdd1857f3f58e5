"""The two formats: how a graph is written, and how it is run again to be checked."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from maas.errors import ExportError
from maas.exporting._graph import Graph

Run = Callable[[Mapping[str, torch.Tensor]], torch.Tensor]
OUTPUTS = "outputs"


def write_pt2(graph: Graph, path: Path) -> None:
    """The graph as torch.export stores it."""
    torch.export.save(graph.program, path)


def run_pt2(path: Path, names: tuple[str, ...]) -> Run:
    """The stored graph, read again."""
    module = torch.export.load(path).module()

    def run(inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        outputs: torch.Tensor = module(*[inputs[name] for name in names])
        return outputs

    return run


def write_onnx(graph: Graph, path: Path) -> None:
    """The graph as ONNX; weights that do not fit into one file stand in `.data` beside it."""
    _need_onnx()
    found = torch.onnx.export(
        graph.program, dynamo=True, verbose=False, input_names=list(graph.names), output_names=[OUTPUTS]
    )
    assert found is not None
    found.save(path)
    _name_sizes(path, graph.symbols)


def run_onnx(path: Path, names: tuple[str, ...]) -> Run:
    """The stored graph in onnxruntime, on the CPU."""
    _need_onnx()
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def run(inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        (outputs,) = session.run([OUTPUTS], {name: inputs[name].numpy() for name in names})
        return torch.from_numpy(outputs)

    return run


def _name_sizes(path: Path, symbols: Mapping[str, str]) -> None:
    """Call sizes that may differ by our names in place of torch's, which mean nothing to anybody."""
    import onnx

    model: Any = onnx.load(path, load_external_data=False)
    words = re.compile(rf"\b({'|'.join(map(re.escape, symbols))})\b")
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        for size in value.type.tensor_type.shape.dim:
            if size.dim_param:
                size.dim_param = words.sub(lambda found: symbols[found[1]], size.dim_param)
    path.write_bytes(model.SerializeToString())


def _need_onnx() -> None:
    if missing := [name for name in ("onnx", "onnxruntime", "onnxscript") if find_spec(name) is None]:
        raise ExportError(f"the format onnx needs {', '.join(missing)}: pip install 'maas-torch[onnx]'")
