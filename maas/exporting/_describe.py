"""What stands beside an exported network: all that somebody needs who re-implements what is before and after it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from maas._version import __version__
from maas.exporting._formats import OUTPUTS
from maas.exporting._graph import BATCH, Graph
from maas.model import Model
from maas.task import Batch

DOCUMENT = "model.json"
ARRAYS = "arrays.safetensors"
_VERSION = 1


def describe(
    model: Model, graph: Graph, batch: Batch, rows: list[Any], file: str, tolerance: float, differs: float
) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """model.json and arrays.safetensors.

    Args:
        model: the model.
        graph: of its network.
        batch, rows: the golden rows, prepared and as a client sends them.
        file: name of the network's file.
        tolerance, differs: by how much outputs may differ, and did.
    """
    state, arrays = model.preprocess.state()
    task_state, task_arrays = model.task.state()
    with torch.inference_mode():
        outputs = model.network(**batch.inputs)
    tensors = {f"preprocess.{name}": torch.from_numpy(np.ascontiguousarray(one)) for name, one in arrays.items()}
    tensors |= {f"task.{name}": torch.from_numpy(np.ascontiguousarray(one)) for name, one in task_arrays.items()}
    tensors |= {f"example.{name}": tensor.contiguous() for name, tensor in batch.inputs.items()}
    tensors[f"example.{OUTPUTS}"] = outputs.clone().contiguous()
    document = {
        "export": _VERSION,
        "file": file,
        "made_of": {
            "digest": model.digest,
            "network": model.recipe.kind,
            "transforms": [one.to_json() for one in model.recipe.transforms],
            "versions": {"maas": __version__, "torch": torch.__version__},
        },
        "schema": model.schema.to_json(),
        "preprocess": {"kind": model.preprocess.kind, "state": state, "arrays": sorted(arrays)},
        "inputs": [
            {
                "name": name,
                "dtype": spec.dtype,
                "shape": graph.shapes[name],
                "below": spec.limit,
                "lengths": f"{name}_lengths" if f"{name}_lengths" in graph.names else None,
            }
            for name, spec in model.preprocess.outputs.items()
        ],
        "least": graph.least,
        "outputs": [
            {"name": OUTPUTS, "dtype": str(outputs.dtype).removeprefix("torch."), "shape": [BATCH, outputs.shape[1]]}
        ],
        "task": {
            "kind": model.task.kind,
            "target": model.target,
            "state": task_state,
            "arrays": sorted(task_arrays),
            **model.task.meaning(),
        },
        "example": {"rows": rows, "answers": model.predict(rows).to_dicts()},
        "tolerance": tolerance,
        "differs": differs,
    }
    return document, tensors
