"""Rows that come in parts: a multipart form, or the named inputs of a gRPC request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from maas.errors import show
from maas.schema import Schema
from maas.serving.protocols._problems import Problem, printable
from maas.serving.protocols._strict import check_strict, parse_json


def form_row(parts: Mapping[str, Any], schema: Schema) -> dict[str, Any]:
    """The row whose fields are the parts; that names are right is checked with every other row.

    Bytes and strings are taken as they are, others as JSON; a label that is no JSON as it is.
    """
    dtypes = {field.name: field.dtype for field in schema.fields}
    row: dict[str, Any] = {}
    for name, part in parts.items():
        dtype = dtypes.get(name)
        if not is_raw(part):
            row[name] = part  # the check of rows tells what a bytes field has of a number
        elif dtype is None or dtype == "bytes":
            row[name] = as_bytes(part)
        elif dtype == "string" or (dtype == "label" and not _is_json(part)):
            row[name] = as_text(part, f"the part {show(name)}")
        else:
            raw = as_bytes(part)
            row[name] = parse_json(raw, f"the part {show(name)}")
            check_strict(row[name], raw)
    return row


def is_raw(value: Any) -> bool:
    """Whether a part is as the client sent it. A server that was not told otherwise reads JSON before the handler.

    Of such a part no bytes are made: `bytes(10**10)` is 10 GB of zeros.
    """
    return isinstance(value, (bytes, bytearray, memoryview, str))


def as_bytes(value: Any) -> bytes:
    return value.encode(errors="surrogatepass") if isinstance(value, str) else bytes(value)


def as_text(value: Any, what: str) -> str:
    try:
        return as_bytes(value).decode()
    except UnicodeDecodeError as error:
        raise Problem("not-utf-8", f"{what} must be text in UTF-8: {printable(str(error))}") from error


def _is_json(value: Any) -> bool:
    """Whether a part of a form is JSON, as a label may be, and may not: red is none."""
    try:
        orjson.loads(value)
    except orjson.JSONDecodeError:
        return False
    return True
