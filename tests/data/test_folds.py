"""Folds: who is tested by whom. What must hold is what scikit-learn says of its own folds."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pandas
import pytest
from sklearn.model_selection import GroupKFold, StratifiedKFold, TimeSeriesSplit

from maas.data import Rows, from_arrays, read_interactions, read_table, windows
from maas.errors import DataError

N = 203
FRAME = pandas.DataFrame(
    {
        "number": np.arange(N, dtype=float),
        "patient": [f"p{index * 7 % 40 if index % 3 else 0}" for index in range(N)],
        "day": pandas.to_datetime("2024-01-01") + pandas.to_timedelta(np.arange(N)[::-1] // 3, unit="D"),
        "y": ["rare" if index % 10 == 0 else "common" if index % 3 else "usual" for index in range(N)],
    }
)
WAYS: list[dict[str, Any]] = [{}, {"stratify": False}, {"group": "patient"}]


def rows(**more: Any) -> Rows:
    return read_table(FRAME, target="y", drop=["patient", "day"], **more)


def numbers(part: Rows) -> list[int]:
    return part.columns["number"].astype(int).tolist()


@pytest.mark.parametrize("how", WAYS, ids=str)
@pytest.mark.parametrize("folds", [2, 5])
def test_each_row_is_tested_once_by_all_the_others(folds: int, how: dict[str, Any]) -> None:
    cut = rows().folds(folds, **how)
    assert len(cut) == folds
    assert sorted(number for _, test in cut for number in numbers(test)) == list(range(N))
    for split in cut:
        train, test = split
        assert sorted(numbers(train) + numbers(test)) == list(range(N))
        assert (split.report.num_train, split.report.num_test) == (len(train), len(test))
        assert (split.report.num_duplicates, split.report.num_conflicts, split.report.num_left_out) == (0, 0, 0)


def test_class_shares_are_kept_within_one_row() -> None:
    """As StratifiedKFold keeps them; and the folds are alike in size."""
    reference = StratifiedKFold(5, shuffle=True, random_state=0).split(FRAME[["number"]], FRAME["y"])
    theirs = [Counter(FRAME["y"].iloc[test]) for _, test in reference]
    mine = [Counter(test.target.tolist()) for _, test in rows().folds(5)]  # type: ignore[union-attr]
    for label in ("rare", "usual", "common"):
        for counts in (mine, theirs):
            assert max(one[label] for one in counts) - min(one[label] for one in counts) <= 1
    sizes = [one.total() for one in mine]
    assert max(sizes) - min(sizes) <= 1


def test_no_group_is_torn_and_folds_are_as_even_as_scikit_learns() -> None:
    cut = rows().folds(4, group="patient")
    for train, test in cut:
        assert set(train.side["patient"]).isdisjoint(test.side["patient"])
        assert train.policy is not None
        assert train.policy.group == "patient"  # a validation part is carved out of it the same way
    theirs = sorted(len(test) for _, test in GroupKFold(4).split(FRAME, groups=FRAME["patient"]))
    assert sorted(len(test) for _, test in cut) == theirs
    assert numbers(cut[1][1]) != numbers(rows().folds(4, group="patient", seed=1)[1][1])


@pytest.mark.parametrize("folds", [2, 5])
def test_by_time_each_fold_learns_from_its_past(folds: int) -> None:
    cut = rows().folds(folds, time="day")
    tested = [number for _, test in cut for number in numbers(test)]
    assert len(tested) == len(set(tested))
    reference = TimeSeriesSplit(folds).split(np.arange(N))
    before: list[int] = []
    for split, (theirs, _) in zip(cut, reference, strict=True):
        train, test = split
        assert max(train.side["day"]) < min(test.side["day"])
        assert set(before) <= set(numbers(train))
        assert abs(len(train) - len(theirs)) < 3  # theirs tears a day of three rows apart
        assert split.report.num_left_out == N - len(train) - len(test)
        before = numbers(train) + numbers(test)
    assert sorted(before) == list(range(N))  # the last fold has seen all
    assert f"{N - len(cut[0][0]) - len(cut[0][1])} rows come later and are in neither" in str(cut[0].report)


def test_as_many_folds_as_times_allow() -> None:
    """One moment holds nearly all rows: the others still get a fold each."""
    frame = pandas.DataFrame({"x": np.arange(50.0), "t": [0, 1, *[2] * 46, 3, 4], "y": np.arange(50) % 7 / 3})
    cut = read_table(frame, target="y", drop=["t"]).folds(4, time="t")
    assert [(len(train), len(test)) for train, test in cut] == [(1, 1), (2, 46), (48, 1), (49, 1)]


def test_windows_are_cut_by_time_and_what_reaches_over_is_left_out() -> None:
    rows_ = windows(np.sin(np.arange(120.0)), window=8, horizon=4)
    for train, test in rows_.folds(3):
        begin, end = rows_.span  # type: ignore[misc]
        assert train.side[end].max() < test.side[begin].min()


@pytest.mark.parametrize("how", WAYS, ids=str)
def test_the_seed_alone_decides(how: dict[str, Any]) -> None:
    once, again, other = ([numbers(test) for _, test in rows().folds(3, seed=seed, **how)] for seed in (3, 3, 4))
    assert once == again
    assert once != other


def test_rows_that_were_split_off_by_group_or_time_are_cut_the_same_way() -> None:
    for how in ({"group": "patient"}, {"time": "day"}):
        train, _ = rows().split(**how)
        policy = train.folds(3)[0][0].policy
        assert policy is not None
        assert (policy.group, policy.time) == (how.get("group"), how.get("time"))
    policy = train.folds(3, stratify=True)[0][0].policy
    assert policy is not None
    assert policy.kind == "stratified"


def test_duplicates_are_told_once() -> None:
    x = np.arange(40.0).reshape(20, 2)
    both = from_arrays(np.concatenate([x, x[:3]]), [*[0, 1] * 10, 0, 1, 1])
    with pytest.warns(UserWarning, match="stratified folds: . test rows stand in their training parts too") as told:
        cut = both.folds(4)
    assert len(told) == 1
    assert sum(one.report.num_conflicts for one in cut) in (0, 2)


def test_a_rare_kind_of_an_anomaly_is_no_hindrance() -> None:
    x = np.arange(40.0).reshape(20, 2)
    labels = ["ok"] * 18 + ["bad"] * 2
    for folds, kind in ((2, "stratified"), (5, "random")):
        assert from_arrays(x, labels, task="anomaly").folds(folds)[0].report.kind == kind


@pytest.mark.parametrize("folds", [1, 0, -1, 2.0, True, "5"])
def test_a_number_of_folds_that_is_none(folds: Any) -> None:
    with pytest.raises(DataError, match=r"`folds` must be an integer of at least 2, got .*; for one test part use"):
        rows().folds(folds)


def test_more_folds_than_there_is_to_cut() -> None:
    with pytest.raises(DataError, match=r"`folds` is 30, and the class 'rare' has 21 rows: some folds would lack it; "):
        rows().folds(30)
    assert len(rows().folds(30, stratify=False)) == 30
    with pytest.raises(DataError, match="`folds` is 204, and there are 203 rows; give fewer folds"):
        rows().folds(204)
    with pytest.raises(DataError, match="`folds` is 41, and there are 40 groups; give fewer folds"):
        rows().folds(41, group="patient")
    with pytest.raises(DataError, match="which needs 69 different times, and there are 68; give fewer folds"):
        rows().folds(68, time="day")


def test_ways_that_do_not_go_together() -> None:
    with pytest.raises(DataError, match="cut folds by `group`, by `time` or with `stratify`, not by several"):
        rows().folds(group="patient", time="day")
    with pytest.raises(DataError, match="cut folds by `group`, by `time` or with `stratify`, not by several"):
        rows().folds(group="patient", stratify=True)
    with pytest.raises(DataError, match="`group` names no column: got 'pat'"):
        rows().folds(group="pat")
    with pytest.raises(DataError, match="`time` names no column: got 'date'"):
        rows().folds(time="date")
    with pytest.raises(DataError, match="holds text, and text sorts by its letters"):
        rows().folds(time="patient")
    with pytest.raises(DataError, match=r"`seed` must be an integer from 0 to below 2\*\*63, got -1"):
        rows().folds(seed=-1)
    numbers_only = from_arrays(np.arange(20.0).reshape(10, 2), np.arange(10) / 3)
    with pytest.raises(DataError, match="`stratify` keeps the shares of classes, and the target of these rows has"):
        numbers_only.folds(stratify=True)


def test_a_ranking_is_refused() -> None:
    frame = pandas.DataFrame({"user": [*"aabbcc"], "item": [*"xyxyxz"]})
    with pytest.raises(DataError, match="rows of a ranking are one a user, and folds would ask about users"):
        read_interactions(frame).folds(2)
