"""What a row is: checks by dtype, error messages, JSON forms."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np
import pytest

from maas.errors import DataError, RowError
from maas.schema import Columns, Field, Schema, label_text

GOOD: dict[str, Any] = {"number": 2.5, "boolean": True, "label": "red", "string": "hello", "bytes": b"\x00\xff"}


def nested(levels: int) -> Any:
    value: Any = 1.0
    for _ in range(levels):
        value = [value]
    return value


def check_between_good(field: Field, value: object) -> tuple[Columns, dict[int, RowError]]:
    """The value stands between two rows that are in order, and these must keep their values."""
    good = [[GOOD["number"]] * field.shape[0] if field.shape else GOOD[field.dtype]] * 3
    columns, errors = Schema((field,)).rows_to_columns(
        [{field.name: good[0]}, {field.name: value}, {field.name: good[2]}]
    )
    assert not errors.keys() - {1}
    for row in (0, 2):
        np.testing.assert_array_equal(columns[field.name][row], good[row])
    return columns, errors


WRONG: list[tuple[str, dict[str, Any], object, str]] = [
    ("number", {}, True, "must be a number, got True"),
    ("number", {}, np.True_, "must be a number, got True"),
    ("number", {}, "3.5", "must be a number, got '3.5'"),
    ("number", {}, "x" * 10_000_000, "must be a number, got 'xxx"),
    ("number", {}, None, "must be a number, got null"),
    ("number", {}, math.nan, "must be a number, got null"),
    ("number", {}, [1.0], "must be a number, got list of 1"),
    ("number", {}, {"a": 1}, "must be a number, got dict of 1"),
    ("number", {}, nested(200), "must be a number, got list of 1"),
    ("number", {}, math.inf, "must be finite, got infinity"),
    ("number", {}, -math.inf, "must be finite, got infinity"),
    ("number", {}, 10**400, "must be finite, got infinity"),
    ("number", {"nullable": True}, math.inf, "must be finite, got infinity"),
    ("number", {"shape": (2,)}, [1.0], "must be 2 numbers, got list of 1"),
    ("number", {"shape": (2,)}, 1.0, "must be 2 numbers, got 1.0"),
    ("number", {"shape": (2,)}, [1.0, True], "must be 2 numbers, got True"),
    ("number", {"shape": (2,)}, [1.0, None], "must be 2 numbers, got null"),
    ("number", {"shape": (2,)}, [1.0, 10**400], "must be finite, got infinity"),
    ("number", {"shape": (2,)}, nested(200), "must be 2 numbers, got list of 1"),
    ("boolean", {}, 1, "must be true or false, got 1"),
    ("boolean", {}, 1.0, "must be true or false, got 1.0"),
    ("boolean", {}, "true", "must be true or false, got 'true'"),
    ("boolean", {}, None, "must be true or false, got null"),
    ("boolean", {}, nested(200), "must be true or false, got list of 1"),
    ("boolean", {}, 10**400, "must be true or false, got 1000"),
    ("label", {}, math.inf, "must be a label (string, number or boolean), got inf"),
    ("label", {}, None, "must be a label (string, number or boolean), got null"),
    ("label", {}, ["red"], "must be a label (string, number or boolean), got list of 1"),
    ("label", {}, nested(200), "must be a label (string, number or boolean), got list of 1"),
    ("string", {}, 3, "must be a string, got 3"),
    ("string", {}, None, "must be a string, got null"),
    ("string", {}, nested(200), "must be a string, got list of 1"),
    ("bytes", {}, "no base64!", "must be bytes written as base64, got 'no base64!'"),
    ("bytes", {}, b"", "must have 1 to 20000000 bytes, got 0"),
    ("bytes", {"longest": 2}, b"abc", "must have 1 to 2 bytes, got 3"),
    ("bytes", {"nullable": True}, 3, "must be bytes, got 3"),
]


@pytest.mark.parametrize(
    ("dtype", "more", "value", "message"), WRONG, ids=[f"{dtype} {message}" for dtype, _, _, message in WRONG]
)
def test_a_wrong_value_is_named_and_spares_its_neighbours(
    dtype: Any, more: dict[str, Any], value: object, message: str
) -> None:
    _, errors = check_between_good(Field("v", "any", dtype, **more), value)
    assert (errors[1].row, errors[1].field) == (1, "v")
    assert str(errors[1]).startswith(f"row 1: field 'v' {message}")
    assert len(str(errors[1])) < 200


@pytest.mark.parametrize(
    ("more", "value", "message"), [case[1:] for case in WRONG if case[0] == "number" and "shape" not in case[1]]
)
def test_a_wrong_number_beside_other_fields_is_told_in_the_same_words(
    more: dict[str, Any], value: object, message: str
) -> None:
    """Single numbers are looked at together; where one is odd, each is looked at by itself."""
    schema = Schema((Field("a", "any", "number"), Field("v", "any", "number", **more), Field("z", "any", "number")))
    columns, errors = schema.rows_to_columns([{"a": 1.0, "v": 2, "z": 3}, {"a": 4, "v": value, "z": 5.5}])
    assert (list(errors), errors[1].field) == ([1], "v")
    assert str(errors[1]).startswith(f"row 1: field 'v' {message}")
    assert (columns["a"].tolist(), columns["z"].tolist(), columns["v"][0]) == ([1.0, 4.0], [3.0, 5.5], 2.0)


def test_numbers_of_several_fields_are_the_columns_of_each_alone() -> None:
    fields = (Field("a", "any", "number"), Field("b", "any", "label"), Field("c", "any", "number", nullable=True))
    rows = [{"a": 1, "b": "x", "c": None}, {"a": 2**60 + 1, "b": "1.50", "c": -0.5}]
    columns, errors = Schema(fields).rows_to_columns(rows)
    assert (list(columns), errors) == (["a", "b", "c"], {})
    for field in fields:
        alone, _ = Schema((field,)).rows_to_columns([{field.name: row[field.name]} for row in rows])
        np.testing.assert_array_equal(columns[field.name], alone[field.name])
        assert columns[field.name].dtype == alone[field.name].dtype


@pytest.mark.parametrize("odd", [True, "1", np.float32(1), 10**400, [1.0], b"1", np.True_, object()])
def test_one_odd_number_in_a_list_is_found_wherever_it_stands(odd: object) -> None:
    """Reference: the same value alone in a row."""
    field = Field("v", "any", "number", shape=(2, 3))
    for place in range(6):
        flat: list[object] = [0.5] * 6
        flat[place] = odd
        rows = [{"v": [[1, 2, 3], [4, 5, 6]]}, {"v": [flat[:3], flat[3:]]}]
        columns, errors = Schema((field,)).rows_to_columns(rows)
        alone, wrong = Schema((field,)).rows_to_columns(rows[1:])
        assert [error.detail for error in errors.values()] == [error.detail for error in wrong.values()]
        np.testing.assert_array_equal(columns["v"], np.concatenate([[rows[0]["v"]], alone["v"]]))


@pytest.mark.parametrize("dtype", ["number", "boolean", "label"])
def test_an_integer_too_long_to_print_is_no_crash(dtype: Any) -> None:
    value = 10 ** (sys.get_int_max_str_digits() + 1)
    _, errors = check_between_good(Field("v", "any", dtype), value)
    assert errors[1].field == "v"


@pytest.mark.parametrize(
    ("dtype", "more", "value", "stored"),
    [
        ("number", {}, 3, 3.0),
        ("number", {}, np.float32(0.5), 0.5),
        ("number", {}, np.int64(7), 7.0),
        ("number", {"nullable": True}, None, math.nan),
        ("number", {"shape": (2,)}, (1, 2.5), [1.0, 2.5]),
        ("number", {"shape": (2,)}, np.array([1, 2]), [1.0, 2.0]),
        ("number", {"shape": (2,), "nullable": True}, [1.0, None], [1.0, math.nan]),
        ("boolean", {}, False, 0.0),
        ("boolean", {"nullable": True}, None, math.nan),
        ("label", {}, 3, "3"),
        ("label", {}, True, "true"),
        ("label", {}, "", ""),
        ("label", {"nullable": True}, None, None),
        ("string", {"nullable": True}, None, None),
        ("bytes", {}, b"x", b"x"),
        ("bytes", {}, "eA==", b"x"),
    ],
)
def test_a_right_value_is_stored_in_canonical_form(
    dtype: Any, more: dict[str, Any], value: object, stored: object
) -> None:
    columns, errors = check_between_good(Field("v", "any", dtype, **more), value)
    assert not errors
    assert columns["v"].dtype == (np.float64 if dtype in ("number", "boolean") else object)
    np.testing.assert_array_equal(columns["v"][1], stored)


@pytest.mark.parametrize(
    ("row", "field", "message"),
    [
        ({"colour": "red"}, "alcohol", "field 'alcohol' is missing"),
        ({"alcohool": 1.0, "colour": "red"}, "alcohol", "field 'alcohol' is missing; did you mean 'alcohool'?"),
        (
            {"alcohol": 1.0, "colour": "red", "color": "red"},
            "color",
            "there is no field 'color'; did you mean 'colour'?",
        ),
        ({"alcohol": 1.0, "colour": "red", "zzz": 1}, "zzz", "there is no field 'zzz'"),
        ({"alcohol": 1.0, "colour": "red", 3: 1}, "3", "there is no field 3"),
        (5, None, "a row must be an object of fields, got 5"),
        (None, None, "a row must be an object of fields, got None"),
        ([1.0, "red"], None, "a row must be an object of fields, got list of 2"),
    ],
)
def test_wrong_fields_are_named_with_a_suggestion(row: object, field: str | None, message: str) -> None:
    schema = Schema((Field("alcohol", "numeric", "number"), Field("colour", "categorical", "label")))
    columns, errors = schema.rows_to_columns([row, {"colour": "blue", "alcohol": 2}])
    assert {0: f"row 0: {message}"} == {index: str(error) for index, error in errors.items()}
    assert errors[0].field == field
    assert (columns["alcohol"][1], columns["colour"][1]) == (2.0, "blue")


def test_no_rows_are_columns_of_length_zero() -> None:
    columns, errors = Schema((Field("a", "n", "number", shape=(2,)), Field("b", "c", "label"))).rows_to_columns([])
    assert not errors
    assert (columns["a"].shape, columns["b"].shape) == ((0, 2), (0,))


def test_an_array_column_of_another_shape_is_refused() -> None:
    with pytest.raises(DataError, match=r"column 'a' must be numbers of shape \(2, 3\), got dtype float64, shape \(2,"):
        Schema((Field("a", "n", "number", shape=(3,)),)).check({"a": np.zeros((2, 4))}, 2)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3, "3"),
        (3.0, "3"),
        (-0.0, "0"),
        (2.5, "2.5"),
        (np.float32(4.0), "4"),
        (np.int64(-2), "-2"),
        (True, "true"),
        (np.False_, "false"),
        ("True", "true"),
        ("3.0", "3"),
        ("2.50", "2.5"),
        ("01", "01"),
        ("1.0.0", "1.0.0"),
        ("Truest", "Truest"),
    ],
)
def test_label_text_writes_a_category_one_way(value: object, text: str) -> None:
    assert label_text(value) == text


STEPS = Field("v", "sequence", "number", shape=(None, 2), longest=3)


def test_steps_of_any_number_are_kept_as_arrays() -> None:
    rows: list[Any] = [{"v": [[1, 2], [3, 4.5]]}, {"v": np.ones((1, 2))}, {"v": ((0, 0),) * 3}]
    columns, errors = Schema((STEPS,)).rows_to_columns(rows)
    assert errors == {}
    assert [cell.tolist() for cell in columns["v"]] == [[[1.0, 2.0], [3.0, 4.5]], [[1.0, 1.0]], [[0.0, 0.0]] * 3]
    assert all(cell.dtype == np.float64 for cell in columns["v"])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "must be 1 to 3 steps of 2 numbers, got 0 steps"),
        ([[1, 2]] * 4, "must be 1 to 3 steps of 2 numbers, got 4 steps"),
        (3.0, "must be 1 to 3 steps of 2 numbers, got 3.0"),
        ([[1, 2], [3]], "must have steps of 2 numbers, got list of 1"),
        ([[1, 2], [3, True]], "must have steps of 2 numbers, got True"),
        (np.zeros((2, 3)), r"must have steps of 2 numbers, got steps of shape \(3,\)"),
        ([[1, None]], "must be finite, without null"),
        ([[1, math.inf]], "must be finite"),
    ],
)
def test_steps_that_are_none_are_named_and_spare_their_neighbours(value: Any, message: str) -> None:
    columns, errors = Schema((STEPS,)).rows_to_columns([{"v": [[1, 2]]}, {"v": value}])
    assert list(errors) == [1]
    with pytest.raises(RowError, match=message):
        raise errors[1]
    assert columns["v"][0].tolist() == [[1.0, 2.0]]


def test_a_text_longer_than_the_field_allows() -> None:
    _, errors = Schema((Field("v", "text", "string", longest=2),)).rows_to_columns([{"v": "ab"}, {"v": "abc"}])
    assert [str(errors[row]) for row in errors] == ["row 1: field 'v' must have at most 2 characters, got 3"]


LISTED = Field("items", "items", "label", (None,), True, values=tuple("ab"), longest=3, optional=True)
OPTIONAL = Schema((Field("size", "numeric", "number"), LISTED, Field("who", "user", "label", (), True, optional=True)))


def test_optional_fields_may_be_left_out_and_lists_of_labels_be_given() -> None:
    rows = [{"size": 1}, {"size": 2, "items": ["a", 3, True]}, {"size": 3, "items": ("b",), "who": None}]
    columns, errors = OPTIONAL.rows_to_columns(rows)
    assert not errors
    assert columns["items"].tolist() == [None, ("a", "3", "true"), ("b",)]
    assert columns["who"].tolist() == [None, None, None]
    again, errors = OPTIONAL.check(columns, 3)
    assert not errors
    assert again["items"].tolist() == columns["items"].tolist()
    assert OPTIONAL.check({"size": [1.0]}, 1)[0]["items"].tolist() == [None]
    assert LISTED.to_python(("a", "b")) == ["a", "b"]


def test_numpys_texts_are_labels_and_become_plain_ones() -> None:
    schema = Schema((Field("one", "user", "label"), Field("many", "items", "label", (None,))))
    texts = np.array(["ann", "2.0"])
    columns, errors = schema.rows_to_columns([{"one": one, "many": texts} for one in texts])
    assert not errors
    assert [type(one) for one in columns["one"]] == [str, str]
    assert columns["one"].tolist() == ["ann", "2"]
    assert columns["many"].tolist() == [("ann", "2")] * 2


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ([], "a list of 1 to 3 labels, got 0 of them"),
        (["a"] * 4, "a list of 1 to 3 labels, got 4 of them"),
        ("a", "a list of 1 to 3 labels, got 'a'"),
        ({"a": 1}, "a list of 1 to 3 labels, got dict of 1"),
        (["a", None], "a list of labels (string, number or boolean), got null in it"),
        (["a", [1]], "a list of labels (string, number or boolean), got list of 1 in it"),
        ([math.inf], "a list of labels (string, number or boolean), got inf in it"),
    ],
)
def test_a_wrong_list_of_labels_is_named_and_spares_its_neighbours(value: Any, problem: str) -> None:
    columns, errors = OPTIONAL.rows_to_columns([{"size": 1, "items": value}, {"size": 2, "items": ["b"]}])
    assert {row: error.detail for row, error in errors.items()} == {0: f"field 'items' must be {problem}"}
    assert columns["items"][1] == ("b",)


def test_a_needed_field_is_still_missed_beside_optional_ones() -> None:
    _, errors = OPTIONAL.rows_to_columns([{"items": ["a"]}, {"size": 1, "item": ["a"]}])
    assert errors[0].detail == "field 'size' is missing"
    assert errors[1].detail == "there is no field 'item'; did you mean 'items'?"
