"""Requests to a model that generates text, read by their path and by what they say they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from maas.client import ROUTE
from maas.schema import Schema
from maas.serving.protocols._accept import ABOUT, JSON, form_of, media_type
from maas.serving.protocols._form import as_bytes, is_raw
from maas.serving.protocols._limits import MOST_BODY_BYTES, MOST_PROMPTS
from maas.serving.protocols._openai import is_openai, read_openai
from maas.serving.protocols._outcome import About, Identity, Written
from maas.serving.protocols._problems import Problem, printable
from maas.serving.protocols._rows import check_instances, holds_instances, read_rows
from maas.serving.protocols._strict import check_strict, parse_json
from maas.serving.protocols._teller import EVENTS, EventTeller, RowTeller, Wanted
from maas.serving.protocols._v2 import HEADER_LENGTH, is_v2

_REMEDY = "with curl say -H 'Content-Type: application/json'"


class GenerationReader:
    """Reads the requests to one model: by the paths of OpenAI's API, or rows as those of any task, on TorchServe's own.

    Args:
        schema: the fields of a row.
        identity: the model.
    """

    def __init__(self, schema: Schema, identity: Identity) -> None:
        self._schema, self._identity = schema, identity

    def read(self, parts: Mapping[str, Any], headers: Mapping[str, Any], request: str) -> Wanted | About | Written:
        """What a request asks for.

        Args:
            parts: the request's parts by name; a bare body is called "body", over gRPC often "data".
            headers: the request's headers; names may be of any case.
            request: its number.

        Raises:
            Problem: the request cannot be read, or its answer would be in no form that the client accepts.
        """
        said = {name.lower(): value for name, value in headers.items()}
        path = said.get("url_path") or said.get(ROUTE.lower())
        if isinstance(path, str) and is_openai(path):
            return read_openai(path, lambda: _document(parts, said), self._identity, request)
        accept = said.get("accept")
        form = form_of(said, (JSON, EVENTS))
        if form in ABOUT:
            return About(form)
        if said.get("explain") == "True":  # by this header TorchServe tells /explanations from /predictions
            raise Problem("not-explainable", "generated text is not explained; ask for `logprobs`")
        if form is None:
            wanted = f"answers are {JSON} or {EVENTS}, the request accepts {printable(str(accept))}; accept one"
            raise Problem("not-acceptable", wanted)
        return self._rows(_document(parts, said), form)

    def _rows(self, value: Any, form: str) -> Wanted:
        if holds_instances(value, self._schema):
            check_instances(value["instances"])
        if is_v2(value, self._schema):
            raise Problem(
                "not-supported",
                "a model that generates text takes no tensors: the Open Inference Protocol (V2) has no messages and no "
                "streams; send a row, or ask /v1/chat/completions",
            )
        asked = read_rows(value, self._schema, None)
        rows: list[Any] = asked.rows  # type: ignore[assignment]
        if len(rows) > MOST_PROMPTS:
            raise Problem("too-many-rows", f"a request may have {MOST_PROMPTS} prompts, got {len(rows)}; send several")
        if form == EVENTS and not asked.single:
            raise Problem("not-acceptable", f"{EVENTS} tells the answer to one row, sent bare; accept {JSON}")
        teller = EventTeller(self._identity) if form == EVENTS else RowTeller(len(rows), asked.single, self._identity)
        return Wanted(rows, asked.single, teller)


def _document(parts: Mapping[str, Any], said: Mapping[str, Any]) -> Any:
    """The JSON of a body, read strictly."""
    body = parts.get("body", parts.get("data"))
    media = said.get("content-type")
    media = media_type(media) if isinstance(media, str) else ""
    if media and media != JSON and not media.endswith("+json"):
        raise Problem("media-type", f"the body must be JSON, got {printable(media)}; {_REMEDY}")
    if isinstance(said.get(HEADER_LENGTH), str):
        raise Problem("not-supported", "a model that generates text takes no binary tensors; send JSON")
    if not body:
        raise Problem("empty", f"the body must be JSON, got none; {_REMEDY}")
    if not is_raw(body):
        return body
    if len(body) > MOST_BODY_BYTES:
        raise Problem("too-large", f"a body may have {MOST_BODY_BYTES:,} bytes, got {len(body):,}")
    raw = as_bytes(body)
    value = parse_json(raw)
    check_strict(value, raw)
    return value
