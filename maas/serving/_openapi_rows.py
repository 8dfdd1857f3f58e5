"""What a model that answers rows takes and answers, for its OpenAPI document: rows, explanations, and V2."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from maas.schema import Field, Schema
from maas.serving._openapi_schema import ref, schema_of
from maas.serving.protocols import JSON, MOST_EXPLAINED, MOST_ROWS, takes_npy
from maas.serving.protocols._accept import NPY, OCTETS
from maas.serving.protocols._v2_types import usual_datatype


def row_paths(described: Mapping[str, Any], problems: Mapping[str, Any]) -> dict[str, Any]:
    """The operations that ask for answers, by path.

    Args:
        described: what `Client.describe` gives.
        problems: the responses that refuse.
    """
    name = described["model"]["name"]
    schema = Schema.from_json(described["fields"])
    row, answer = described["example"]["row"], {**described["example"]["answer"], "model": described["model"]}
    answers: dict[str, Any] = {
        JSON: {
            "schema": {"oneOf": [ref("BareAnswer"), ref("Answers")]},
            "examples": {
                "one row": {"value": answer},
                "many rows": {"value": {"predictions": [described["example"]["answer"]], "model": described["model"]}},
            },
        },
        NPY: {"schema": {"type": "string", "format": "binary"}},
    }
    predict = {
        "operationId": "predict",
        "summary": f"Answer rows: {described['target']} by {described['task']}",
        "requestBody": {"required": True, "content": _bodies(schema, row)},
        "responses": {"200": {"description": "The answer to each row", "content": answers}, **problems},
    }
    infer = {
        "operationId": "infer",
        "summary": "Answer rows by the Open Inference Protocol (V2)",
        "requestBody": {
            "required": True,
            "content": {JSON: {"schema": ref("InferenceRequest"), **_example(_v2_request(schema, row))}},
        },
        "responses": {
            "200": {
                "description": "One tensor for each part of the answer",
                "content": {JSON: {"schema": ref("InferenceResponse"), **_example(_v2_answer(described))}},
            },
            **problems,
        },
    }
    explain = {
        "operationId": "explain",
        "summary": f"What each field of a row adds to its answer; at most {MOST_EXPLAINED} rows",
        "requestBody": {"required": True, "content": _bodies(schema, row, MOST_EXPLAINED)},
        "responses": {
            "200": {
                "description": "The explanation of each row, by integrated gradients",
                "content": {JSON: {"schema": {"oneOf": [ref("BareExplanation"), ref("Explanations")]}}},
            },
            **problems,
        },
    }
    return {
        f"/predictions/{name}": {"post": predict},
        f"/explanations/{name}": {"post": explain},
        f"/v2/models/{name}/infer": {"post": infer},
    }


def row_schemas(described: Mapping[str, Any], identity: Mapping[str, Any]) -> dict[str, Any]:
    """The schemas that these operations name.

    Args:
        described: what `Client.describe` gives.
        identity: the schema of a model's name, version and digest.
    """
    one = schema_of(described["example"]["answer"])
    if described["labels"] and "label" in one["properties"]:
        one["properties"]["label"] = {"enum": described["labels"]}
    bare = {**one, "properties": {**one["properties"], "model": identity}, "required": [*one["required"], "model"]}
    many = {
        "type": "object",
        "properties": {"predictions": {"type": "array", "items": ref("Answer")}, "model": identity},
        "required": ["predictions", "model"],
    }
    return {
        "Answer": one,
        "BareAnswer": bare,
        "Answers": many,
        **_explanation_schemas(one, identity),
        **_v2_schemas(),
    }


def _example(value: Any) -> dict[str, Any]:
    return {} if value is None else {"example": value}


def _bodies(schema: Schema, row: Mapping[str, Any], most: int = MOST_ROWS) -> dict[str, Any]:
    """Every media type that a request may have."""
    rows = {"type": "array", "items": ref("Row"), "minItems": 1, "maxItems": most}
    instances = {"type": "object", "properties": {"instances": rows}, "required": ["instances"]}
    examples = {"one row": {"value": row}, "many rows": {"value": {"instances": [row, row]}}}
    binary = {"schema": {"type": "string", "format": "binary"}}
    parts = {field.name: _part(field) for field in schema.fields}
    bodies: dict[str, Any] = {
        JSON: {"schema": {"oneOf": [ref("Row"), instances]}, "examples": examples},
        "multipart/form-data": {"schema": {"type": "object", "properties": parts}},
    }
    if takes_npy(schema):
        bodies[NPY] = binary
    if [field.dtype for field in schema.fields] == ["bytes"]:
        bodies[OCTETS] = binary
    if [field.dtype for field in schema.fields] == ["string"]:
        bodies["text/plain"] = {"schema": {"type": "string"}, **_example(next(iter(row.values())))}
    return bodies


def _part(field: Field) -> dict[str, Any]:
    return {"type": "string", "format": "binary"} if field.dtype == "bytes" else field.json_schema()


def _explanation_schemas(answer: Mapping[str, Any], identity: Mapping[str, Any]) -> dict[str, Any]:
    numbers = {name: {"type": "number"} for name in ("output", "baseline", "gap")}
    label = {"label": answer["properties"].get("label", {})} if "label" in answer["properties"] else {}
    one = {**label, **numbers, "attributions": {"type": "object", "description": "by field"}}
    wanted = [*numbers, "attributions"]
    return {
        "Explanation": {"type": "object", "properties": one, "required": wanted},
        "BareExplanation": {
            "type": "object",
            "properties": {**one, "model": identity},
            "required": [*wanted, "model"],
        },
        "Explanations": {
            "type": "object",
            "properties": {"explanations": {"type": "array", "items": ref("Explanation")}, "model": identity},
            "required": ["explanations", "model"],
        },
    }


def _v2_schemas() -> dict[str, Any]:
    tensor = {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "shape": {"type": "array", "items": {"type": "integer"}},
            "datatype": {"type": "string"},
            "data": {"type": "array"},
        },
        "required": ["name", "shape", "datatype"],
    }
    tensors = {"type": "array", "items": tensor, "minItems": 1}
    names = {"type": "array", "items": {"type": "object", "properties": {"name": {"type": "string"}}}}
    request = {"id": {"type": "string"}, "inputs": tensors, "outputs": names}
    answer = {"model_name": {"type": "string"}, "model_version": {"type": "string"}, "id": {"type": "string"}}
    return {
        "InferenceRequest": {"type": "object", "properties": request, "required": ["inputs"]},
        "InferenceResponse": {
            "type": "object",
            "properties": {**answer, "outputs": tensors},
            "required": ["model_name", "outputs"],
        },
    }


def _v2_request(schema: Schema, row: Mapping[str, Any]) -> dict[str, Any] | None:
    """The sample row as tensors; None where it holds null, which tensors in JSON cannot."""
    inputs = []
    for field in schema.fields:
        value = row.get(field.name)
        if value is None or "null" in json.dumps(value):
            return None
        datatype = usual_datatype(field.dtype)
        sizes = list(field.shape[1:]) if field.shape[:1] == (None,) else list(field.shape)
        shape = [1, len(value), *sizes] if field.shape[:1] == (None,) else [1, *sizes]
        data = [str(value)] if field.dtype == "label" and not field.shape else [value]
        inputs.append({"name": field.name, "shape": shape, "datatype": datatype, "data": data})
    return {"id": "1", "inputs": inputs}


def _v2_answer(described: Mapping[str, Any]) -> dict[str, Any] | None:
    """The sample's answer as tensors; None where it holds lists."""
    outputs = []
    for name, value in described["example"]["answer"].items():
        if isinstance(value, list):
            return None
        datatype = {dict: "FP32", bool: "BOOL", int: "INT64", float: "FP64"}.get(type(value), "BYTES")
        data = list(value.values()) if isinstance(value, dict) else [value]
        shape = [1, len(data)] if isinstance(value, dict) else [1]
        outputs.append({"name": name, "datatype": datatype, "shape": shape, "data": data})
    model = described["model"]
    return {"model_name": model["name"], "model_version": model["version"], "id": "1", "outputs": outputs}
