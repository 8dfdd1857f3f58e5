"""Tables from files and data frames, and the rows they become."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import polars
import pyarrow
import pyarrow.parquet
import pytest

from maas.data import read_columns, read_table
from maas.errors import DataError, RowError
from maas.schema import Field, Schema

from .conftest import Csv, kinds

PLAIN: dict[str, list[Any]] = {
    "size": [1.5, None, -3.0, 1e-7],
    "count": [1, 2, 3, 2],
    "colour": ["red", None, "blue, light", "red"],
    "open": [True, False, True, True],
    "y": [0, 1, 1, 0],
}
NUMBER = Field("a", "numeric", "number")


def written(text: str, folder: Path, suffix: str) -> Path:
    path = folder / f"table{suffix}"
    path.write_text(text)
    return path


def parquet(table: dict[str, Any], folder: Path) -> Path:
    pyarrow.parquet.write_table(pyarrow.table(table), folder / "table.parquet")
    return folder / "table.parquet"


SOURCES: dict[str, Callable[[Path], Any]] = {
    "csv": lambda folder: written(pandas.DataFrame(PLAIN).to_csv(index=False), folder, ".csv"),
    "csv as text": lambda folder: str(written(pandas.DataFrame(PLAIN).to_csv(index=False), folder, ".csv")),
    "csv with CRLF": lambda folder: written(
        pandas.DataFrame(PLAIN).to_csv(index=False, lineterminator="\r\n"), folder, ".csv"
    ),
    "tsv": lambda folder: written(pandas.DataFrame(PLAIN).to_csv(index=False, sep="\t"), folder, ".tsv"),
    "parquet": lambda folder: parquet(PLAIN, folder),
    "pandas": lambda _: pandas.DataFrame(PLAIN, index=[9, 9, 7, 1]),
    "pandas nullable": lambda _: pandas.DataFrame(PLAIN).convert_dtypes(),
    "pandas objects": lambda _: pandas.DataFrame(PLAIN).astype({"colour": object, "open": object}),
    "pandas categories": lambda _: pandas.DataFrame(PLAIN).astype({"colour": "category"}),
    "polars": lambda _: polars.DataFrame(PLAIN),
    "polars categories": lambda _: polars.DataFrame(PLAIN).cast({"colour": polars.Categorical}),
    "pyarrow": lambda _: pyarrow.table(PLAIN),
}


@pytest.mark.parametrize("source", SOURCES)
def test_every_source_gives_equal_rows(source: str, tmp_path: Path) -> None:
    rows = read_table(SOURCES[source](tmp_path))
    assert rows.schema == Schema(
        (
            Field("size", "numeric", "number", nullable=True, range=(-3.0, 1.5)),
            Field("count", "numeric", "number", range=(1.0, 3.0)),
            Field("colour", "categorical", "label", nullable=True, values=("blue, light", "red")),
            Field("open", "boolean", "boolean"),
        )
    )
    np.testing.assert_array_equal(rows.columns["size"], [1.5, math.nan, -3.0, 1e-7])
    np.testing.assert_array_equal(rows.columns["count"], [1.0, 2.0, 3.0, 2.0])
    assert rows.columns["colour"].tolist() == ["red", None, "blue, light", "red"]
    assert rows.columns["open"].tolist() == [1.0, 0.0, 1.0, 1.0]
    assert rows.target is not None
    assert (rows.target.tolist(), rows.target_name, rows.task) == ([0, 1, 1, 0], "y", "classification")
    assert rows.fingerprint() == read_table(polars.DataFrame(PLAIN)).fingerprint()


def test_booleans_with_gaps_are_read_from_every_frame() -> None:
    cells = {"open": [True, None, False], "y": [0, 1, 0]}
    for frame in (pandas.DataFrame(cells), polars.DataFrame(cells), pyarrow.table(cells)):
        rows = read_table(frame)
        assert rows.schema["open"] == Field("open", "boolean", "boolean", nullable=True)
        np.testing.assert_array_equal(rows.columns["open"], [1.0, math.nan, 0.0])


@pytest.mark.parametrize(
    ("values", "dtype", "wanted"),
    [
        ([True, None, False], "boolean", [1.0, math.nan, 0.0]),
        (["a", None, "b"], "string", ["a", None, "b"]),
        ([1, None, 3], "Int64", [1.0, math.nan, 3.0]),
        ([1.5, None, 3], "Float64", [1.5, math.nan, 3.0]),
    ],
)
def test_pandas_nullable_types_may_have_gaps(values: list[Any], dtype: str, wanted: list[Any]) -> None:
    rows = read_table(pandas.DataFrame({"a": pandas.array(values, dtype), "y": [0, 1, 0]}))
    assert rows.schema["a"].nullable
    np.testing.assert_array_equal(rows.columns["a"], np.array(wanted, rows.columns["a"].dtype))


def test_pandas_categories_that_are_integers_are_categories() -> None:
    rows = read_table(pandas.DataFrame({"a": pandas.Categorical([3, 1, 3]), "y": [0, 1, 0]}))
    assert kinds(rows) == {"a": "categorical"}
    assert rows.columns["a"].tolist() == ["3", "1", "3"]


def test_pandas_columns_named_by_numbers_are_read() -> None:
    rows = read_table(pandas.DataFrame([[1, 2, 0], [3, 4, 1]]), target="2")
    assert rows.schema.names == ("0", "1")


@pytest.mark.parametrize("name", ["target", "label", "class", "y", "Target", "Y"])
def test_a_target_of_a_usual_name_is_found(name: str) -> None:
    assert read_table(polars.DataFrame({"a": [1, 2], name: [0, 1]})).target_name == name


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"target": "q"}, "`target` names no column: got 'q', there are 'a', 'b', 'c'"),
        ({"task": "regression"}, "say which column to predict with `target`; there are 'a', 'b', 'c'"),
        ({"target": 3}, "`target` must be a column's name, or several in a list, got 3"),
        ({"target": "c", "drop": ["q"]}, "`drop` names no column: got 'q', there are 'a', 'b', 'c'"),
        ({"target": "c", "types": {"q": "numeric"}}, "`types` names no column: got 'q', there are 'a', 'b', 'c'"),
        ({"target": "c", "types": {"a": "date"}}, "`types` says 'date' of column 'a'; it must be one of numeric, cat"),
        ({"target": "c", "types": {"c": "date"}}, "`types` says 'date' of column 'c'; it must be one of numeric, cat"),
        ({"target": "c", "drop": ["c"]}, "'c' is the target and cannot be dropped"),
        ({"target": "c", "drop": ["a", "b"]}, "no column is left to learn from"),
        (
            {"target": "c", "task": "ranking"},
            "`task` must be one of classification, regression, multilabel, anomaly, got 'ranking'",
        ),
    ],
)
def test_wrong_arguments_are_refused(more: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_table(polars.DataFrame({"a": [1, 2], "b": ["x", "y"], "c": [0, 1]}), **more)


def test_two_columns_with_a_targets_name_are_not_guessed_between() -> None:
    with pytest.raises(DataError, match="say which column to predict"):
        read_table(polars.DataFrame({"a": [1, 2], "y": [0, 1], "class": [0, 1]}))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "table.csv is empty"),
        ("a,y\n", "the table has a header and no rows"),
        ("a,y", "table.csv cannot be read as a table: .*Empty CSV"),
        ("a,b,y\n1,2,0\n1,1\n", "table.csv cannot be read as a table: .*Expected 3 columns, got 2"),
        ("a,b,y\n1,2,0\n1,2,3,4\n", "table.csv cannot be read as a table: .*Expected 3 columns, got 4"),
        ("a,a,y\n1,2,0\n", "column names must differ.*'a'"),
        ("a,,y\n1,2,0\n", "a column has no name; give every column of the header a name"),
        ("a, ,y\n1,2,0\n", "a column has no name"),
        ("a;b;y\n1;2;0\n", "has one column 'a;b;y'; was `delimiter=';'` meant?"),
        ("a\tb\ty\n1\t2\t0\n", r"was `delimiter='\\t'` meant?"),
        ("a|b|y\n1|2|0\n", r"was `delimiter='\|'` meant?"),
        ("a,b,y\n1,,0\n2,,1\n", r"column 'b' is empty in every row; leave it out with drop=\['b'\]"),
        ("a,y\n1,0\ninf,1\n", "column 'a' must be finite, got inf in row 1; replace it, or leave it empty"),
        ("a,y\n-inf,0\n1,1\n", "column 'a' must be finite, got -inf in row 0"),
        (
            "a,y\n1,0\n2,1\n3,0\noops,1\n",
            "column 'a' holds numbers but for 1 of 4 cells, the first in row 3: 'oops'.*missing=.'oops'.*categorical",
        ),
        ("a,y\n1,0\n?,1\n?,1\n4,0\n", r"holds numbers but for 2 of 4 cells, the first in row 1: '\?'"),
        ("d,a,y\n2024-01-31,1,0\n2024-02-01,2,1\n", r"column 'd' holds dates.*drop=\['d'\].*split\(time=...\)"),
        ("d,a,y\n2024-01-31T10:00:00Z,1,0\n2024-02-01T10:00:00Z,2,1\n", "column 'd' holds dates"),
        ("d,a,y\n31/01/2024,1,0\n01/02/2024,2,1\n", "column 'd' holds dates"),
        ("d,a,y\n31.1.2024 10:00,1,0\n1.2.2024 11:30,2,1\n", "column 'd' holds dates"),
        ("d,a,y\n12:30:00,1,0\n13:30:00,2,1\n", "column 'd'"),
        ("a,y\n1,2024-01-31\n2,2024-02-01\n", "the target 'y' holds dates"),
        ("a,y\n1,0\n2,\n3,\n", "the target 'y' is missing in 2 of . rows, the first is row 1; remove such rows"),
        ("a,y\n1,x\n2,\n", "the target 'y' is missing in 1 of . rows, the first is row 1"),
        ("a,y\n1,0\n2,inf\n", "the target 'y' must be finite, got inf in row 1"),
    ],
)
def test_unusable_files_are_refused_with_advice(csv: Csv, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_table(csv(text))


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pandas.DataFrame({"a": [1, "x", 2.5], "y": [0, 1, 0]}), "column 'a' mixes float, int, str; give it one type"),
        (pandas.DataFrame({"a": ["1", "inf"], "y": [0, 1]}), "field 'a' must be finite, got infinity"),
        (pandas.DataFrame({"a": [math.nan] * 2, "y": [0, 1]}), "column 'a' is empty in every row"),
        (polars.DataFrame({"a": [None, None], "y": [0, 1]}), "column 'a' is empty in every row"),
        (pandas.DataFrame([[1, 2, 0]], columns=["a", "a", "y"]), "column names must differ.*'a'"),
        (pandas.DataFrame(), "the table is empty"),
        (pandas.DataFrame({"a": [], "y": []}), "the table has a header and no rows"),
        (pandas.DataFrame({"a": [datetime.date(2024, 1, 31)] * 2, "y": [0, 1]}), "column 'a' holds dates"),
        (pandas.DataFrame({"a": pandas.to_datetime(["2024-01-31"] * 2), "y": [0, 1]}), "column 'a' holds dates"),
        (polars.DataFrame({"a": [datetime.date(2024, 1, 31)] * 2, "y": [0, 1]}), "column 'a' holds dates"),
        (polars.DataFrame({"a": [datetime.time(12)] * 2, "y": [0, 1]}), "column 'a'"),
        ({"a": [1]}, "a table is a path or a data frame, got dict"),
        (np.zeros((2, 2)), "a table is a path or a data frame, got ndarray"),
        (None, "a table is a path or a data frame, got NoneType"),
        (pandas.Series([1, 2]), "a table is a path or a data frame, got Series"),
        (polars.LazyFrame({"a": [1], "y": [0]}), "a table is a path or a data frame, got LazyFrame"),
    ],
)
def test_unusable_frames_are_refused_with_advice(frame: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_table(frame)


def test_a_folder_or_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no file .*wine\.csv"):
        read_table(tmp_path / "wine.csv")
    with pytest.raises(DataError, match="is a folder; give one file"):
        read_table(tmp_path)


def test_a_parquet_file_that_is_none_is_refused(csv: Csv) -> None:
    with pytest.raises(DataError, match=r"fake\.parquet cannot be read as a table"):
        read_table(csv("a,y\n1,0\n", "fake.parquet"))


@pytest.mark.parametrize("text", ["a,y\ngrün,0\nrot,1\n", "größe,y\n1,0\n2,1\n"], ids=["cell", "header"])
def test_a_wrong_encoding_is_refused_and_the_right_one_read(csv: Csv, text: str) -> None:
    path = csv(text, encoding="latin-1")
    with pytest.raises(DataError, match="encoding"):
        read_table(path)
    assert len(read_table(path, encoding="latin-1")) == 2


def test_an_unknown_encoding_is_refused(csv: Csv) -> None:
    with pytest.raises(DataError, match="unknown encoding: klingon"):
        read_table(csv("a,y\n1,0\n"), encoding="klingon")


def test_a_byte_order_mark_is_no_part_of_a_name(csv: Csv) -> None:
    assert read_table(csv("a,y\n1,0\n2,1\n", encoding="utf-8-sig")).schema.names == ("a",)


def test_a_delimiter_is_one_character(csv: Csv) -> None:
    assert read_table(csv("a;y\n1;0\n"), delimiter=";").schema.names == ("a",)
    with pytest.raises(DataError, match="delimiter"):
        read_table(csv("a;y\n1;0\n"), delimiter=";;")


def test_further_spellings_of_a_missing_value(csv: Csv) -> None:
    path = csv("a,c,y\n1,x,0\n?,-,1\n-999,x,0\n4,x,1\n")
    rows = read_table(path, missing=("?", "-999", "-"))
    np.testing.assert_array_equal(rows.columns["a"], [1.0, math.nan, math.nan, 4.0])
    assert rows.columns["c"].tolist() == ["x", None, "x", "x"]


def test_one_spelling_of_a_missing_value_is_not_taken_letter_by_letter(csv: Csv) -> None:
    path = csv("a,y\n-999,0\n9,1\n3,0\n")
    try:
        rows = read_table(path, missing="-999")
    except (DataError, TypeError):
        return
    np.testing.assert_array_equal(rows.columns["a"], [math.nan, 9.0, 3.0])


@pytest.mark.parametrize("spelling", ["", "NA", "N/A", "#N/A", "NaN", "null", "None"])
def test_known_spellings_of_a_missing_value(csv: Csv, spelling: str) -> None:
    rows = read_table(csv(f"a,c,y\n1,x,0\n{spelling},{spelling},1\n"))
    np.testing.assert_array_equal(rows.columns["a"], [1.0, math.nan])
    assert rows.columns["c"].tolist() == ["x", None]


@pytest.mark.parametrize("suffix", ["", "T10:00:00", "T10:00:00Z"])
def test_dropped_dates_can_still_split_by_time(csv: Csv, suffix: str) -> None:
    days = "".join(f"2024-{month:02d}-01{suffix},{month},{month % 2}\n" for month in (11, 2, 9, 10, 1))
    rows = read_table(csv(f"day,a,y\n{days}"), drop=["day"])
    assert rows.schema.names == ("a",)
    train, test = rows.split(test=0.4, time="day")
    assert (sorted(train.columns["a"]), sorted(test.columns["a"])) == ([1.0, 2.0, 9.0], [10.0, 11.0])


def test_read_columns_takes_the_fields_and_passes_over_the_rest(csv: Csv) -> None:
    rows, errors = read_columns(csv("z,b,a\nq,x,1\nq,2,3\n"), Schema((NUMBER, Field("b", "categorical", "label"))))
    assert not errors
    assert rows.to_dicts() == [{"a": 1.0, "b": "x"}, {"a": 3.0, "b": "2"}]
    assert (rows.target, rows.task) == (None, None)


def test_read_columns_suggests_a_name_for_a_missing_column(csv: Csv) -> None:
    with pytest.raises(DataError, match="column 'alcohol' is missing; did you mean 'alcohool'"):
        read_columns(csv("alcohool\n1\n"), Schema((Field("alcohol", "numeric", "number"),)))


@pytest.mark.parametrize(
    ("cells", "field", "message"),
    [
        ("1,x,3", NUMBER, "row 1: field 'a' must be a number, got 'x'"),
        ("1,NA,3", NUMBER, "row 1: field 'a' must be a number, got null"),
        ("1,inf,3", NUMBER, "row 1: field 'a' must be finite, got infinity"),
        ("true,maybe,false", Field("a", "boolean", "boolean"), "row 1: field 'a' must be true or false, got 'maybe'"),
        ("1,2,0", Field("a", "boolean", "boolean"), "row 1: field 'a' must be true or false, got '2'"),
        ("x,NA,y", Field("a", "categorical", "label"), "row 1: field 'a' must be a label .*, got null"),
    ],
)
def test_a_bad_cell_is_the_error_of_its_row(csv: Csv, cells: str, field: Field, message: str) -> None:
    rows, errors = read_columns(csv("a,b\n" + "".join(f"{cell},0\n" for cell in cells.split(","))), Schema((field,)))
    assert (len(rows), list(errors)) == (3, [1])
    with pytest.raises(RowError, match=message):
        raise errors[1]


def test_read_columns_parses_numbers_among_bad_cells(csv: Csv) -> None:
    rows, errors = read_columns(csv("a\n 1.5 \nx\n2e3\n"), Schema((NUMBER,)))
    assert list(errors) == [1]
    assert rows.columns["a"][[0, 2]].tolist() == [1.5, 2000.0]


def test_read_columns_knows_further_spellings_of_a_missing_value(csv: Csv) -> None:
    rows, errors = read_columns(
        csv("a\n1\n?\n"), Schema((Field("a", "numeric", "number", nullable=True),)), missing=["?"]
    )
    assert not errors
    np.testing.assert_array_equal(rows.columns["a"], [1.0, math.nan])


def test_read_columns_reads_the_target(csv: Csv) -> None:
    path = csv("a,price\n1,2\n2,3\n")
    for task, wanted in (("regression", [2.0, 3.0]), ("classification", [2, 3])):
        rows, _ = read_columns(path, Schema((NUMBER,)), target="price", task=task)
        assert rows.target is not None
        assert (rows.target.tolist(), rows.task, rows.target_name) == (wanted, task, "price")
    with pytest.raises(DataError, match="the target 'cost' names no column, there are 'a', 'price'"):
        read_columns(path, Schema((NUMBER,)), target="cost")


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (["1", "2", "1"], None),
        (["1", "2", "1"], "categorical"),
        (["1.5", "2.5", "1.5"], "categorical"),
        (["1", "0", "1"], "boolean"),
        (["yes", "no", "yes"], "boolean"),
        (["true", "false", "true"], None),
        (["true", "false", "true"], "numeric"),
        (["true", "false", "true"], "categorical"),
        (["a", "b", "a"], None),
        (["1", "2", "x", "y", "z"], None),
        (["01", "02", "x", "y", "z"], None),
        (["1.0", "2.50", "x", "y", "z"], None),
        (["True", "False", "x", "y", "z"], None),
        (["2024-01-01", "2024-01-02", "x", "y", "z"], None),
    ],
    ids=str,
)
def test_the_first_rows_of_a_file_read_again_are_the_same_rows(csv: Csv, cells: list[str], kind: str | None) -> None:
    """A file to score holds fewer rows than the one trained on, and may look like another type."""
    lines = [f"{cell},{index % 2}\n" for index, cell in enumerate(cells)]
    trained = read_table(csv("a,y\n" + "".join(lines)), types={"a": kind} if kind else None)
    again, errors = read_columns(csv("a,y\n" + "".join(lines[:2]), "some.csv"), trained.schema)
    assert not errors
    assert again.to_dicts() == trained.to_dicts()[:2]
