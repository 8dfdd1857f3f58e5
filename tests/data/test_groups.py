"""The groups that a column of rows makes."""

from __future__ import annotations

import numpy as np
import pandas
import pytest

from maas.data import Rows, group_values, read_table
from maas.errors import DataError
from maas.schema import Field, Schema


def rows() -> Rows:
    frame = pandas.DataFrame(
        {
            "region": ["north", "south", None, "north"] * 10,
            "member": [True, False, True, True] * 10,
            "rooms": [1, 2, 2, 3] * 10,
            "size": np.arange(40) + 0.5,
            "rate": [0.1 + 0.2, 0.5] * 20,
            "when": pandas.date_range("2024-01-01", periods=40),
            "name": [f"person {place}" for place in range(40)],
            "y": ["a", "b"] * 20,
        }
    )
    return read_table(frame, target="y", drop=["when", "name", "rooms"])


def test_each_kind_of_column() -> None:
    found = group_values(rows(), ["region", "member", "rooms", "rate"])
    assert [column[:4].tolist() for column in found.values()] == [
        ["north", "south", "(missing)", "north"],
        ["true", "false", "true", "true"],
        ["1", "2", "2", "3"],
        ["0.3", "0.5", "0.3", "0.5"],
    ]


def test_many_numbers_are_cut_at_their_quartiles() -> None:
    """numpy.quantile: 10.25, 20, 29.75."""
    found = group_values(rows(), "size")["size"].tolist()
    assert {text: found.count(text) for text in dict.fromkeys(found)} == {
        "up to 10.25": 10,
        "over 10.25 to 20": 10,
        "over 20 to 29.75": 10,
        "over 29.75": 10,
    }


def test_numbers_with_gaps() -> None:
    table = rows()
    table.columns["size"][:5] = np.nan
    found = group_values(table, "size")["size"].tolist()
    assert found[:5] == ["(missing)"] * 5
    assert len(set(found)) == 5


def test_numbers_alike_in_four_digits_are_told_apart() -> None:
    table = rows()
    table.columns["rate"][:2] = [1.000001, 1.000002]
    assert group_values(table, "rate")["rate"][:3].tolist() == ["1.000001", "1.000002", "0.3"]


def test_the_smallest_of_many_groups_are_one() -> None:
    table = rows().take(np.arange(200) % 40)
    table.side["name"][:] = [f"g{place // 3}" for place in range(200)]
    found = group_values(table, "name")["name"].tolist()
    assert len(set(found)) == 51
    assert found.count("(other)") == 50


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ([["region"]], "`groups` must name a column or several, such as 'region', got list of 1"),
        ("regoin", "`groups` names no column: got 'regoin', there are region"),
        ("when", "'when' holds dates, texts, lists or files"),
        ("name", "'name', whose 40 rows have 40 different values: an identifier makes no groups"),
    ],
)
def test_a_column_without_groups_is_refused(name: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        group_values(rows(), [name])


def test_images_make_no_groups() -> None:
    images = Rows(Schema((Field("image", "image", "bytes"),)), {"image": np.array([b"1", b"2"], object)})
    with pytest.raises(DataError, match="'image' holds dates, texts, lists or files"):
        group_values(images, "image")
