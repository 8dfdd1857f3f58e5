"""Refusals as RFC 9457 draws them, and the one list of their kinds."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson

from maas.serving.protocols._limits import MOST_RESPONSE_BYTES

PROBLEM_JSON = "application/problem+json"

KINDS: Mapping[str, tuple[int, str]] = {
    "empty": (400, "Empty body"),
    "not-json": (400, "Not JSON"),
    "repeated-name": (400, "A name stands twice in an object"),
    "too-deep": (400, "Nested too deeply"),
    "not-utf-8": (400, "Not UTF-8"),
    "not-npy": (400, "Not a .npy array"),
    "not-v2": (400, "Not an inference request"),
    "not-supported": (400, "Not supported"),
    "no-such-route": (404, "No such route"),
    "not-acceptable": (406, "No acceptable media type"),
    "too-large": (413, "Body too large"),
    "too-many-rows": (413, "Too many rows"),
    "answer-too-large": (413, "Answer too large"),
    "media-type": (415, "Unsupported media type"),
    "not-a-row": (422, "Not a row"),
    "no-rows": (422, "No rows"),
    "bad-tensor": (422, "A tensor does not fit its field"),
    "bad-row": (422, "A row cannot be answered"),
    "internal": (500, "Internal error"),
    "not-explainable": (501, "Answers of this model cannot be explained"),
    "draining": (503, "The server is stopping"),
    "out-of-memory": (503, "Out of memory"),
}
"""Status and title by kind. The kind is the last part of the document's `type`, the name to program against."""

PHRASES = {status: HTTPStatus(status).phrase for status, _ in KINDS.values()}


class Problem(Exception):
    """A refusal.

    Args:
        kind: one of `KINDS`.
        detail: what was found, what is wanted, and the remedy.
        field: name of the field at fault, where it is one.
        row: its row within the request, counted from 0.
        more: further members of the document.

    Attributes:
        media: media type of the body.
    """

    media = PROBLEM_JSON

    def __init__(
        self,
        kind: str,
        detail: str,
        *,
        field: str | None = None,
        row: int | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.status, self.title = KINDS[kind]
        self.detail = detail
        self.field = field
        self.row = row
        self.more = dict(more or {})

    def as_value(self) -> Problem:
        """Itself, without the frames that it came through: they hold the request, and they would hold this in turn."""
        self.__traceback__ = self.__cause__ = self.__context__ = None
        return self

    def body(self) -> bytes:
        """The document, without its further members where they would make it larger than an answer may be."""
        document = {
            "type": f"urn:maas:problem:{self.kind}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "field": self.field,
            "row": self.row,
        }
        body = orjson.dumps(document | self.more)
        if len(body) > MOST_RESPONSE_BYTES:
            short = {name: value for name, value in self.more.items() if name in ("error", "id")}
            return orjson.dumps(document | short | {"detail": self.detail[:1000]})
        return body


def printable(text: str) -> str:
    """What a client wrote, as a detail may repeat it: short, and ASCII."""
    return text.encode("ascii", "backslashreplace").decode()[:200]
