"""A served model as an OpenAPI 3.1 document: what a description says, in the form that other tools read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from maas.client import DESCRIPTION
from maas.schema import Field, Schema
from maas.serving._openapi_generation import generation_paths, generation_schemas
from maas.serving.protocols import KINDS, MOST_BODY_BYTES, MOST_EXPLAINED, MOST_ROWS, PROBLEM_JSON, takes_npy

_JSON = "application/json"
_NPY = "application/x-npy"
_REQUEST = {"$ref": "#/components/schemas/InferenceRequest"}
_TYPES: dict[type, str] = {bool: "boolean", int: "integer", float: "number", str: "string"}


def openapi(described: Mapping[str, Any], *, url: str = "http://127.0.0.1:8080") -> dict[str, Any]:
    """The document of one model.

    Args:
        described: what `Client.describe` gives.
        url: of the server's inference address.
    """
    name, version = described["model"]["name"], described["model"]["version"]
    identity = _schema_of(described["model"])
    describe = {
        "operationId": "describe",
        "summary": f"The model's schema, labels and card; wants Accept: {DESCRIPTION}",
        "responses": {
            "200": {"description": "The description", "content": {DESCRIPTION: {"schema": {"type": "object"}}}},
            **_problems(),
        },
    }
    generates = described["task"] == "generation"
    paths = generation_paths(described, _problems()) if generates else _paths(described)
    paths[f"/predictions/{name}"]["get"] = describe
    schemas = generation_schemas(identity) if generates else _schemas(described, identity)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": name,
            "version": version,
            "description": f"Model {described['model']['digest']}. A body has at most {MOST_BODY_BYTES:,} bytes.",
        },
        "servers": [{"url": url}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {"Row": described["schema"], "Problem": _problem_schema(), **schemas},
        },
    }


def _paths(described: Mapping[str, Any]) -> dict[str, Any]:
    """The operations that ask for answers, by path."""
    name = described["model"]["name"]
    schema = Schema.from_json(described["fields"])
    row, answer = described["example"]["row"], {**described["example"]["answer"], "model": described["model"]}
    answers: dict[str, Any] = {
        _JSON: {
            "schema": {"oneOf": [_ref("BareAnswer"), _ref("Answers")]},
            "examples": {
                "one row": {"value": answer},
                "many rows": {"value": {"predictions": [described["example"]["answer"]], "model": described["model"]}},
            },
        },
        _NPY: {"schema": {"type": "string", "format": "binary"}},
    }
    predict = {
        "operationId": "predict",
        "summary": f"Answer rows: {described['target']} by {described['task']}",
        "requestBody": {"required": True, "content": _bodies(schema, row)},
        "responses": {"200": {"description": "The answer to each row", "content": answers}, **_problems()},
    }
    infer = {
        "operationId": "infer",
        "summary": "Answer rows by the Open Inference Protocol (V2)",
        "requestBody": {
            "required": True,
            "content": {_JSON: {"schema": _REQUEST, **_example(_v2_request(schema, row))}},
        },
        "responses": {
            "200": {
                "description": "One tensor for each part of the answer",
                "content": {_JSON: {"schema": _ref("InferenceResponse"), **_example(_v2_answer(described))}},
            },
            **_problems(),
        },
    }
    explain = {
        "operationId": "explain",
        "summary": f"What each field of a row adds to its answer; at most {MOST_EXPLAINED} rows",
        "requestBody": {"required": True, "content": _bodies(schema, row, MOST_EXPLAINED)},
        "responses": {
            "200": {
                "description": "The explanation of each row, by integrated gradients",
                "content": {_JSON: {"schema": {"oneOf": [_ref("BareExplanation"), _ref("Explanations")]}}},
            },
            **_problems(),
        },
    }
    return {
        f"/predictions/{name}": {"post": predict},
        f"/explanations/{name}": {"post": explain},
        f"/v2/models/{name}/infer": {"post": infer},
    }


def _schemas(described: Mapping[str, Any], identity: Mapping[str, Any]) -> dict[str, Any]:
    """The schemas that these operations name."""
    one = _schema_of(described["example"]["answer"])
    if described["labels"] and "label" in one["properties"]:
        one["properties"]["label"] = {"enum": described["labels"]}
    bare = {**one, "properties": {**one["properties"], "model": identity}, "required": [*one["required"], "model"]}
    many = {
        "type": "object",
        "properties": {"predictions": {"type": "array", "items": _ref("Answer")}, "model": identity},
        "required": ["predictions", "model"],
    }
    return {
        "Answer": one,
        "BareAnswer": bare,
        "Answers": many,
        **_explanation_schemas(one, identity),
        **_v2_schemas(),
    }


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _example(value: Any) -> dict[str, Any]:
    return {} if value is None else {"example": value}


def _bodies(schema: Schema, row: Mapping[str, Any], most: int = MOST_ROWS) -> dict[str, Any]:
    """Every media type that a request may have."""
    rows = {"type": "array", "items": _ref("Row"), "minItems": 1, "maxItems": most}
    instances = {"type": "object", "properties": {"instances": rows}, "required": ["instances"]}
    examples = {"one row": {"value": row}, "many rows": {"value": {"instances": [row, row]}}}
    binary = {"schema": {"type": "string", "format": "binary"}}
    parts = {field.name: _part(field) for field in schema.fields}
    bodies: dict[str, Any] = {
        _JSON: {"schema": {"oneOf": [_ref("Row"), instances]}, "examples": examples},
        "multipart/form-data": {"schema": {"type": "object", "properties": parts}},
    }
    if takes_npy(schema):
        bodies[_NPY] = binary
    if [field.dtype for field in schema.fields] == ["bytes"]:
        bodies["application/octet-stream"] = binary
    if [field.dtype for field in schema.fields] == ["string"]:
        bodies["text/plain"] = {"schema": {"type": "string"}, **_example(next(iter(row.values())))}
    return bodies


def _part(field: Field) -> dict[str, Any]:
    return {"type": "string", "format": "binary"} if field.dtype == "bytes" else field.json_schema()


def _schema_of(value: Any) -> dict[str, Any]:
    """The JSON Schema of values like this one."""
    if isinstance(value, dict):
        properties = {name: _schema_of(one) for name, one in value.items()}
        return {"type": "object", "properties": properties, "required": [*value]}
    if isinstance(value, list):
        return {"type": "array", **({"items": _schema_of(value[0])} if value else {})}
    return {"type": _TYPES[type(value)]}


def _problems() -> dict[str, Any]:
    """A response for each status that a problem document may have."""
    titles: dict[int, list[str]] = {}
    for kind, (status, _) in KINDS.items():
        titles.setdefault(status, []).append(kind)
    content = {PROBLEM_JSON: {"schema": _ref("Problem")}}
    return {
        str(status): {"description": "Problem: " + ", ".join(kinds), "content": content}
        for status, kinds in sorted(titles.items())
    }


def _problem_schema() -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            "type": {"enum": [f"urn:maas:problem:{kind}" for kind in KINDS]},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "field": {"type": ["string", "null"]},
            "row": {"type": ["integer", "null"], "description": "counted from 0"},
            "errors": {"type": "array", "items": {"type": "object"}},
            "predictions": {"type": "array", "items": {"anyOf": [_ref("Answer"), {"type": "null"}]}},
            "error": {"type": "string", "description": "to requests of the Open Inference Protocol: the detail"},
        },
        "required": ["type", "title", "status", "detail", "field", "row"],
    }


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
            "properties": {"explanations": {"type": "array", "items": _ref("Explanation")}, "model": identity},
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
        datatype = {"number": "FP64", "boolean": "BOOL"}.get(field.dtype, "BYTES")
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
