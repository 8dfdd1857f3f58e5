"""Bodies to rows by media type and schema, without a server and without a modality."""

import json
from typing import Any

import pytest

from maas.client import DESCRIPTION, IDENTITY
from maas.schema import Field, Schema
from maas.serving.protocols import MOST_BODY_BYTES, MOST_ROWS, About, Asked, Problem, Reader

SOUND = Schema((Field("sound", "audio", "bytes"),))
TEXT = Schema((Field("review", "text", "string"),))
TABLE = Schema((Field("size", "numeric", "number"), Field("colour", "categorical", "label")))
MIXED = Schema((*SOUND.fields, *TEXT.fields, *TABLE.fields))


def read(body: Any, media: str | None, schema: Schema) -> Asked:
    parts = body if isinstance(body, dict) else {"body": body}
    asked = Reader(schema).read(parts, {} if media is None else {"Content-Type": media})
    assert isinstance(asked, Asked)
    assert asked.length == len(asked.rows)
    return asked


def read_one(body: Any, media: str | None, schema: Schema) -> Any:
    asked = read(body, media, schema)
    assert asked.single
    (row,) = asked.rows
    return row


@pytest.mark.parametrize("media", ["audio/wav", "application/octet-stream", "Audio/WAV; rate=8000"])
def test_a_body_of_bytes_is_the_row_of_one_bytes_field(media: str) -> None:
    assert read_one(bytearray(b"{RIFF"), media, SOUND) == {"sound": b"{RIFF"}


def test_a_body_of_text_is_the_row_of_one_string_field() -> None:
    assert read_one("很好".encode(), "text/plain; charset=utf-8", TEXT) == {"review": "很好"}
    with pytest.raises(Problem) as caught:
        read(b"\xff\xfe", "text/plain", TEXT)
    assert (caught.value.status, caught.value.kind) == (400, "not-utf-8")


@pytest.mark.parametrize(
    "media", [None, "application/json", "application/json; charset=utf-8", "application/vnd.x+json"]
)
@pytest.mark.parametrize("schema", [SOUND, TEXT, TABLE])
def test_json_is_json_for_every_schema(media: str | None, schema: Schema) -> None:
    assert read_one(b'{"a": 1}', media, schema) == {"a": 1}
    many = read(b'{"instances": [1, 2]}', media, schema)
    assert (many.rows, many.single) == ([1, 2], False)


@pytest.mark.parametrize(
    ("media", "schema", "remedy"),
    [
        ("image/png", TABLE, "JSON sent as Content-Type: application/json, or a multipart form with a part for each"),
        ("image/png", TEXT, "or the text itself as Content-Type: text/plain, got image/png"),
        ("text/plain", SOUND, "or the bytes themselves as Content-Type: application/octet-stream, got text/plain"),
        ("application/octet-stream", MIXED, "or a multipart form with a part for each field, got application/octet"),
        ("text/plain", TABLE, "the body must be JSON sent as Content-Type: application/json"),
    ],
)
def test_another_media_type_is_refused_with_the_remedy(media: str, schema: Schema, remedy: str) -> None:
    with pytest.raises(Problem) as caught:
        read(b"x", media, schema)
    assert caught.value.status == 415
    assert remedy in caught.value.detail


def test_a_form_is_a_row_of_parts() -> None:
    parts = {
        "sound": bytearray(b"\x00\xff"),
        "review": b"5 stars",
        "size": b"2.5",
        "colour": b'"red"',
    }
    row = {"sound": b"\x00\xff", "review": "5 stars", "size": 2.5, "colour": "red"}
    assert read_one(parts, "multipart/form-data; boundary=x", MIXED) == row


def test_a_form_may_have_a_field_called_body() -> None:
    schema = Schema((Field("body", "text", "string"), Field("data", "numeric", "number")))
    asked = read({"body": b"text", "data": b"1"}, "multipart/form-data; boundary=x", schema)
    assert asked.rows == [{"body": "text", "data": 1}]


def test_a_part_that_is_not_json_is_named() -> None:
    with pytest.raises(Problem) as caught:
        read({"size": b"wide", "colour": b"red"}, "multipart/form-data; boundary=x", TABLE)
    assert caught.value.status == 400
    assert "the part 'size' must be JSON" in caught.value.detail


@pytest.mark.parametrize(
    ("part", "value"),
    [
        (b"red", "red"),
        (b'"red"', "red"),
        ("深红".encode(), "深红"),
        (b"3", 3),
        (b"01", "01"),
        (b"null", None),
        (b"", ""),
    ],
)
def test_a_label_in_a_form_is_json_or_as_it_is(part: bytes, value: Any) -> None:
    asked = read({"size": b"2.5", "colour": bytearray(part)}, "multipart/form-data; boundary=x", TABLE)
    assert asked.rows == [{"size": 2.5, "colour": value}]


def test_a_label_in_a_form_that_is_not_utf_8_is_told() -> None:
    with pytest.raises(Problem) as caught:
        read({"size": b"2.5", "colour": b"\xff"}, "multipart/form-data; boundary=x", TABLE)
    assert (caught.value.status, caught.value.kind) == (400, "not-utf-8")
    assert "the part 'colour' must be text in UTF-8" in caught.value.detail


