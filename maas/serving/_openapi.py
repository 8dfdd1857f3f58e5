"""A served model as an OpenAPI 3.1 document: what a description says, in the form that other tools read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from maas.client import DESCRIPTION
from maas.serving._openapi_generation import generation_paths, generation_schemas
from maas.serving._openapi_rows import row_paths, row_schemas
from maas.serving._openapi_schema import ref, schema_of
from maas.serving.protocols import KINDS, MOST_BODY_BYTES, PROBLEM_JSON


def openapi(described: Mapping[str, Any], *, url: str = "http://127.0.0.1:8080") -> dict[str, Any]:
    """The document of one model.

    Args:
        described: what `Client.describe` gives.
        url: of the server's inference address.
    """
    name, version = described["model"]["name"], described["model"]["version"]
    identity = schema_of(described["model"])
    describe = {
        "operationId": "describe",
        "summary": f"The model's schema, labels and card; wants Accept: {DESCRIPTION}",
        "responses": {
            "200": {"description": "The description", "content": {DESCRIPTION: {"schema": {"type": "object"}}}},
            **_problems(),
        },
    }
    generates = described["task"] == "generation"
    paths = generation_paths(described, _problems()) if generates else row_paths(described, _problems())
    paths[f"/predictions/{name}"]["get"] = describe
    schemas = generation_schemas(identity) if generates else row_schemas(described, identity)
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


def _problems() -> dict[str, Any]:
    """A response for each status that a problem document may have."""
    titles: dict[int, list[str]] = {}
    for kind, (status, _) in KINDS.items():
        titles.setdefault(status, []).append(kind)
    content = {PROBLEM_JSON: {"schema": ref("Problem")}}
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
            "predictions": {"type": "array", "items": {"anyOf": [ref("Answer"), {"type": "null"}]}},
            "error": {"type": "string", "description": "to requests of the Open Inference Protocol: the detail"},
        },
        "required": ["type", "title", "status", "detail", "field", "row"],
    }
