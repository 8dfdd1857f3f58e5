"""Arrays, tensors and torch datasets as rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import torch
from torch.utils.data import Dataset, TensorDataset

from maas.data import Rows, as_rows, from_arrays, from_dataset
from maas.errors import DataError

X = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
Y = np.array([0, 1, 0])


@pytest.mark.parametrize(
    "x",
    [X, X.astype(np.float32), X.astype(np.int8), X.tolist(), torch.tensor(X), torch.tensor(X, requires_grad=True)],
    ids=["float64", "float32", "int8", "lists", "tensor", "tensor with gradient"],
)
def test_every_kind_of_array_gives_the_same_rows(x: Any) -> None:
    rows = from_arrays(x, Y)
    np.testing.assert_array_equal(rows.columns["x"], X)
    assert rows.columns["x"].dtype == np.float64
    assert rows.to_dicts()[1] == {"x": [3.0, 4.0]}
    assert rows.fingerprint() == from_arrays(X, Y).fingerprint()


def test_a_bfloat16_tensor_is_read() -> None:
    np.testing.assert_array_equal(from_arrays(torch.tensor(X, dtype=torch.bfloat16)).columns["x"], X)


def test_the_field_tells_shape_and_range() -> None:
    field = from_arrays(X).schema["x"]
    assert (field.shape, field.range, field.nullable) == ((2,), (1.0, 6.0), False)


def test_nan_makes_the_field_nullable() -> None:
    rows = from_arrays(np.array([[1.0, np.nan], [2.0, 3.0]]))
    assert rows.schema["x"].nullable
    assert rows.schema["x"].range == (1.0, 3.0)
    assert rows.to_dicts()[0] == {"x": [1.0, None]}


@pytest.mark.parametrize(
    ("y", "task", "found", "target"),
    [
        (Y, None, "classification", [0, 1, 0]),
        (torch.tensor(Y), None, "classification", [0, 1, 0]),
        (Y, "regression", "regression", [0.0, 1.0, 0.0]),
        (np.array([0.5, 1.5, 2.5]), None, "regression", [0.5, 1.5, 2.5]),
        (np.array(["a", "b", "a"]), None, "classification", ["a", "b", "a"]),
        (np.array([True, False, True]), None, "classification", [True, False, True]),
        ([1, 2, 1], None, "classification", [1, 2, 1]),
    ],
)
def test_the_target_tells_the_task(y: Any, task: str | None, found: str, target: list[object]) -> None:
    rows = from_arrays(X, y, task=task)
    assert rows.task == found
    assert rows.target is not None
    assert rows.target.tolist() == target
    assert [type(cell) for cell in rows.target.tolist()] == [type(cell) for cell in target]


@pytest.mark.parametrize(
    ("x", "y", "task", "message"),
    [
        (X[0], None, None, r"X must be numbers of shape \(rows, features\), got dtype float64, shape \(2,\)"),
        (X[None], None, None, r"X must be numbers of shape .*, got dtype float64, shape \(1, 3, 2\)"),
        (X.astype(complex), None, None, "X must be numbers of shape .*, got dtype complex128"),
        (X.astype(str), None, None, "X must be numbers of shape .*, got dtype <U"),
        (X.astype(object), None, None, "X must be an array of one dtype, got objects"),
        ([[1, 2], [3]], None, None, "X must be"),
        (X[:0], None, None, r"X must have at least one row and one feature, got shape \(0, 2\)"),
        (X[:, :0], None, None, r"X must have at least one row and one feature, got shape \(3, 0\)"),
        (np.where(X == 4, np.inf, X), None, None, "X must be finite, got inf in row 1, column 1"),
        (np.where(X == 5, -np.inf, X), None, None, "X must be finite, got -inf in row 2, column 0"),
        (X * [1, np.nan], None, None, "column 1 of X is missing in every row"),
        (X, Y[:2], None, r"y must have one value for each of the 3 rows of X, got shape \(2,\)"),
        (X, Y[:, None], None, r"y must have one value for each of the 3 rows of X, got shape \(3, 1\)"),
        (X, [1.0, np.nan, 2.0], None, "the target 'y' is missing in 1 of . rows, the first is row 1"),
        (X, [1.5, np.inf, 2.0], None, "the target 'y' must be finite, got inf in row 1"),
        (X, [0.5, 1, 2], "classification", r"the target 'y' holds fractions \(0.5 in row 0\)"),
        (X, Y, "ranking", "`task` must be one of classification, regression, multilabel, anomaly, got 'ranking'"),
    ],
)
def test_unusable_arrays_are_refused(x: Any, y: Any, task: str | None, message: str) -> None:
    with pytest.raises(DataError, match=message):
        from_arrays(x, y, task=task)


class Items(Dataset[Any]):
    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        return self.items[index]


@pytest.mark.parametrize(
    "dataset",
    [
        TensorDataset(torch.tensor(X), torch.tensor(Y)),
        Items(list(zip(X, Y, strict=True))),
        Items(list(zip(X.tolist(), Y.tolist(), strict=True))),
    ],
    ids=["tensors", "arrays", "lists"],
)
def test_a_dataset_gives_the_rows_of_its_arrays(dataset: Any) -> None:
    assert from_dataset(dataset).fingerprint() == from_arrays(X, Y).fingerprint()


@pytest.mark.parametrize(
    "dataset",
    [
        TensorDataset(torch.tensor(X)),
        Items([([1.0, 2.0], 0), ([1.0], 1)]),
        Items([]),
        Items([{"x": 1}]),
        iter([([1.0], 0)]),
    ],
    ids=["no target", "two shapes", "empty", "mappings", "no length"],
)
def test_a_dataset_of_anything_but_pairs_is_refused(dataset: Any) -> None:
    with pytest.raises(DataError, match=r"a dataset must have a length and items \(features, target\) of one shape"):
        from_dataset(dataset)


def test_a_dataset_of_images_is_refused() -> None:
    with pytest.raises(DataError, match=r"X must be numbers of shape \(rows, features\), got .* shape \(2, 3, 4, 4\)"):
        from_dataset(TensorDataset(torch.zeros(2, 3, 4, 4), torch.tensor([0, 1])))


@pytest.mark.parametrize("source", [(X, Y), TensorDataset(torch.tensor(X), torch.tensor(Y))], ids=["pair", "dataset"])
def test_as_rows_takes_pairs_and_datasets(source: Any) -> None:
    assert as_rows(source, task="regression").fingerprint() == from_arrays(X, Y, task="regression").fingerprint()


def test_as_rows_gives_rows_back() -> None:
    rows: Rows = from_arrays(X, Y)
    assert as_rows(rows) is rows


@pytest.mark.parametrize("source", ["wine.csv", Path("wine.csv"), pandas.DataFrame({"a": [1]}), 3], ids=repr)
def test_as_rows_points_to_read_table(source: Any) -> None:
    with pytest.raises(DataError, match=rf"got {type(source).__name__}; read a file or a data frame with .*read_table"):
        as_rows(source)
