"""A field and a schema as JSON Schema and as stored; states of hostile hands."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from maas.errors import DataError, FormatError
from maas.schema import Field, Schema

STATE = Field("alcohol", "numeric", "number", range=(1.0, 2.0)).to_json()


def test_a_schema_without_fields_is_refused() -> None:
    with pytest.raises(DataError, match="a schema needs at least one field"):
        Schema(())


def test_two_fields_of_one_name_are_refused() -> None:
    field = Field("a", "numeric", "number")
    with pytest.raises(DataError, match="field names must differ, got 'a' more than once"):
        Schema((field, field))


@pytest.mark.parametrize(
    ("field", "wanted"),
    [
        (Field("v", "numeric", "number"), {"type": "number"}),
        (Field("v", "numeric", "number", nullable=True), {"type": ["number", "null"]}),
        (
            Field("v", "numeric", "number", range=(0.5, 2.0), unit="kg"),
            {"type": "number", "description": "in kg; 0.5 to 2 in training"},
        ),
        (
            Field("v", "numeric", "number", shape=(2, 3)),
            {
                "type": "array",
                "items": {"type": "array", "items": {"type": "number"}, "minItems": 3, "maxItems": 3},
                "minItems": 2,
                "maxItems": 2,
            },
        ),
        (Field("v", "boolean", "boolean"), {"type": "boolean"}),
        (
            Field("v", "categorical", "label", values=("a", "b")),
            {"type": ["string", "number", "boolean"], "examples": ["a", "b"]},
        ),
        (Field("v", "text", "string", longest=9), {"type": "string", "maxLength": 9}),
        (
            Field("v", "image", "bytes", longest=4),
            {"type": "string", "contentEncoding": "base64", "maxLength": 8},
        ),
        (
            Field("v", "sequence", "number", shape=(None, 2), longest=7),
            {
                "type": "array",
                "items": {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2},
                "minItems": 1,
                "maxItems": 7,
            },
        ),
    ],
)
def test_json_schema_describes_a_field(field: Field, wanted: dict[str, Any]) -> None:
    assert Schema((field,)).json_schema() == {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {"v": wanted},
        "required": ["v"],
        "additionalProperties": False,
    }


def test_json_round_trip_gives_the_same_schema() -> None:
    schema = Schema(
        (
            Field("a", "numeric", "number", (2, 3), nullable=True, range=(-1.5, 2.0), unit="kg"),
            Field("b", "categorical", "label", values=("x", "é")),
        )
    )
    assert Schema.from_json(json.loads(json.dumps(schema.to_json()))) == schema


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dtype": "pickle"}, "field 'alcohol' has the unknown dtype 'pickle'"),
        ({"dtype": ["number"]}, "'dtype' must be str, got list of 1"),
        ({"name": 3}, "'name' must be str, got 3"),
        ({"nullable": 1}, "'nullable' must be bool, got 1"),
        ({"shape": "3"}, "'shape' must be list, got '3'"),
        ({"shape": [0]}, "has the impossible shape"),
        ({"shape": [-1]}, "has the impossible shape"),
        ({"shape": [True]}, "has the impossible shape"),
        ({"shape": [2.0]}, "has the impossible shape"),
        ({"shape": [10**9]}, "has the impossible shape"),
        ({"shape": [1 << 13, 1 << 13]}, "has the impossible shape"),
        ({"shape": [1] * 9}, "has the impossible shape"),
        ({"shape": [[1]]}, "has the impossible shape"),
        ({"values": ["a", 1]}, "has values that are not strings"),
        ({"values": "ab"}, "'values' must be list, got 'ab'"),
        ({"range": [0.0]}, "has a range that is not two finite numbers"),
        ({"range": [0.0, math.inf]}, "has a range that is not two finite numbers"),
        ({"range": [math.nan, 1.0]}, "has a range that is not two finite numbers"),
        ({"range": ["0", "1"]}, "has a range that is not two finite numbers"),
        ({"range": {"0": 1}}, "'range' must be list, got dict of 1"),
    ],
)
def test_hostile_field_states_are_refused(change: dict[str, Any], message: str) -> None:
    assert Field.from_json(STATE).to_json() == STATE
    with pytest.raises(FormatError, match=message):
        Field.from_json({**STATE, **change})


LISTED = Field("items", "items", "label", (None,), True, values=tuple("ab"), longest=3, optional=True)
OPTIONAL = Schema((Field("size", "numeric", "number"), LISTED, Field("who", "user", "label", (), True, optional=True)))


def test_optional_lists_as_json() -> None:
    assert Schema.from_json(OPTIONAL.to_json()) == OPTIONAL
    described = OPTIONAL.json_schema()
    assert described["required"] == ["size"]
    assert described["properties"]["items"] == {
        "type": ["array", "null"],
        "items": {"type": ["string", "number", "boolean"], "examples": ["a", "b"]},
        "minItems": 1,
        "maxItems": 3,
    }


def test_a_field_stored_before_there_were_optional_ones_is_needed() -> None:
    state = OPTIONAL.fields[0].to_json()
    del state["optional"]
    assert Field.from_json(state) == OPTIONAL.fields[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"optional": 1}, "'optional' must be bool, got 1"),
        ({"optional": None}, "'optional' must be bool, got None"),
        ({"nullable": False}, "may be left out but must not be null"),
        ({"shape": [3]}, "has a shape, which only numbers have, and lists of labels"),
        ({"shape": [None, 2]}, "has a shape, which only numbers have, and lists of labels"),
        ({"dtype": "bytes"}, "has a shape, which only numbers have, and lists of labels"),
    ],
)
def test_a_hostile_optional_field_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        Field.from_json({**LISTED.to_json(), **change})
