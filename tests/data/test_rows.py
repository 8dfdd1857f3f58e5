"""Rows: taken, shown, known by their fingerprint, and freed of duplicates."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import polars
import pytest

from maas.data import Rows, from_arrays, read_table
from maas.errors import DataError


def small(**more: list[Any]) -> Rows:
    return read_table(polars.DataFrame({"a": [1.0, 2.0, 3.0], "c": ["x", None, "z"], "y": ["p", "q", "p"], **more}))


def test_take_gives_rows_in_the_order_asked_for() -> None:
    rows = read_table(
        polars.DataFrame({"a": [1, 2, 3], "c": ["x", None, "z"], "day": [7, 8, 9], "y": [0, 1, 0]}), drop=["day"]
    ).take([2, 0])
    assert rows.target is not None
    assert rows.to_dicts() == [{"a": 3.0, "c": "z"}, {"a": 1.0, "c": "x"}]
    assert (rows.target.tolist(), rows.side["day"].tolist(), len(rows)) == ([0, 0], [9, 7], 2)


def test_no_rows_have_a_fingerprint() -> None:
    assert small().take([]).fingerprint() != small().fingerprint()


def test_to_dicts_gives_what_json_can_write() -> None:
    cells = read_table(
        polars.DataFrame({"a": [1, None], "c": [None, "z"], "b": [True, None], "k": [4, 5], "y": [0, 1]}),
        types={"k": "categorical"},
    ).to_dicts()
    assert json.loads(json.dumps(cells)) == [
        {"a": 1.0, "c": None, "b": True, "k": "4"},
        {"a": None, "c": "z", "b": None, "k": "5"},
    ]


def test_repr_says_size_and_target() -> None:
    assert repr(small()) == "Rows(3 x 2 fields -> y (classification))"
    assert repr(from_arrays([[1.0]])) == "Rows(1 x 1 fields)"


@pytest.mark.parametrize("target", [["p", "q", "p"], [1, 2, 1], [0.5, 1.5, 2.5]], ids=["text", "integers", "floats"])
def test_the_fingerprint_does_not_depend_on_how_numpy_prints(target: list[Any]) -> None:
    """numpy 1 prints a float64 as 1.5, numpy 2 as np.float64(1.5); both are allowed, and a card outlives them."""
    fingerprint = small(y=target).fingerprint()
    assert len(fingerprint) == 64
    with np.printoptions(legacy="1.25"):
        assert small(y=target).fingerprint() == fingerprint


@pytest.mark.parametrize(
    "change",
    [
        {"a": [1.0, 2.0, 3.0000000001]},
        {"a": [1.0, 2.0, None]},
        {"c": ["x", None, "Z"]},
        {"c": ["x", "", "z"]},
        {"y": ["p", "q", "q"]},
        {"a": [2.0, 1.0, 3.0]},
        {"b": [1, 2, 3]},
    ],
    ids=str,
)
def test_the_fingerprint_changes_with_any_value(change: dict[str, list[Any]]) -> None:
    assert small(**change).fingerprint() != small().fingerprint()


def test_the_fingerprint_changes_with_names_and_order() -> None:
    rows = small()
    assert rows.take([1, 0, 2]).fingerprint() != rows.fingerprint()
    renamed = polars.DataFrame({"A": [1.0, 2.0, 3.0], "c": ["x", None, "z"], "y": ["p", "q", "p"]})
    assert read_table(renamed).fingerprint() != rows.fingerprint()


def test_drop_duplicates_keeps_first_copies_and_no_contradiction() -> None:
    frame = polars.DataFrame({"a": [1, 2, 1, 3, 2, 4], "c": list("xyxxyx"), "y": [0, 1, 0, 0, 0, 1]})
    kept = read_table(frame).drop_duplicates()
    assert kept.target is not None
    assert (kept.columns["a"].tolist(), kept.target.tolist()) == ([1.0, 3.0, 4.0], [0, 0, 1])


def test_drop_duplicates_refuses_to_leave_nothing() -> None:
    with pytest.raises(DataError, match="no row is left: every row has a copy with another target"):
        from_arrays([[1.0], [1.0]], [0, 1]).drop_duplicates()