@pytest.mark.parametrize("part", [10**15, True, None, [1, 2], {"a": 1}])
def test_a_part_that_the_server_read_as_json_is_taken_as_it_is(part: Any) -> None:
    """TorchServe reads JSON itself unless it is told not to; `bytes(10**15)` would be a petabyte of zeros."""
    form = "multipart/form-data; boundary=x"
    row = {"sound": part, "review": part, "size": 2.5, "colour": part, "more": part}
    assert read(row, form, MIXED).rows == [row]
    _, errors = SOUND.rows_to_columns(read({"sound": part}, form, SOUND).rows)
    assert "field 'sound' must be bytes, got" in errors[0].detail
    assert read({"body": [part]}, "audio/wav", SOUND).rows == [{"sound": [part]}]
    assert read({"body": [part]}, "text/plain", TEXT).rows == [{"review": [part]}]
    with pytest.raises(Problem) as caught:
        read({"body": [part]}, "application/x-npy", Schema(TABLE.fields[:1]))
    assert caught.value.status == 415


def test_half_a_character_is_no_text() -> None:
    with pytest.raises(Problem) as caught:
        read({"review": "\ud800"}, "multipart/form-data; boundary=x", TEXT)
    assert (caught.value.status, caught.value.kind) == (400, "not-utf-8")


def test_an_unknown_part_is_left_to_the_check_of_rows() -> None:
    asked = read({"picture": b"\xff"}, "multipart/form-data; boundary=x", TABLE)
    assert asked.rows == [{"picture": b"\xff"}]


@pytest.mark.parametrize("media", ["multipart/form-data; boundary=x", "image/png", None])
def test_an_empty_body_is_told(media: str | None) -> None:
    with pytest.raises(Problem) as caught:
        read({}, media, SOUND)
    assert (caught.value.status, caught.value.kind) == (400, "empty")


def refused(parts: Any, headers: dict[str, Any], schema: Schema = TABLE) -> Problem:
    with pytest.raises(Problem) as caught:
        Reader(schema).read(parts, headers)
    json.loads(caught.value.body())
    return caught.value


def test_a_body_beyond_the_limit_is_refused_before_it_is_read() -> None:
    problem = refused({"body": b"[" * (MOST_BODY_BYTES + 1)}, {})
    assert (problem.status, problem.kind) == (413, "too-large")


def test_more_rows_than_the_limit_are_refused() -> None:
    body = json.dumps({"instances": [0] * (MOST_ROWS + 1)}).encode()
    problem = refused({"body": body}, {})
    assert (problem.status, problem.kind) == (413, "too-many-rows")
    assert "a request may have 10000 rows, got 10001" in problem.detail


@pytest.mark.parametrize("accept", ["image/png", "text/html, application/xml;q=0.9", "application/json;q=0"])
def test_an_answer_in_no_form_that_the_client_takes_is_refused(accept: str) -> None:
    problem = refused({"body": b"{}"}, {"ACCEPT": accept})
    assert (problem.status, problem.kind) == (406, "not-acceptable")
    assert "answers are application/json or application/x-npy" in problem.detail


@pytest.mark.parametrize("media", [DESCRIPTION, IDENTITY])
def test_what_is_asked_of_the_model_is_named_in_accept(media: str) -> None:
    asked = Reader(TABLE).read({}, {"Accept": media})
    assert isinstance(asked, About)
    assert asked.media == media


def test_torchserve_asks_for_the_description_by_a_header() -> None:
    asked = Reader(TABLE).read({}, {"describe": "True"})
    assert isinstance(asked, About)
    assert asked.media == DESCRIPTION
    assert read_one(b"{}", None, TABLE) == {}


def test_named_inputs_without_headers_are_a_form_as_grpc_sends_it() -> None:
    parts = {"size": bytearray(b"2.5"), "colour": bytearray(b"red")}
    asked = Reader(TABLE).read(parts, {name: {"content-type": ""} for name in parts})
    assert isinstance(asked, Asked)
    assert asked.rows == [{"size": 2.5, "colour": "red"}]


def test_what_headers_say_may_stand_beside_a_grpc_body() -> None:
    parts = {"body": b"good", "content-type": b"text/plain", "accept": b"image/png"}
    problem = refused(parts, {name: {"content-type": ""} for name in parts}, TEXT)
    assert problem.kind == "not-acceptable"
    del parts["accept"]
    asked = Reader(TEXT).read(parts, {name: {"content-type": ""} for name in parts})
    assert isinstance(asked, Asked)
    assert asked.rows == [{"review": "good"}]


def test_a_field_may_be_called_instances_or_inputs() -> None:
    for name in ("instances", "inputs"):
        schema = Schema((Field(name, "text", "string"),))
        assert read_one(json.dumps({name: "text"}).encode(), None, schema) == {name: "text"}
        asked = read(json.dumps({"instances": [{name: "text"}]}).encode(), None, schema)
        assert asked.rows == [{name: "text"}]
