"""Splits of users' items, at random within each user and by one moment, and of rows within each value."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from maas.data import duplicates, read_interactions
from maas.errors import DataError


def made(users: int = 30, items: int = 40, seed: int = 0) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    pairs = [(f"u{user}", f"i{item}") for user in range(users) for item in range(items) if random.random() < 0.3]
    return {
        "user": [user for user, _ in pairs],
        "item": [item for _, item in pairs],
        "rating": random.integers(1, 6, len(pairs)).astype(float),
        "time": random.permutation(len(pairs)).astype(float),
    }


def test_a_share_of_each_users_items_is_held_out() -> None:
    rows = read_interactions(made(), rating="rating", time="time")
    split = rows.split(test=0.25, seed=1)
    train, test = split
    assert rows.target is not None
    assert train.target is not None
    assert test.target is not None
    whole = dict(zip(rows.columns["user"], rows.target, strict=True))
    known = dict(zip(train.columns["user"], train.target, strict=True))
    asked = dict(zip(test.columns["user"], test.target, strict=True))
    for user, items in whole.items():
        assert len(asked.get(user, ())) == min(round(0.25 * len(items)), len(items) - 1)
        assert sorted(known[user] + asked.get(user, ())) == sorted(items)
    assert train.columns["items"].tolist() == train.target.tolist()
    for row in test.to_dicts():
        assert tuple(row["items"]) == known[row["user"]]
    assert duplicates(train, test) == (0, 0)
    assert duplicates(rows, test)[0] == len(test)
    learning, held_out = test.split(test=0.5)
    for row, target in zip(held_out.to_dicts(), held_out.target, strict=True):  # type: ignore[arg-type]
        assert set(known[row["user"]]) < set(row["items"])
        assert not set(row["items"]) & set(target)
    assert len(learning) == len(test)
    for part in split:
        assert part.target is not None
        assert [len(one) for one in part.side["rating"]] == [len(one) for one in part.target]
    total = len(made()["user"])
    assert split.report.num_train + split.report.num_test == total
    assert str(split.report).startswith("random within each user split: ")
    assert "training interactions" in str(split.report)
    assert rows.split(test=0.25, seed=1)[1].fingerprint() == test.fingerprint()
    assert rows.split(test=0.25, seed=2)[1].fingerprint() != test.fingerprint()


def test_by_time_no_future_item_is_in_training_and_new_users_are_left_out() -> None:
    source = made()
    late_user = ["late"] * 3
    source = {
        "user": [*source["user"], *late_user],
        "item": [*source["item"], "i0", "i1", "i2"],
        "time": [*source["time"], 9000.0, 9001.0, 9002.0],
    }
    rows = read_interactions(source, time="time")
    split = rows.split(test=0.2, time="time")
    train, test = split
    latest = max(one.max() for one in train.side["time"])
    earliest = min(one.min() for one in test.side["time"])
    assert latest < earliest
    assert "late" not in [*train.columns["user"], *test.columns["user"]]
    assert set(test.columns["user"]) <= set(train.columns["user"])
    assert split.report.num_left_out == 3
    assert "3 interactions are of users unknown before and are in neither" in str(split.report)
    learning, held_out = train.split(test=0.2, time="time")  # as `fit` carves validation rows out
    assert max(one.max() for one in learning.side["time"]) < min(one.min() for one in held_out.side["time"])


def test_within_each_value_of_a_column() -> None:
    rows = read_interactions(made(), task="regression")
    split = rows.split(test=0.25, seed=0, within="user")
    train, test = split
    assert str(split.report).startswith("random within each user split")
    for user in set(rows.columns["user"]):
        counts = [int((part.columns["user"] == user).sum()) for part in (train, test)]
        assert counts[1] == round(0.25 * sum(counts))
    learning, held_out = train.split(test=0.1, within="user")
    assert len(learning) + len(held_out) == len(train)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"test": 1.0}, "`test` is a share of the interactions, between 0 and 1, got 1.0"),
        ({"group": "user"}, "split within each user or by `time`, not by `group`"),
        ({"stratify": True}, "split within each user or by `time`, not by `stratify`"),
        ({"time": "when"}, "`time` names no column: got 'when', there are time"),
        ({"test": 0.001}, "every part is too small to take a share of 0.001 out of"),
    ],
)
def test_impossible_splits_of_items(how: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_interactions(made(), time="time").split(**how)


def test_a_moment_that_parts_no_user() -> None:
    rows = read_interactions({"user": ["a", "b"], "item": ["x", "x"], "time": [1, 2]}, time="time")
    with pytest.raises(DataError, match="no user has interactions in both parts"):
        rows.split(test=0.5, time="time")
    with pytest.raises(DataError, match=r"there are none; read them with maas\.data\.read_interactions"):
        read_interactions({"user": ["a", "b"], "item": ["x", "x"]}).split(test=0.5, time="time")
