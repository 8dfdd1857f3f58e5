"""A model as its clients need to know it."""

from __future__ import annotations

from typing import Any

from maas.model import Model
from maas.serving.protocols import Identity
from maas.serving.protocols._v2_types import to_tensor, usual_datatype


def describe(model: Model, identity: Identity) -> dict[str, Any]:
    """Schema, labels, card, and a sample request ready to send, with its answer."""
    example = model.example or {"rows": [None], "answers": [None]}
    row, answer = example["rows"][0], example["answers"][0]
    return {
        "model": identity.to_json(),
        "task": model.task.kind,
        "target": model.target,
        "labels": model.task.state()[0].get("classes"),
        "schema": model.schema.json_schema(),
        "fields": model.schema.to_json(),
        "example": {"row": row, "answer": answer},
        "request": {
            "method": "POST",
            "path": f"/predictions/{identity.name}",
            "headers": {"Content-Type": "application/json"},
            "body": row,
            "answer": {**(answer or {}), "model": identity.to_json()},
        },
        "card": model.card,
    }


def v2_metadata(model: Model, identity: Identity) -> dict[str, Any]:
    """The metadata of the Open Inference Protocol V2: a tensor a field in, a tensor a column of answers out.

    -1 stands for a number of rows, or of steps, that may differ. A field of numbers takes every datatype of numbers; a
    label takes numbers or BOOL too, where it is one.
    """
    rows = (model.example or {}).get("rows") or model.preprocess.examples(1)
    outputs = []
    for name, column in model.predict(rows).columns.items():
        datatype, values = to_tensor(column)
        outputs.append({"name": name, "datatype": datatype, "shape": [-1, *values.shape[1:]]})
    inputs = [
        {
            "name": field.name,
            "datatype": usual_datatype(field.dtype),
            "shape": [-1, *(-1 if size is None else size for size in field.shape)] if field.shape else [-1, 1],
        }
        for field in model.schema.fields
    ]
    return {
        "name": identity.name,
        "versions": [identity.version],
        "platform": "maas",
        "inputs": inputs,
        "outputs": outputs,
    }
