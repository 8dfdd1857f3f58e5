"""JSON Schemas as an OpenAPI document has them."""

from __future__ import annotations

from typing import Any

_TYPES: dict[type, str] = {bool: "boolean", int: "integer", float: "number", str: "string"}


def ref(name: str) -> dict[str, str]:
    """One of the document's own schemas, by its name."""
    return {"$ref": f"#/components/schemas/{name}"}


def schema_of(value: Any) -> dict[str, Any]:
    """The JSON Schema of values like this one."""
    if isinstance(value, dict):
        properties = {name: schema_of(one) for name, one in value.items()}
        return {"type": "object", "properties": properties, "required": [*value]}
    if isinstance(value, list):
        return {"type": "array", **({"items": schema_of(value[0])} if value else {})}
    return {"type": _TYPES[type(value)]}
