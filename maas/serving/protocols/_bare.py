"""Bodies that are one value: an image, a sound, a text."""

from __future__ import annotations

from typing import Any

from maas.schema import Schema
from maas.serving.protocols._form import as_bytes, as_text, is_raw
from maas.serving.protocols._npy import takes_npy
from maas.serving.protocols._problems import Problem, printable

_TEXT = "text/plain"


def bare_row(body: Any, media: str, schema: Schema) -> dict[str, Any]:
    """The row whose only field is the body: for bytes of any type but text, for a string text/plain.

    Raises:
        Problem: the schema has no such field, or more than one field.
    """
    field = schema.fields[0]
    alone = len(schema.fields) == 1
    if alone and field.dtype == "string" and media == _TEXT:
        return {field.name: as_text(body, "the body") if is_raw(body) else body}
    if alone and field.dtype == "bytes" and not media.startswith("text/"):
        return {field.name: as_bytes(body) if is_raw(body) else body}
    raise unsupported(media, schema)


def unsupported(media: str, schema: Schema) -> Problem:
    """The refusal of a media type, with those that the schema takes."""
    wanted = "JSON sent as Content-Type: application/json, or a multipart form with a part for each field"
    dtype = schema.fields[0].dtype if len(schema.fields) == 1 else ""
    if dtype == "bytes":
        wanted += ", or the bytes themselves as Content-Type: application/octet-stream"
    elif dtype == "string":
        wanted += ", or the text itself as Content-Type: text/plain"
    elif takes_npy(schema):
        wanted += ", or an array in the .npy format as Content-Type: application/x-npy"
    detail = f"the body must be {wanted}, got {printable(media)}; with curl say which by -H 'Content-Type: ...'"
    return Problem("media-type", detail)
