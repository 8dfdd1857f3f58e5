"""What a column is: inferred, said with `types`, and the task that follows from the target."""

from __future__ import annotations

import datetime
import math
from typing import Any

import numpy as np
import polars
import pytest

from maas.data import read_table
from maas.errors import DataError

from .conftest import Csv, kinds


def test_a_type_is_inferred_from_every_row_of_a_long_file(csv: Csv) -> None:
    """pyarrow infers types from the first megabyte by default; the text stands behind it."""
    lines = "".join(f"{index},{index % 2}\n" for index in range(250_000))
    with pytest.raises(DataError, match="column 'a' holds numbers but for 1 of 250001 cells, the first in row 250000"):
        read_table(csv(f"a,y\n{lines}oops,0\n"))


def test_text_that_differs_in_nearly_every_row_is_no_category() -> None:
    names = [f"person {index}" for index in range(60)]
    frame = polars.DataFrame({"name": names, "a": range(60), "y": [0, 1] * 30})
    with pytest.raises(DataError, match=r"column 'name' has 60 different texts in 60 rows, such as 'person 0'.*drop="):
        read_table(frame)
    assert kinds(read_table(frame, types={"name": "categorical"})) == {"name": "categorical", "a": "numeric"}


@pytest.mark.parametrize(
    ("cells", "kind", "wanted"),
    [
        ([3, 1, 3], "categorical", ["3", "1", "3"]),
        ([2.5, None, 2.5], "categorical", ["2.5", None, "2.5"]),
        ([True, False, None], "categorical", ["true", "false", None]),
        (["1", "2", "x"], "categorical", ["1", "2", "x"]),
        (["1", " 2.5 ", None], "numeric", [1.0, 2.5, math.nan]),
        ([True, False, True], "numeric", [1.0, 0.0, 1.0]),
        ([1, 0, None], "boolean", [1.0, 0.0, math.nan]),
        (["yes", "No", None], "boolean", [1.0, 0.0, math.nan]),
        (["TRUE", "false", "1"], "boolean", [1.0, 0.0, 1.0]),
    ],
)
def test_types_says_what_a_column_is(cells: list[Any], kind: str, wanted: list[Any]) -> None:
    rows = read_table(polars.DataFrame({"a": cells, "y": [0, 1, 0]}), types={"a": kind})
    assert kinds(rows) == {"a": kind}
    assert rows.schema["a"].nullable == (None in cells)
    np.testing.assert_array_equal(rows.columns["a"], np.array(wanted, rows.columns["a"].dtype))


@pytest.mark.parametrize(
    ("cells", "kind", "message"),
    [
        ([1, 2, 3], "boolean", "column 'a' cannot be boolean: row 1 has '2', which is not true or false"),
        (["yes", "maybe", "no"], "boolean", "column 'a' cannot be boolean: row 1 has 'maybe'"),
        (["a", "b", "c"], "numeric", "column 'a' cannot be numeric: row 0 has 'a'"),
        ([datetime.date(2024, 1, 1)] * 3, "numeric", "column 'a' holds dates"),
    ],
)
def test_types_cannot_say_what_a_column_is_not(cells: list[Any], kind: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_table(polars.DataFrame({"a": cells, "y": [0, 1, 0]}), types={"a": kind})


MANY = list(range(21))


@pytest.mark.parametrize(
    ("cells", "more", "task", "target"),
    [
        ([0, 1, 2], {}, "classification", [0, 1, 2]),
        ([0.0, 1.0, 2.0], {}, "classification", [0, 1, 2]),
        (MANY[:20], {}, "classification", MANY[:20]),
        (MANY, {}, "regression", [float(value) for value in MANY]),
        (MANY, {"task": "classification"}, "classification", MANY),
        (MANY, {"types": {"y": "categorical"}}, "classification", MANY),
        ([0, 1, 2], {"task": "regression"}, "regression", [0.0, 1.0, 2.0]),
        ([0, 1, 2], {"types": {"y": "numeric"}}, "regression", [0.0, 1.0, 2.0]),
        ([0.5, 1.0], {}, "regression", [0.5, 1.0]),
        (["a", "b"], {}, "classification", ["a", "b"]),
        ([True, False], {}, "classification", [True, False]),
        (["1.5", "2"], {"task": "regression"}, "regression", [1.5, 2.0]),
    ],
)
def test_the_task_follows_from_the_target(
    cells: list[Any], more: dict[str, Any], task: str, target: list[object]
) -> None:
    rows = read_table(polars.DataFrame({"a": range(len(cells)), "y": cells}), **more)
    assert rows.task == task
    assert rows.target is not None
    assert rows.target.tolist() == target
    assert {type(cell) for cell in rows.target.tolist()} == {type(cell) for cell in target}


@pytest.mark.parametrize(
    ("cells", "task", "message"),
    [
        (
            [0.0, 1.5],
            "classification",
            r"holds fractions \(1.5 in row 1\), which are no classes; say task='regression'",
        ),
        (["1", "x"], "regression", "the target 'y' of a regression must be numbers, got 'x' in row 1"),
        (["1", "inf"], "regression", "the target 'y' must be finite"),
        ([None, 1.0], None, "the target 'y' is missing in 1 of . rows, the first is row 0"),
        (["x", None], None, "the target 'y' is missing in 1 of . rows, the first is row 1"),
        ([None, True], None, "the target 'y' is missing in 1 of . rows, the first is row 0"),
    ],
)
def test_unusable_targets_are_refused(cells: list[Any], task: str | None, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_table(polars.DataFrame({"a": [1, 2], "y": cells}), task=task)
