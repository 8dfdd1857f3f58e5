"""JSON is read strictly, and mostly by counting: what counting cannot tell is read again."""

import json
from typing import Any

import pytest

from maas.serving.protocols import MOST_DEPTH, Problem
from maas.serving.protocols._strict import check_strict, parse_json


def read(text: str) -> Any:
    body = bytearray(text.encode())
    value = parse_json(body)
    check_strict(value, body)
    return value


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1, "b": 2}',
        '{"a": "12:30:00 {[", "b": ":"}',
        '{"a:b": 1, "a": {"b": {}, "c": []}}',
        '{"instances": [{"a": 1}, {"a": 2}, {"a": {"a": 3}}]}',
        '{"instances": [{"a": ["x:y", "["]}, {"a": []}]}',
        '[{"a": 1}, {"a": 1}]',
        '":"',
        "3",
        '{"a\\u003a": 1, "a": "\\":\\""}',
        json.dumps({"instances": [{"a": [[1, 2], [3, 4]]}] * 100}),
        "[" * MOST_DEPTH + "]" * MOST_DEPTH,
    ],
)
def test_plain_json_is_read(text: str) -> None:
    assert read(text) == json.loads(text)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('{"a": 1, "a": 1}', "a"),
        ('{"a": 1, "b": 2, "a" : 3}', "a"),
        ('{"a": 1, "\\u0061": 2}', "a"),
        ('{"instances": [{"a": 1}, {"a": "x:y", "a": 2}]}', "a"),
        ('{"instances": [{"a": 1}], "instances": [{"a": 1}]}', "instances"),
        ('{"a": {"b": 1, "c": [{"d": 1, "d": 2}]}}', "d"),
        ('{"' + "é" * 500 + '": 1, "' + "é" * 500 + '": 2}', "\\xe9" * 50),
    ],
)
def test_a_name_that_stands_twice_is_refused(text: str, name: str) -> None:
    with pytest.raises(Problem, match="stands twice in one object; send it once") as caught:
        read(text)
    assert (caught.value.status, caught.value.kind, caught.value.field) == (400, "repeated-name", name)


@pytest.mark.parametrize(
    "text",
    [
        "[" * (MOST_DEPTH + 1) + "]" * (MOST_DEPTH + 1),
        '{"a":' * (MOST_DEPTH + 1) + "1" + "}" * (MOST_DEPTH + 1),
        '{"a": "]]]]", "b": ' + "[" * MOST_DEPTH + "]" * MOST_DEPTH + "}",
    ],
)
def test_deep_nesting_is_refused(text: str) -> None:
    with pytest.raises(Problem, match="may be nested 64 levels deep") as caught:
        read(text)
    assert (caught.value.status, caught.value.kind) == (400, "too-deep")


@pytest.mark.parametrize("text", ["{", "NaN", '{"a": Infinity}', "[" * 5000, '{"a": "\\ud800"}', "", "\ufeff{}"])
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(Problem, match="the body must be JSON") as caught:
        read(text)
    assert (caught.value.status, caught.value.kind) == (400, "not-json")
