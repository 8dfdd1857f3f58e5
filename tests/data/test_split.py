"""Splits, and rows that stand on both sides."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pandas
import pytest

from maas.data import Rows, Split, duplicates, from_arrays, read_table
from maas.errors import DataError

N = 200
FRAME = pandas.DataFrame(
    {
        "number": np.arange(N, dtype=float),
        "patient": [f"p{index * 7 % 40}" for index in range(N)],
        "day": pandas.to_datetime("2024-01-01") + pandas.to_timedelta(np.arange(N)[::-1] // 3, unit="D"),
        "y": ["common" if index % 10 else "rare" for index in range(N)],
    }
)


def rows(frame: pandas.DataFrame = FRAME, **more: Any) -> Rows:
    return read_table(frame, target="y", drop=[name for name in ("patient", "day") if name in frame], **more)


def numbers(part: Rows) -> list[float]:
    return part.columns["number"].tolist()


@pytest.mark.parametrize(
    "how", [{"stratify": False}, {"stratify": True}, {"group": "patient"}, {"time": "day"}], ids=str
)
def test_every_row_lands_on_one_side(how: dict[str, Any]) -> None:
    split = rows().split(test=0.25, **how)
    train, test = split
    assert isinstance(split, Split)
    assert sorted(numbers(train) + numbers(test)) == list(range(N))
    assert (split.report.num_train, split.report.num_test) == (len(train), len(test))
    assert abs(len(test) - N / 4) <= 5
    assert (split.report.num_duplicates, split.report.num_conflicts) == (0, 0)


@pytest.mark.parametrize("how", [{}, {"group": "patient"}, {"within": "patient"}], ids=str)
@pytest.mark.parametrize("seed", [-1, 2**63, 0.5, True, "a"])
def test_a_seed_that_is_none(how: dict[str, Any], seed: Any) -> None:
    with pytest.raises(DataError, match=r"`seed` must be an integer from 0 to below 2\*\*63, got"):
        rows().split(seed=seed, **how)


@pytest.mark.parametrize("how", [{"stratify": False}, {"stratify": True}, {"group": "patient"}], ids=str)
def test_the_seed_alone_decides(how: dict[str, Any]) -> None:
    once, again, other = (numbers(rows().split(test=0.25, seed=seed, **how)[1]) for seed in (3, 3, 4))
    assert once == again
    assert once != other


@pytest.mark.parametrize(
    ("how", "kind"),
    [
        ({}, "stratified"),
        ({"stratify": False}, "random"),
        ({"group": "patient"}, "by group (patient)"),
        ({"time": "day"}, "by time (day)"),
    ],
)
def test_the_report_says_what_was_done(how: dict[str, Any], kind: str) -> None:
    split = rows().split(test=0.25, **how)
    counts = f"{len(split[0])} training rows, {len(split[1])} test rows"
    assert str(split.report) == f"{kind} split: {counts}"
    assert split[0].policy is not None
    assert split[0].policy.kind == kind


def test_stratified_keeps_the_shares_of_the_classes() -> None:
    for part, size in zip(rows().split(test=0.25), (150, 50), strict=True):
        assert part.target is not None
        assert Counter(part.target) == {"common": size * 9 // 10, "rare": size // 10}


def test_a_class_of_one_row_turns_stratification_off_by_default() -> None:
    frame = FRAME.assign(y=["single", *FRAME["y"][1:]])
    assert rows(frame).split().report.kind == "random"


def test_no_group_is_torn_apart() -> None:
    train, test = rows().split(test=0.25, group="patient")
    assert not set(train.side["patient"]) & set(test.side["patient"])
    assert len(set(test.side["patient"])) == 10


def test_a_field_of_the_network_can_be_the_group() -> None:
    frame = pandas.DataFrame({"number": [1, 1, 2, 2, 3, 3], "other": range(6), "y": [0, 1] * 3})
    train, test = read_table(frame).split(test=0.34, group="number")
    assert not set(numbers(train)) & set(numbers(test))


@pytest.mark.parametrize("share", [0.01, 0.2, 0.5, 0.99])
def test_training_rows_are_all_earlier_than_test_rows(share: float) -> None:
    train, test = rows().split(test=share, time="day")
    assert max(train.side["day"]) < min(test.side["day"])
    assert abs(len(test) - N * share) <= 3  # three rows share a day


@pytest.mark.parametrize(
    ("days", "num_train"),
    [
        ([0, 0, 0, 1, 2], 4),
        ([0, 0, 0, 0, 1], 4),
        ([0, 1, 1, 1, 1], 1),
        ([1, 1, 0, 1, 1], 1),
    ],
)
def test_rows_of_one_moment_stay_together(days: list[int], num_train: int) -> None:
    frame = pandas.DataFrame({"number": range(5), "when": days, "y": [0, 1, 0, 1, 0]})
    train, test = read_table(frame, drop=["when"]).split(test=0.2, time="when")
    assert len(train) == num_train
    assert max(train.side["when"]) < min(test.side["when"])


@pytest.mark.parametrize("days", [["31/01/2024", "01/02/2024", "02/03/2024"], ["2024/9/1", "2024/10/2", "2024/11/3"]])
def test_dates_that_do_not_sort_as_text_are_ordered_or_refused(days: list[str]) -> None:
    """The advice of `read_table` is to drop such a column and to split by it."""
    table = read_table(pandas.DataFrame({"number": range(3), "when": days, "y": [0, 1, 0]}), drop=["when"])
    try:
        train, test = table.split(test=0.34, time="when")
    except DataError:
        return
    order = [days.index(day) for day in (*train.side["when"], *test.side["when"])]
    assert order == [0, 1, 2]


CONSTANT = FRAME.assign(patient="same", day=pandas.Timestamp("2024-01-01"))
UNDATED = FRAME.assign(day=[pandas.NaT, *FRAME["day"][1:]])
SINGLE = FRAME.assign(y=["single", *FRAME["y"][1:]])


@pytest.mark.parametrize(
    ("frame", "how", "message"),
    [
        (FRAME, {"test": 0}, "`test` is a share of the rows, between 0 and 1, got 0"),
        (FRAME, {"test": 1.0}, "`test` is a share of the rows, between 0 and 1, got 1.0"),
        (FRAME, {"test": 50}, "`test` is a share of the rows, between 0 and 1, got 50"),
        (FRAME, {"test": "0.2"}, "`test` is a share of the rows, between 0 and 1, got '0.2'"),
        (FRAME, {"test": float("nan")}, "`test` is a share of the rows, between 0 and 1, got nan"),
        (FRAME, {"group": "doctor"}, "`group` names no column: got 'doctor', there are number, patient, day"),
        (FRAME, {"time": "hour"}, "`time` names no column: got 'hour', there are number, patient, day"),
        (FRAME, {"time": "day", "group": "patient"}, "not by several"),
        (FRAME[:1], {}, "a split needs at least 2 rows, got 1"),
        (CONSTANT, {"group": "patient"}, "every row is in the same group"),
        (CONSTANT, {"time": "day"}, "every row has the same time"),
        (UNDATED, {"time": "day"}, "the column to split by time has missing values"),
        (SINGLE, {"stratify": True}, "`stratify` needs two rows of each class .* classes with one row: 'single'"),
        (FRAME, {"stratify": True, "test": 0.004}, r"a part as large as the number of classes \(2\)"),
    ],
)
def test_impossible_splits_are_refused(frame: pandas.DataFrame, how: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        rows(frame).split(**how)


def test_stratify_is_refused_for_a_regression() -> None:
    with pytest.raises(DataError, match="the target of a regression has none"):
        from_arrays(np.arange(8.0).reshape(4, 2), [0.5, 1.5, 2.5, 3.5]).split(test=0.5, stratify=True)


def test_stratify_is_refused_without_a_target() -> None:
    with pytest.raises(DataError, match="`stratify` needs a target"):
        from_arrays(np.arange(8.0).reshape(4, 2)).split(test=0.5, stratify=True)


def test_duplicates_across_the_split_are_warned_of_and_counted() -> None:
    """Times put the copies where they are wanted: rows 0 and 1 stand in both parts, row 1 with another target."""
    frame = pandas.DataFrame(
        {
            "number": [0, 1, 2, 3, 0, 1, 0, 9],
            "text": ["a", "b", "c", "d", "a", "b", "z", "a"],
            "when": range(8),
            "y": [0, 1, 0, 1, 0, 0, 0, 1],
        }
    )
    with pytest.warns(UserWarning, match=r"2 test rows stand in training too, 1 of them with another target.*drop_dup"):
        split = read_table(frame, drop=["when"]).split(test=0.5, time="when")
    assert (split.report.num_duplicates, split.report.num_conflicts) == (2, 1)
    assert duplicates(*split) == (2, 1)


def test_zero_and_minus_zero_are_duplicates_and_missing_values_too() -> None:
    one, other = from_arrays([[0.0, np.nan], [1.0, 2.0]], [0, 1]), from_arrays([[-0.0, np.nan], [5.0, 2.0]], [0, 1])
    assert duplicates(one, other) == (1, 0)


def test_rows_of_other_fields_cannot_be_compared() -> None:
    with pytest.raises(DataError, match="rows of different fields cannot be compared"):
        duplicates(rows(), from_arrays([[1.0]]))


def test_without_duplicates_there_is_no_warning_after_drop_duplicates() -> None:
    frame = pandas.concat([FRAME, FRAME])
    with pytest.warns(UserWarning, match="test rows stand in training too"):
        rows(frame).split()
    assert rows(frame).drop_duplicates().split().report.num_duplicates == 0
