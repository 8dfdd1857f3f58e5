"""A model as its clients need to know it."""

from __future__ import annotations

from typing import Any

from maas.model import Model
from maas.serving.protocols import Identity


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
