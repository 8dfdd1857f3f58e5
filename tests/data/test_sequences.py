"""Sequences from `.ts` files, long and wide tables, and arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest

from maas.data import Rows, read_sequences
from maas.errors import DataError

TS = """# a comment
@problemName Toy
@timeStamps false
@missing true
@univariate false
@dimensions 2
@equalLength false
@classLabel true 01 2
@data
1,2,?:4,5,6:01
7.5:8e1:2
"""


def ts(folder: Path, text: str) -> Path:
    path = folder / "toy.ts"
    path.write_text(text)
    return path


def series(rows: Rows) -> list[list[list[float]]]:
    return [one.tolist() for one in rows.columns["sequence"]]


def test_a_ts_file(tmp_path: Path) -> None:
    rows = read_sequences(ts(tmp_path, TS))
    np.testing.assert_array_equal(rows.columns["sequence"][0], [[1, 4], [2, 5], [np.nan, 6]])
    np.testing.assert_array_equal(rows.columns["sequence"][1], [[7.5, 80]])
    assert rows.target is not None
    assert (rows.target.tolist(), rows.task) == (["01", "2"], "classification")
    field = rows.schema["sequence"]
    assert (field.kind, field.dtype, field.shape) == ("sequence", "number", (None, 2))
    assert (field.nullable, field.range, field.longest) == (True, (1.0, 80.0), 6)
    assert rows.to_dicts()[0] == {"sequence": [[1.0, 4.0], [2.0, 5.0], [None, 6.0]]}


def test_a_ts_file_of_a_regression_and_one_without_labels(tmp_path: Path) -> None:
    rows = read_sequences(ts(tmp_path, "@targetLabel true\n@data\n1,2:0.5\n3:-1e3\n"))
    assert rows.target is not None
    assert (rows.target.tolist(), rows.task) == ([0.5, -1000.0], "regression")
    rows = read_sequences(ts(tmp_path, "@classLabel false\n@data\n1,2\n3\n"))
    assert (rows.target, rows.task, len(rows)) == (None, None, 2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,2:a\n", "line 1: a .ts file has lines that begin with @ before @data, got '1,2:a'"),
        ("@classLabel true\n", "no .ts file: there is no line @data"),
        ("@data\n", "has a header and no series"),
        (TS.replace("@timeStamps false", "@timeStamps true"), "holds time stamps; write the steps as plain values"),
        (TS.replace("7.5", "7,5"), "line 11 has channels of different lengths, 1 to 2 steps"),
        (TS.replace("7.5", "x"), r"line 11 has 'x' among its numbers; a missing step is written \?"),
        (TS.replace("7.5", "inf"), "line 11: must be finite, got inf at step 0 of channel 0"),
        (TS.replace("7.5:8e1", "7.5"), "line 11: has 1 channels, the first series has 2"),
        (TS.replace("8e1:2", "8e1:3"), "line 11: label '3' is none of those that the header names"),
        (TS.replace("8e1:2", "8e1:?"), "the target 'target' is missing in 1 of 2 rows, the first is row 1"),
        (TS.replace("@dimensions 2", "@dimensions 3"), "says 3 dimensions, and its first series has 2"),
        (TS.replace("1,2,?", "?,?,?").replace("7.5", "?"), "channel 0 .* is missing in every step; leave it out"),
    ],
)
def test_a_ts_file_that_cannot_be_read(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message.replace("line", r".*line") if message[0] == "l" else message):
        read_sequences(ts(tmp_path, text))


def test_a_ts_file_has_no_target_that_its_header_denies(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="neither @classLabel nor @targetLabel"):
        read_sequences(ts(tmp_path, "@data\n1,2\n"), target="speaker")


LONG = pandas.DataFrame(
    {
        "machine": ["b", "a", "b", "a", "b"],
        "at": [3, 1, 1, 2, 2],
        "x": [5.0, 1.0, 3.0, 2.0, 4.0],
        "y": [0.5, 0.1, np.nan, 0.2, 0.4],
        "state": ["bad", "good", "bad", "good", "bad"],
        "site": ["S", "T", "S", "T", "S"],
    }
)


def long(frame: pandas.DataFrame = LONG, **more: Any) -> Rows:
    return read_sequences(frame, **{"id": "machine", "time": "at", "target": "state", "side": ["site"], **more})


def test_a_long_table_is_put_in_order_by_time() -> None:
    rows = long()
    np.testing.assert_array_equal(rows.columns["sequence"][0], [[3, np.nan], [4, 0.4], [5, 0.5]])
    np.testing.assert_array_equal(rows.columns["sequence"][1], [[1, 0.1], [2, 0.2]])
    assert rows.target is not None
    assert (rows.target.tolist(), rows.target_name, rows.task) == (["bad", "good"], "state", "classification")
    assert {name: column.tolist() for name, column in rows.side.items()} == {"machine": ["b", "a"], "site": ["S", "T"]}


def test_a_long_table_in_a_file_with_dates_and_chosen_channels(tmp_path: Path) -> None:
    frame = LONG.assign(at=[f"2024-0{month}-01" for month in LONG["at"]], note="free text")
    frame.to_csv(tmp_path / "long.csv", index=False)
    rows = read_sequences(tmp_path / "long.csv", id="machine", time="at", channels=["y", "x"])
    np.testing.assert_array_equal(rows.columns["sequence"][1], [[0.1, 1], [0.2, 2]])
    assert rows.target is None


@pytest.mark.parametrize(
    ("change", "more", "message"),
    [
        (
            {"state": ["bad", "good", "good", "good", "bad"]},
            {},
            "target 'state' must be the same in all steps of a ser",
        ),
        ({"site": ["S", "T", "U", "T", "S"]}, {}, "side column 'site' must be the same .* 'b' has 'U' and 'S'"),
        ({"at": [1, 1, 1, 2, 2]}, {}, "series 'b' has two steps at 1 in column 'at'"),
        ({"at": [1, None, 3, 2, 2]}, {}, "column 'at' must be numbers or ISO 8601 dates without gaps"),
        ({"machine": ["b", None, "b", "a", "b"]}, {}, "column 'machine' is missing in row 1"),
        ({"x": ["1", "2", "off", "3", "4"]}, {}, "column 'x' must be numbers to be a channel, got 'off' in row 2"),
        ({"x": ["1", "2", "1_000", "3", "4"]}, {}, "column 'x' must be numbers to be a channel, got '1_000' in row 2"),
        ({}, {"side": ["cite"]}, "`side` names no column: got 'cite', there are 'machine', 'at'"),
        ({}, {"side": "site"}, r"`side` is a list of column names, got 'site'; write side=\['site'\]"),
        ({}, {"id": None}, "a long table needs `id`"),
        ({}, {"channels": []}, "no column is left that could be a channel"),
        (
            {},
            {"task": "forecast"},
            "`task` must be one of classification, regression, multilabel, anomaly, got 'forecast'",
        ),
    ],
)
def test_a_long_table_that_cannot_be_read(change: dict[str, Any], more: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        long(LONG.assign(**change), **more)


def test_a_channel_may_be_numbers_as_categories() -> None:
    rows = long(LONG.assign(x=pandas.Categorical(["5", "1", "3", "2", "4"])))
    np.testing.assert_array_equal(rows.columns["sequence"][1][:, 0], [1, 2])


def test_a_wide_table_ends_a_series_where_its_cells_end(tmp_path: Path) -> None:
    (tmp_path / "wide.csv").write_text("name,t0,t1,t2,grade\nu,1,2,,0.5\nv,3,,4,1.5\nw,,5,,2.5\n")
    rows = read_sequences(tmp_path / "wide.csv", target="grade", id="name", task="regression")
    found = rows.columns["sequence"]
    for one, wanted in zip(found, ([[1], [2]], [[3], [np.nan], [4]], [[np.nan], [5]]), strict=True):
        np.testing.assert_array_equal(one, wanted)
    assert rows.target is not None
    assert rows.target.tolist() == [0.5, 1.5, 2.5]
    assert rows.side["name"].tolist() == ["u", "v", "w"]


def test_a_wide_row_without_a_step_is_refused(tmp_path: Path) -> None:
    (tmp_path / "wide.csv").write_text("t0,t1\n1,2\n,\n")
    with pytest.raises(DataError, match="row 1 has no step; leave it out"):
        read_sequences(tmp_path / "wide.csv")


def test_arrays_of_one_length_and_of_several() -> None:
    block = np.arange(12.0).reshape(2, 3, 2)
    for source in (block, list(block), block.tolist()):
        assert series(read_sequences(source, target=[0, 1])) == block.tolist()
    rows = read_sequences([np.arange(3), np.arange(5)], target=np.array([0.5, 0.25]))
    assert [one.shape for one in rows.columns["sequence"]] == [(3, 1), (5, 1)]
    assert (rows.task, rows.target_name) == ("regression", "target")


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ([], None, "there is no series"),
        ([np.ones((2, 3)), np.ones((2, 2))], None, "series 1 has 2 channels, the first series has 3"),
        ([np.ones((2, 3)), np.ones((0, 3))], None, "series 1 has no step"),
        ([np.ones((2, 3, 4))], None, r"series 0 must be numbers of shape \(steps, channels\), got .* \(2, 3, 4\)"),
        ([["a", "b"]], None, "series 0 must be numbers"),
        ([[1.0, np.inf]], None, "series 0 must be finite, got inf at step 1 of channel 0"),
        ([[1.0], [2.0]], [1], r"`target` must have one value for each of the 2 series, got shape \(1,\)"),
    ],
)
def test_arrays_that_cannot_be_read(source: Any, target: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_sequences(source, target=target)


def test_series_split_by_group_and_know_their_duplicates() -> None:
    rows = read_sequences([[1.0, 2.0], [1.0, 2.0], [1.0, 2.0, 2.0], [3.0]], target=["a", "a", "b", "b"])
    assert len(rows.drop_duplicates()) == 3
    train, test = long().split(0.5, group="site")
    assert (len(train), len(test)) == (1, 1)
