"""Requests as TorchServe hands them over, read by what they say they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from maas.schema import Schema
from maas.serving.protocols._accept import ABOUT, JSON, NPY, form_of, media_type, preferred
from maas.serving.protocols._bare import bare_row, unsupported
from maas.serving.protocols._form import as_bytes, form_row, is_raw
from maas.serving.protocols._limits import MOST_BODY_BYTES, MOST_EXPLAINED, MOST_RESPONSE_BYTES
from maas.serving.protocols._npy import NpyWriter, read_npy_rows, takes_npy
from maas.serving.protocols._outcome import About, Asked, Explained, Writer
from maas.serving.protocols._problems import Problem, printable
from maas.serving.protocols._rows import MANY, ONE, check_instances, empty, holds_instances, read_rows
from maas.serving.protocols._strict import check_strict, parse_json
from maas.serving.protocols._v2 import HEADER_LENGTH, is_v2, read_v2, read_v2_binary

_FORM = "multipart/form-data"
_NUMPY = NpyWriter()
_SAID = ("accept", "content-type", HEADER_LENGTH)


class Reader:
    """Reads the requests to one model.

    JSON is a row, `{"instances": [rows]}` or a request of the Open Inference Protocol. A multipart form is one row.
    Other bodies are what the schema's fields make of them: bytes, text, an array in the .npy format.

    Args:
        schema: the fields of a row.
    """

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self._takes_npy = takes_npy(schema)

    def read(self, parts: Mapping[str, Any], headers: Mapping[str, Any]) -> Asked | Explained | About:
        """What a request asks for.

        Args:
            parts: the request's parts by name; a bare body is called "body", over gRPC often "data".
            headers: the request's headers; names may be of any case.

        Raises:
            Problem: the request cannot be read, or its answer would be in no form that the client accepts.
        """
        said = {name.lower(): value for name, value in headers.items()}
        body = parts.get("body", parts.get("data"))
        media = said.get("content-type")
        if not isinstance(media, str):
            media = ""
            if body is not None and len(parts) > 1:  # gRPC has no headers: they are inputs beside the body
                said |= {name: as_bytes(parts[name]).decode("latin-1") for name in _SAID if is_raw(parts.get(name))}
                media = said.get("content-type", "")
                media = media if isinstance(media, str) else ""
        media = media_type(media)
        form = form_of(said, (JSON, NPY))
        if form in ABOUT:
            return About(form)
        if said.get("explain") == "True":  # by this header TorchServe tells /explanations from /predictions
            return _to_explain(self._read(parts, body, media, JSON, said), said.get("accept"))
        asked = self._read(parts, body, media, form, said)
        if asked.length * asked.writer.least_row_bytes > MOST_RESPONSE_BYTES:
            raise asked.writer.refuse(
                Problem("answer-too-large", f"the answer to {asked.length} rows would be too large; send fewer rows")
            )
        return asked

    def _read(
        self, parts: Mapping[str, Any], body: Any, media: str, form: str | None, said: Mapping[str, Any]
    ) -> Asked:
        npy = _NUMPY if form == NPY else None
        one: Writer = npy or ONE
        if media == _FORM and parts:
            _check_form(form, said)
            return Asked([form_row(parts, self.schema)], 1, one, single=True)
        if body is None and parts:
            if media:
                raise unsupported("a form", self.schema)
            return Asked([form_row(parts, self.schema)], 1, one, single=True)
        if not body:
            raise empty()
        if is_raw(body) and len(body) > MOST_BODY_BYTES:
            raise Problem("too-large", f"a body may have {MOST_BODY_BYTES:,} bytes, got {len(body):,}; send fewer rows")
        if isinstance(length := said.get(HEADER_LENGTH), str):
            return read_v2_binary(as_bytes(body) if is_raw(body) else b"", length, self.schema, said.get("accept"))
        if not media or media == JSON or media.endswith("+json"):
            return self._read_json(body, npy, form, said)
        _check_form(form, said)
        if self._takes_npy and not media.startswith("text/"):
            if not is_raw(body):
                raise unsupported(media, self.schema)
            return read_npy_rows(as_bytes(body), self.schema, one, npy or MANY)
        return Asked([bare_row(body, media, self.schema)], 1, one, single=True)

    def _read_json(self, body: Any, npy: Writer | None, form: str | None, said: Mapping[str, Any]) -> Asked:
        value = parse_json(body) if is_raw(body) else body
        if holds_instances(value, self.schema):
            check_instances(value["instances"])
        if is_raw(body):
            check_strict(value, body if isinstance(body, (bytes, bytearray)) else as_bytes(body))
        if is_v2(value, self.schema):
            return read_v2(value, self.schema, said.get("accept"))
        _check_form(form, said)
        return read_rows(value, self.schema, npy)


def _to_explain(asked: Asked, accept: Any) -> Explained:
    if isinstance(accept, str) and preferred(accept, (JSON,)) is None:
        raise asked.writer.refuse(
            Problem("not-acceptable", f"explanations are {JSON}, the request accepts {printable(accept)}; accept that")
        )
    if asked.length > MOST_EXPLAINED:
        raise asked.writer.refuse(
            Problem(
                "too-many-rows",
                f"{MOST_EXPLAINED} rows may be explained at once, got {asked.length}; send several requests",
            )
        )
    return Explained(asked)


def _check_form(form: str | None, said: Mapping[str, Any]) -> None:
    if form is None:
        accept = printable(str(said.get("accept")))
        raise Problem("not-acceptable", f"answers are {JSON} or {NPY}, the request accepts {accept}; accept one")
