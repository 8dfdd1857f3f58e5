"""Windows for forecasting, and that their split tells nothing of what is to be forecast."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas
import pytest

from maas.data import Rows, windows
from maas.errors import DataError


def target(rows: Rows) -> np.ndarray[Any, Any]:
    assert rows.target is not None
    return rows.target


def test_a_window_and_the_steps_after_it() -> None:
    rows = windows(np.arange(10.0), window=4, horizon=2, step=2)
    assert rows.columns["sequence"][:, :, 0].tolist() == [[0, 1, 2, 3], [2, 3, 4, 5], [4, 5, 6, 7]]
    assert target(rows).tolist() == [[4, 5], [6, 7], [8, 9]]
    assert (rows.side["begin"].tolist(), rows.side["end"].tolist()) == ([4, 6, 8], [5, 7, 9])
    assert (rows.task, rows.schema["sequence"].shape) == ("forecast", (4, 1))


def test_channels_to_see_and_channels_to_forecast() -> None:
    series = np.arange(20.0).reshape(10, 2)
    assert target(windows(series, window=3, horizon=2)).shape == (6, 2, 2)
    assert target(windows(series, window=3, horizon=2, target=[1])).shape == (6, 2, 1)
    one = windows(series, window=3, horizon=2, target=1)
    assert target(one)[0].tolist() == [7.0, 9.0]
    assert one.columns["sequence"].shape == (6, 3, 2)


def test_a_table_of_several_series() -> None:
    frame = pandas.DataFrame(
        {
            "shop": ["a"] * 6 + ["b"] * 5,
            "day": pandas.to_datetime("2024-01-01") + pandas.to_timedelta([5, 4, 3, 2, 1, 0, 0, 1, 2, 3, 4], unit="D"),
            "sales": [5.0, 4, 3, 2, 1, 0, 10, 11, 12, 13, 14],
            "price": 1.0 + np.arange(11),
        }
    )
    rows = windows(frame, window=3, horizon=2, target="sales", id="shop", time="day")
    assert target(rows).tolist() == [[3, 4], [4, 5], [13, 14]]
    assert rows.side["series"].tolist() == ["a", "a", "b"]
    assert rows.target_name == "sales"
    assert str(rows.side["begin"][0]).startswith("2024-01-04")
    assert rows.columns["sequence"].shape == (3, 3, 2)


def test_a_gap_to_forecast_leaves_its_rows_out_and_a_gap_to_see_does_not() -> None:
    series = np.arange(12.0)
    series[5] = np.nan
    rows = windows(series, window=3, horizon=2)
    assert rows.side["begin"].tolist() == [3, 6, 7, 8, 9, 10]
    assert rows.schema["sequence"].nullable


@pytest.mark.parametrize(("horizon", "step"), [(1, 1), (5, 1), (5, 3), (12, 1)])
def test_nothing_that_is_forecast_in_the_test_part_is_seen_in_training(horizon: int, step: int) -> None:
    """The series counts its own steps, so a row's values say where it was cut."""
    rows = windows(np.arange(200.0), window=10, horizon=horizon, step=step)
    split = rows.split(0.3)
    train, test = split
    first = target(test).min()
    assert max(train.columns["sequence"].max(), target(train).max()) < first
    assert split.report.kind == "by time (begin)"
    assert split.report.num_left_out == len(rows) - len(train) - len(test) == -(-horizon // step) - 1
    learning, validation = train.split(0.1)  # as `fit` carves out its validation part
    assert target(learning).max() < target(validation).min()


def test_one_series_does_not_tell_the_future_of_another() -> None:
    rows = windows([np.arange(50.0), np.arange(80.0)], window=5, horizon=4)
    train, test = rows.split(0.25)
    assert set(test.side["series"]) == {"0", "1"} or len(set(train.side["series"])) == 2
    assert train.side["end"].max() < test.side["begin"].min()


def test_a_split_by_group_keeps_whole_series() -> None:
    rows = windows([np.arange(30.0) + 100 * one for one in range(4)], window=5, horizon=4)
    split = rows.split(0.25, group="series")
    assert not set(split[0].side["series"]) & set(split[1].side["series"])
    assert split.report.num_left_out == 0


def test_a_split_that_leaves_nothing_to_learn_from_is_refused() -> None:
    with pytest.raises(DataError, match=r"no row is left to learn from: .* give more rows, a shorter horizon"):
        windows(np.arange(30.0), window=5, horizon=20).split(0.5)


@pytest.mark.parametrize(
    ("source", "more", "message"),
    [
        (np.arange(9.0), {"window": 0}, "`window` must be a positive integer, got 0"),
        (np.arange(9.0), {"horizon": 2.0}, r"`horizon` must be a positive integer, got 2\.0"),
        (np.arange(9.0), {"window": 8}, r"no series has 8 \+ 2 steps with a horizon without gaps: the longest has 9"),
        (np.arange(9.0), {"target": "sales"}, "`target` names no channel: got 'sales', there are 0"),
        (np.arange(9.0), {"target": [0, 0]}, r"`target` must name different channels, at least one, got \[0, 0\]"),
        (np.arange(9.0), {"time": "day"}, "`id`, `time` and `channels` name columns of a table; arrays have none"),
        (np.ones((2, 9, 3)), {}, r"series 0 must be numbers of shape \(steps,\) or \(steps, channels\)"),
        (np.array([0.0, np.inf] * 9), {}, "values must be finite, got inf at step 1 of channel 0"),
        (pandas.DataFrame({"a": range(9)}), {"time": "day"}, "`time` names no column: got 'day', there are 'a'"),
    ],
)
def test_what_cannot_be_cut(source: Any, more: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        windows(source, **{"window": 4, "horizon": 2, **more})
