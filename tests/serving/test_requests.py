"""Bodies to rows by media type and schema, without a server and without a modality."""

from typing import Any

import pytest

from maas.schema import Field, Schema
from maas.serving._requests import Asked, Problem, read_request

SOUND = Schema((Field("sound", "audio", "bytes"),))
TEXT = Schema((Field("review", "text", "string"),))
TABLE = Schema((Field("size", "numeric", "number"), Field("colour", "categorical", "label")))
MIXED = Schema((*SOUND.fields, *TEXT.fields, *TABLE.fields))


def read(body: Any, media: str | None, schema: Schema) -> Asked:
    parts = body if isinstance(body, dict) else {"body": body}
    return read_request(parts, {} if media is None else {"Content-Type": media}, schema)


@pytest.mark.parametrize("media", ["audio/wav", "application/octet-stream", "Audio/WAV; rate=8000"])
def test_a_body_of_bytes_is_the_row_of_one_bytes_field(media: str) -> None:
    assert read(bytearray(b"{RIFF"), media, SOUND) == Asked([{"sound": b"{RIFF"}], single=True)


def test_a_body_of_text_is_the_row_of_one_string_field() -> None:
    assert read("很好".encode(), "text/plain; charset=utf-8", TEXT) == Asked([{"review": "很好"}], single=True)
    with pytest.raises(Problem) as caught:
        read(b"\xff\xfe", "text/plain", TEXT)
    assert (caught.value.status, caught.value.kind) == (400, "not-utf-8")


@pytest.mark.parametrize(
    "media", [None, "application/json", "application/json; charset=utf-8", "application/vnd.x+json"]
)
@pytest.mark.parametrize("schema", [SOUND, TEXT, TABLE])
def test_json_is_json_for_every_schema(media: str | None, schema: Schema) -> None:
    assert read(b'{"a": 1}', media, schema) == Asked([{"a": 1}], single=True)
    assert read(b'{"instances": [1, 2]}', media, schema) == Asked([1, 2])


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
    assert read(parts, "multipart/form-data; boundary=x", MIXED) == Asked([row], single=True)


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
