"""The learned preprocessing of tables."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from maas.errors import DataError, FormatError, MaasError
from maas.preprocess import Table, for_schema, from_state
from maas.schema import Columns, Field, Schema

Values = np.ndarray[Any, Any]


def numeric(values: Any) -> tuple[Schema, Columns]:
    """Columns x0, x1, ... of an array of shape (rows, columns)."""
    array = np.asarray(values, np.float64)
    fields = [
        Field(
            f"x{index}",
            "numeric",
            "number",
            nullable=bool(np.isnan(column).any()),
            range=(float(np.nanmin(column)), float(np.nanmax(column))),
        )
        for index, column in enumerate(array.T)
    ]
    return Schema(tuple(fields)), {f"x{index}": column for index, column in enumerate(array.T)}


def labels(*values: str | None) -> tuple[Schema, Columns]:
    known = tuple(sorted({value for value in values if value is not None}))
    field = Field("c", "categorical", "label", nullable=None in values, values=known)
    return Schema((field,)), {"c": np.array(values, object)}


def tensor(table: Table, columns: Columns) -> Values:
    tensors, errors = table.apply(columns)
    assert not errors
    assert tensors["x"].dtype == torch.float32
    assert table.outputs["x"].shape == (tensors["x"].shape[1],)
    return tensors["x"].numpy()


@pytest.fixture
def gappy() -> Values:
    """Three columns of different size; the last has no gaps."""
    generator = np.random.default_rng(0)
    values = generator.normal(size=(101, 3)) * [1.0, 1000.0, 0.01] + [0.0, 5.0, 40.0]
    values[:, :2][generator.random((101, 2)) < 0.2] = np.nan
    return values


def mixed() -> tuple[Schema, Columns]:
    schema = Schema(
        (
            Field("size", "numeric", "number", nullable=True, range=(-1.0, 7.0)),
            Field("colour", "categorical", "label", nullable=True, values=("blue", "green", "red")),
            Field("pair", "numeric", "number", shape=(2,), range=(0.0, 900.0)),
            Field("open", "boolean", "boolean", nullable=True),
        )
    )
    columns: Columns = {
        "size": np.array([-1.0, np.nan, 7.0, 2.0]),
        "colour": np.array(["red", "red", None, "green"], object),
        "pair": np.array([[0.0, 900.0], [1.0, 800.0], [2.0, 700.0], [3.0, 0.0]]),
        "open": np.array([1.0, 0.0, np.nan, 1.0]),
    }
    return schema, columns


def test_numbers_equal_scikit_learns_imputer_scaler_and_indicator(gappy: Values) -> None:
    """SimpleImputer(median), then StandardScaler learned on the values that are there; MissingIndicator beside."""
    schema, columns = numeric(gappy)
    filled = SimpleImputer(strategy="median").fit_transform(gappy)
    scaled = StandardScaler().fit(gappy).transform(filled)
    missing = MissingIndicator(features="missing-only").fit_transform(gappy)
    table = Table.learn(schema, columns)
    np.testing.assert_allclose(tensor(table, columns), np.hstack([scaled, missing]), rtol=1e-6, atol=1e-6)


def test_only_the_given_rows_are_learned_from(gappy: Values) -> None:
    """Reference as above, learned on the first 50 rows and applied to the others."""
    schema, columns = numeric(gappy)
    train = {name: column[:50] for name, column in columns.items()}
    test = {name: column[50:] for name, column in columns.items()}
    filled = SimpleImputer(strategy="median").fit(gappy[:50]).transform(gappy[50:])
    scaled = StandardScaler().fit(gappy[:50]).transform(filled)
    found = tensor(Table.learn(schema, train), test)
    np.testing.assert_allclose(found[:, :3], scaled, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("factor", [1e-15, 1e-6, 1e6, 1e15])
def test_the_unit_of_a_column_does_not_matter(factor: float) -> None:
    """StandardScaler, on a column in farads as on one in picofarads."""
    values = np.array([[1.0], [2.0], [4.0]]) * factor
    schema, columns = numeric(values)
    found = tensor(Table.learn(schema, columns), columns)
    np.testing.assert_allclose(found, StandardScaler().fit_transform(values), rtol=1e-6)


@pytest.mark.parametrize("constant", [0.0, 3.7, -1e9, 0.1])
def test_a_constant_column_becomes_zeros(constant: float) -> None:
    schema, columns = numeric(np.full((7, 1), constant))
    table = Table.learn(schema, columns)
    np.testing.assert_allclose(tensor(table, columns), 0.0, atol=1e-6)
    np.testing.assert_allclose(tensor(table, {"x0": np.array([constant + 2.0])}), 2.0)


@pytest.mark.parametrize("values", [[1e200, -1e200, 3e200], [1e308, 1.7e308, 1.5e308]], ids=str)
def test_what_is_learned_from_enormous_numbers_is_finite_or_refused(values: list[float]) -> None:
    schema, columns = numeric(np.array(values)[:, None])
    try:
        table = Table.learn(schema, columns)
    except DataError:
        return
    state, arrays = table.state()
    assert Table.from_state(schema, state, arrays)


def test_a_gap_in_a_column_that_had_none_in_training_has_no_indicator(gappy: Values) -> None:
    schema, columns = numeric(gappy)
    assert Table.learn(schema, columns).gaps.tolist() == [True, True, False]
    assert Table.learn(schema, columns).outputs["x"].shape == (5,)


def test_booleans_are_scaled_as_numbers() -> None:
    """StandardScaler on zeros and ones."""
    values = np.array([1.0, 0.0, 1.0, 1.0])
    table = Table.learn(Schema((Field("b", "boolean", "boolean"),)), {"b": values})
    found = tensor(table, {"b": values})
    np.testing.assert_allclose(found, StandardScaler().fit_transform(values[:, None]), rtol=1e-6)


def test_numbers_come_first_then_gaps_then_categories() -> None:
    schema, columns = mixed()
    found = tensor(Table.learn(schema, columns), columns)
    assert found.shape == (4, 4 + 2 + 3)
    np.testing.assert_array_equal(found[:, 4:6], [[0, 0], [1, 0], [0, 1], [0, 0]])  # gaps of size, of open
    np.testing.assert_array_equal(found[:, 6:], [[1, 0, 0], [1, 0, 0], [0, 0, 1], [0, 1, 0]])  # red, other, missing


def test_categories_equal_scikit_learns_encoder() -> None:
    """OneHotEncoder(min_frequency=2): rare and unknown categories share its last column."""
    train, asked = ["b", "a", "b", "c", "a", "d", "b"], ["a", "b", "c", "d", "unheard of"]
    encoder = OneHotEncoder(min_frequency=2, handle_unknown="infrequent_if_exist", sparse_output=False)
    wanted = encoder.fit(np.array(train)[:, None]).transform(np.array(asked)[:, None])
    schema, columns = labels(*train)
    found = tensor(Table.learn(schema, columns), {"c": np.array(asked, object)})
    np.testing.assert_array_equal(found, wanted)


def test_an_unknown_category_is_all_zeros_where_training_had_no_rare_ones() -> None:
    """OneHotEncoder(handle_unknown="ignore")."""
    schema, columns = labels("a", "b", "a", "b")
    found = tensor(Table.learn(schema, columns), {"c": np.array(["b", "unheard of"], object)})
    np.testing.assert_array_equal(found, [[0, 1], [0, 0]])


@pytest.mark.parametrize(
    ("train", "row"), [(("a", "a", None), [0, 1]), (("a", "a", "b", None), [0, 0, 1])], ids=["plain", "with rare"]
)
def test_a_missing_category_has_a_column_of_its_own(train: tuple[str | None, ...], row: list[int]) -> None:
    schema, columns = labels(*train)
    np.testing.assert_array_equal(tensor(Table.learn(schema, columns), columns)[-1], row)


def test_at_most_256_categories_have_a_column() -> None:
    common = [f"c{index:03d}" for index in range(256)] * 3
    schema, columns = labels(*common, "last", "last")
    table = Table.learn(schema, columns)
    assert table.outputs["x"].shape == (257,)
    np.testing.assert_array_equal(tensor(table, columns)[-1].nonzero(), [[256]])


def test_zero_rows_give_a_tensor_of_zero_rows() -> None:
    schema, columns = mixed()
    table = Table.learn(schema, columns)
    assert tensor(table, {name: column[:0] for name, column in columns.items()}).shape == (0, 9)


@pytest.mark.parametrize("value", [1e300, -1e300, 1.7e308])
def test_a_number_too_large_for_float32_is_the_rows_own_error(value: float) -> None:
    schema, columns = mixed()
    table = Table.learn(schema, columns)
    spoilt = {**columns, "pair": columns["pair"].copy()}
    spoilt["pair"][2, 1] = value
    tensors, errors = table.apply(spoilt)
    assert {row: str(error) for row, error in errors.items()} == {2: "row 2: field 'pair' is too large for the model"}
    assert errors[2].field == "pair"
    kept = [0, 1, 3]
    np.testing.assert_array_equal(tensors["x"].numpy()[kept], tensor(table, columns)[kept])


def test_identity_leaves_numbers_as_they_are() -> None:
    values = np.array([[1.5, -2.0], [1e6, 0.0]])
    schema, columns = numeric(values)
    np.testing.assert_array_equal(tensor(Table.identity(schema), columns), values)


def test_identity_is_refused_for_categories() -> None:
    with pytest.raises(MaasError, match="'c'"):
        _ = Table.identity(labels("a", "a")[0]).outputs


def test_examples_are_valid_the_same_each_time_and_json() -> None:
    schema, columns = mixed()
    table = Table.learn(schema, columns)
    rows = table.examples(5)
    checked, errors = schema.rows_to_columns(json.loads(json.dumps(rows)))
    assert len(rows) == 5
    assert not errors
    assert np.isfinite(tensor(table, checked)).all()
    assert rows == Table.learn(schema, columns).examples(5)


def test_examples_differ_and_the_last_shows_what_may_be_missing() -> None:
    schema, columns = mixed()
    *rows, last = Table.learn(schema, columns).examples(5)
    assert len({json.dumps(row) for row in rows}) == 4
    assert {name for name, value in last.items() if value is None} == {"size", "colour", "open"}
    assert {row["colour"] for row in rows} <= {"blue", "green", "red"}


@pytest.mark.parametrize(
    "values",
    [
        [0.0, 1.0, 100.0],
        [1234567.0, 1234567.0],
        [1234567.25, 1234567.75],
        [1700000011.0, 1700000050.0, 1700000099.0],
        [1e-9, 3e-9],
    ],
    ids=["skewed", "constant", "narrow", "timestamps", "small"],
)
def test_examples_stay_within_the_range_of_training(values: list[float]) -> None:
    schema, columns = numeric(np.array(values)[:, None])
    found = [row["x0"] for row in Table.learn(schema, columns).examples(8)]
    assert min(values) <= min(found)
    assert max(found) <= max(values)


def test_the_state_round_trip_gives_identical_tensors() -> None:
    schema, columns = mixed()
    table = Table.learn(schema, columns)
    state, arrays = table.state()
    rebuilt = from_state("table", schema, json.loads(json.dumps(state)), arrays)
    assert torch.equal(rebuilt.apply(columns)[0]["x"], table.apply(columns)[0]["x"])
    assert rebuilt.examples(4) == table.examples(4)
    assert rebuilt.outputs == table.outputs


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("fill", np.zeros(3), r"array 'fill' must be float64 of shape \(4,\), got float64 of shape \(3,\)"),
        ("mean", np.zeros((4, 1)), r"array 'mean' must be float64 of shape \(4,\), got float64 of shape \(4, 1\)"),
        ("scale", np.ones(4, np.float32), r"array 'scale' must be float64 .*, got float32"),
        ("gaps", np.zeros(4), r"array 'gaps' must be bool .*, got float64"),
        ("mean", np.full(4, np.nan), "array 'mean' holds values that no training gives"),
        ("fill", np.full(4, np.inf), "array 'fill' holds values that no training gives"),
        ("scale", np.zeros(4), "array 'scale' holds values that no training gives"),
        ("scale", -np.ones(4), "array 'scale' holds values that no training gives"),
    ],
)
def test_hostile_arrays_are_refused(name: str, value: Values, message: str) -> None:
    schema, columns = mixed()
    state, arrays = Table.learn(schema, columns).state()
    with pytest.raises(FormatError, match=message):
        Table.from_state(schema, state, {**arrays, name: value})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"categories": {"colour": ["red", 1]}}, "categories of field 'colour' must be different strings"),
        ({"categories": {"colour": ["red", "red"]}}, "categories of field 'colour' must be different strings"),
        ({"categories": {}}, r"categories must be given for the fields \['colour'\], got \[\]"),
        ({"categories": {"colour": [], "size": []}}, r"categories must be given for .* got \['colour', 'size'\]"),
        ({"others": ["size"]}, "categories must be given for the fields"),
    ],
)
def test_hostile_categories_are_refused(change: dict[str, Any], message: str) -> None:
    schema, columns = mixed()
    state, arrays = Table.learn(schema, columns).state()
    with pytest.raises(FormatError, match=message):
        Table.from_state(schema, {**state, **change}, arrays)


def test_an_unknown_kind_is_refused() -> None:
    schema, columns = mixed()
    with pytest.raises(FormatError, match=r"unknown preprocessing 'pickle'; registered are .*table"):
        from_state("pickle", schema, *Table.learn(schema, columns).state())


def test_the_register_finds_the_preprocessing_by_kind_of_field() -> None:
    assert for_schema(mixed()[0]) is Table
    with pytest.raises(DataError, match="no preprocessing takes fields of the kinds hologram; give one with"):
        for_schema(Schema((Field("h", "hologram", "bytes"),)))
