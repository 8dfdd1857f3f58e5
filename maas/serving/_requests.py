"""HTTP requests to rows, and answers to HTTP bodies: strict on the way in, never surprising on the way out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from maas.client import DESCRIPTION, IDENTITY
from maas.errors import RowError, show
from maas.schema import Field, Schema
from maas.serving._npy import read_npy

JSON = "application/json"
MOST_ROWS = 10_000
PROBLEM_JSON = "application/problem+json"
_FORM = "multipart/form-data"
_TEXT = "text/plain"


@dataclass(eq=False)
class Problem(Exception):
    """A refusal, as RFC 9457 draws it.

    Args:
        status: HTTP status.
        kind: last part of the `type` URI: the stable name to program against.
        title: what kind of problem it is; constant for a kind.
        detail: what was found, what is wanted.
        more: further members: `field`, `row`, `errors`, `predictions`.
    """

    status: int
    kind: str
    title: str
    detail: str
    more: Mapping[str, Any] | None = None

    def body(self) -> bytes:
        document = {
            "type": f"urn:maas:problem:{self.kind}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            **(self.more or {}),
        }
        return orjson.dumps(document)


@dataclass(frozen=True)
class Asked:
    """What a request asks for.

    Args:
        rows: rows to answer, as the client wrote them; not yet checked.
        single: one row was sent bare, and one answer is sent back bare.
        about: the media type of what is asked of the model itself: DESCRIPTION or IDENTITY. Then there are no rows.
    """

    rows: list[Any]
    single: bool = False
    about: str | None = None


def read_request(parts: Mapping[str, Any], headers: Mapping[str, Any], schema: Schema) -> Asked:
    """What TorchServe hands over of one request, as rows.

    JSON is one row or `{"instances": [rows]}`. A multipart form is one row, with a part for each field: bytes and
    strings as they are, others as JSON; a label that is no JSON as it is. Where the schema has one field and its dtype
    is "bytes", a body of any other media type but text is its value; where it is "string", a body of text/plain; where
    it is "number", an array in the .npy format: one value of the field, or one more axis in front that counts rows.

    Args:
        parts: the request's parts by name; a bare body is called "body".
        headers: the request's headers; names may be of any case.
        schema: the fields of a row.

    Raises:
        Problem: the request cannot be read.
    """
    lower = {str(name).lower(): value for name, value in headers.items()}
    for about in (DESCRIPTION, IDENTITY):
        if about in str(lower.get("accept", "")):
            return Asked([], about=about)
    media = str(lower.get("content-type", "")).partition(";")[0].strip().lower()
    if media == _FORM and parts:
        return Asked([_form_row(parts, schema)], single=True)
    body = parts.get("body", parts.get("data"))
    if body is None and parts:
        raise _unsupported("a form", schema)
    if not body:
        raise Problem(400, "empty", "Empty body", 'the body must be a row as a JSON object, or {"instances": [rows]}')
    if media and media != JSON and not media.endswith("+json"):
        if len(schema.fields) == 1 and schema.fields[0].dtype == "number" and not media.startswith("text/"):
            if not _is_raw(body):
                raise _unsupported(media, schema)
            return _array_rows(_bytes(body), schema.fields[0])
        return Asked([_bare_row(body, media, schema)], single=True)
    value = _json(body, "the body")
    if isinstance(value, dict):
        if value.keys() != {"instances"}:
            return Asked([value], single=True)
        if isinstance(value["instances"], list) and value["instances"]:
            if len(value["instances"]) > MOST_ROWS:
                raise too_many_rows(f"a request may have {MOST_ROWS} rows, got {len(value['instances'])}")
            return Asked(value["instances"])
        raise Problem(
            422,
            "no-rows",
            "No rows",
            f"`instances` must be a list of at least one row, got {show(value['instances'])}",
        )
    raise Problem(
        422,
        "not-a-row",
        "Not a row",
        f'the body must be a row as a JSON object, or {{"instances": [rows]}}, got {show(value)}',
    )


def too_many_rows(detail: str) -> Problem:
    """The refusal of a request that asks for more than one answer can hold."""
    return Problem(413, "too-many-rows", "Too many rows", f"{detail}; send fewer rows")


def _bare_row(body: Any, media: str, schema: Schema) -> dict[str, Any]:
    """The row whose only field is the body."""
    field = schema.fields[0]
    alone = len(schema.fields) == 1
    if alone and field.dtype == "string" and media == _TEXT:
        return {field.name: _text(body, "the body") if _is_raw(body) else body}
    if alone and field.dtype == "bytes" and not media.startswith("text/"):
        return {field.name: _bytes(body) if _is_raw(body) else body}
    raise _unsupported(media, schema)


def _array_rows(body: bytes, field: Field) -> Asked:
    """The rows of a .npy body, whose array is one value of the only field, or many."""
    try:
        array = read_npy(body)
        axes = len(field.shape)
        if array.ndim == axes:
            return Asked([{field.name: array if axes else array.item()}], single=True)
        if array.ndim != axes + 1 or not len(array):
            raise ValueError(
                f"an array must have {axes} axes for one row, or {axes + 1} of which the first counts rows, got shape "
                f"{array.shape}"
            )
    except ValueError as error:
        raise Problem(
            400, "not-npy", "Not a .npy array", f"the body must be a .npy file: {_ascii(str(error))}"
        ) from error
    if len(array) > MOST_ROWS:
        raise too_many_rows(f"a request may have {MOST_ROWS} rows, got {len(array)}")
    return Asked([{field.name: row} for row in array])


def _form_row(parts: Mapping[str, Any], schema: Schema) -> dict[str, Any]:
    """The row whose fields are the parts of a form; that names are right is checked with every other row."""
    dtypes = {field.name: field.dtype for field in schema.fields}
    row: dict[str, Any] = {}
    for name, part in parts.items():
        dtype = dtypes.get(name)
        if not _is_raw(part):
            row[name] = part  # the check of rows tells what a bytes field has of a number
        elif dtype is None or dtype == "bytes":
            row[name] = _bytes(part)
        elif dtype == "string" or (dtype == "label" and not _is_json(part)):
            row[name] = _text(part, f"the part {show(name)}")
        else:
            row[name] = _json(part, f"the part {show(name)}")
    return row


def _is_raw(value: Any) -> bool:
    """Whether a part is as the client sent it. A server that was not told otherwise reads JSON before the handler.

    Of such a part no bytes are made: `bytes(10**10)` is 10 GB of zeros.
    """
    return isinstance(value, (bytes, bytearray, memoryview, str))


def _bytes(value: Any) -> bytes:
    return value.encode(errors="surrogatepass") if isinstance(value, str) else bytes(value)


def _text(value: Any, what: str) -> str:
    try:
        return _bytes(value).decode()
    except UnicodeDecodeError as error:
        raise Problem(400, "not-utf-8", "Not UTF-8", f"{what} must be text in UTF-8: {_ascii(str(error))}") from error


def _json(value: Any, what: str) -> Any:
    if not isinstance(value, (bytes, bytearray, memoryview, str)):
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise Problem(400, "not-json", "Not JSON", f"{_ascii(what)} must be JSON: {_ascii(str(error))}") from error


def _is_json(value: Any) -> bool:
    """Whether a part of a form is JSON, as a label may be, and may not: red is none."""
    try:
        orjson.loads(value)
    except orjson.JSONDecodeError:
        return False
    return True


def _unsupported(media: str, schema: Schema) -> Problem:
    wanted = "JSON sent as Content-Type: application/json, or a multipart form with a part for each field"
    dtype = schema.fields[0].dtype if len(schema.fields) == 1 else ""
    if dtype == "bytes":
        wanted += ", or the bytes themselves as Content-Type: application/octet-stream"
    elif dtype == "string":
        wanted += ", or the text itself as Content-Type: text/plain"
    elif dtype == "number":
        wanted += ", or an array in the .npy format as Content-Type: application/x-npy"
    return Problem(
        415,
        "media-type",
        "Unsupported media type",
        f"the body must be {wanted}, got {_ascii(media)}; with curl say which by -H 'Content-Type: ...'",
    )


def row_problem(asked: Asked, errors: Mapping[int, RowError], answers: Mapping[int, Any]) -> Problem:
    """The refusal of a request of which at least one row is bad; the answers to its other rows come with it.

    Args:
        errors: by row of the request, at least one.
        answers: by row of the request, those that could be answered.
    """
    first = errors[min(errors)]
    more: dict[str, Any] = {"field": first.field, "row": first.row}
    detail = first.detail
    if not asked.single:
        listed = [{"row": row, "field": errors[row].field, "detail": errors[row].detail} for row in sorted(errors)]
        more["errors"] = listed
        more["predictions"] = [answers.get(row) for row in range(len(asked.rows))]
        if len(errors) > 1:
            detail = f"{len(errors)} of {len(asked.rows)} rows cannot be answered; row {first.row}: {detail}"
    return Problem(422, "bad-row", "A row cannot be answered", detail, more)


def _ascii(text: str) -> str:
    return text.encode("ascii", "backslashreplace").decode()[:200]
