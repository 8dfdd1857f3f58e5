"""maas.data.read_interactions: rows of users and their items, and rows of ratings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas
import polars
import pytest

from maas.data import Rows, read_interactions, read_items
from maas.errors import DataError
from maas.schema import Schema

LINES = [("ann", "7", 5, 30), ("bob", "7", 2, 10), ("ann", "10", 4, 20), ("ann", "7", 3, 40), ("cy", "x", 1, 5)]
FRAME = pandas.DataFrame(LINES, columns=["user_id", "item_id", "rating", "when"])


def test_one_row_a_user_with_their_items_and_the_latest_line_of_each_pair() -> None:
    rows = read_interactions(FRAME, rating="rating", time="when")
    assert repr(rows) == "Rows(3 x 3 fields -> items (ranking))"
    assert rows.columns["user"].tolist() == ["ann", "bob", "cy"]
    assert rows.target is not None
    assert rows.target.tolist() == [("10", "7"), ("7",), ("x",)]  # in order of time
    assert [one.tolist() for one in rows.side["rating"]] == [[4, 3], [2], [1]]
    assert [one.tolist() for one in rows.side["when"]] == [[20, 40], [10], [5]]
    assert rows.columns["items"] is rows.target
    assert rows.columns["similar_to"].tolist() == [None, None, None]


def test_items_stand_in_the_schema_in_order_and_users_do_not() -> None:
    rows = read_interactions(FRAME).observed()
    assert rows.schema["items"].values == ("7", "10", "x")
    assert rows.schema["user"].values is None
    assert "ann" not in str(rows.schema.to_json())
    assert Schema.from_json(rows.schema.to_json()) == rows.schema
    many = read_interactions({"user": [1] * 500, "item": range(500)}).observed()
    assert len(many.schema["items"].values or ()) == 500
    described = many.schema.json_schema()
    assert len(described["properties"]["items"]["items"]["examples"]) == 100
    assert described["required"] == []


def test_every_source_gives_equal_rows(tmp_path: Path) -> None:
    wanted = read_interactions(FRAME, rating="rating", time="when").fingerprint()
    FRAME.to_csv(tmp_path / "a.csv", index=False)
    FRAME.to_csv(tmp_path / "a.tsv", index=False, sep="\t")
    FRAME.to_parquet(tmp_path / "a.parquet")
    typed = FRAME.rename(columns={"user_id": "user_id:token", "item_id": "item_id:token", "when": "when:float"})
    typed.to_csv(tmp_path / "a.inter", index=False, sep="\t")
    sources: list[Any] = [tmp_path / f"a.{ending}" for ending in ("csv", "tsv", "parquet", "inter")]
    sources += [polars.from_pandas(FRAME), FRAME.to_dict("list"), {name: FRAME[name].to_numpy() for name in FRAME}]
    for source in sources:
        assert read_interactions(source, rating="rating", time="when").fingerprint() == wanted, source


def test_moments_written_as_texts_are_moments() -> None:
    source = {"user": ["a", "a"], "item": ["x", "y"], "when": ["2024-01-02", "2024-01-01T12:00"]}
    for one in (source, pandas.DataFrame(source)):
        rows = read_interactions(one, time="when")
        assert rows.target is not None
        assert rows.target.tolist() == [("y", "x")]
        assert rows.side["when"][0].dtype.kind == "M"


def test_items_in_an_array_are_plain_texts() -> None:
    rows = read_interactions(FRAME, items=np.array(["7", "10", "x"]))
    assert rows.fingerprint() == read_interactions(FRAME, items=["7", "10", "x"]).fingerprint()
    assert {type(one) for one in rows.schema["items"].values or ()} == {str}


def test_a_least_rating_and_named_columns() -> None:
    frame = FRAME.rename(columns={"user_id": "who", "item_id": "what", "rating": "stars"})
    rows = read_interactions(frame, user="who", item="what", min_rating=3)
    assert rows.target is not None
    assert rows.target.tolist() == [("10", "7")]
    assert rows.schema["items"].values == ("7", "10", "x")  # the others are still there


def test_given_items_keep_their_order_and_may_be_untouched() -> None:
    rows = read_interactions(FRAME, items=["x", 10, "7", "new"])
    assert rows.schema["items"].values == ("x", "10", "7", "new")
    table = read_items(pandas.DataFrame({"id": ["x", "7", "10"], "text": ["a b", "c d", "e"]}))
    assert read_interactions(FRAME, items=table).schema["items"].values == ("x", "7", "10")


def test_ratings_are_a_regression_with_a_row_each() -> None:
    rows = read_interactions(FRAME, task="regression", time="when")
    assert repr(rows) == "Rows(4 x 2 fields -> rating (regression))"
    assert rows.to_dicts()[-1] == {"user": "ann", "item": "7"}
    assert rows.target is not None
    assert rows.target.tolist() == [1, 2, 4, 3]
    assert rows.side["when"].tolist() == [5, 10, 20, 40]
    assert rows.observed().schema["user"].values is None


@pytest.mark.parametrize(
    ("source", "how", "message"),
    [
        (FRAME, {"task": "classification"}, "`task` must be one of ranking, regression, got 'classification'"),
        (FRAME, {"user": "who"}, "`user` names no column: got 'who', there are 'user_id', 'item_id'"),
        (FRAME.drop(columns="item_id"), {}, "say which column holds the item with `item`; there are 'user_id'"),
        (FRAME.drop(columns="rating"), {"min_rating": 1}, "say which column holds the rating with `rating`"),
        (FRAME, {"min_rating": 9}, "no interaction has a rating of 9 or more"),
        (FRAME, {"time": "item_id"}, "column 'item_id' must be numbers or ISO 8601 dates, got '7' in row 0"),
        (FRAME, {"items": ["7", "10"]}, "column 'item_id' has 'x' in row 4, which is not among `items`"),
        (FRAME, {"items": ["7", "7"]}, "`items` must be different identifiers, got 2, 1 of them different"),
        (FRAME, {"items": ["7", None]}, "`items` must be identifiers, texts or numbers, got None at place 1"),
        (FRAME, {"items": pandas.Series([7, None])}, "texts or numbers, got nan at place 1"),
        (FRAME, {"items": ["7", ["x"]]}, "texts or numbers, got list of 1 at place 1"),
        (FRAME, {"min_rating": "3"}, "`min_rating` must be a finite number, got '3'"),
        (FRAME, {"min_rating": np.nan}, "`min_rating` must be a finite number, got nan"),
        ({"user": [], "item": []}, {}, "there is no interaction: every column is empty"),
        ({"user": 1, "item": 2}, {}, "column 'user' must be a list of values, got 1"),
        ({"user": "ann", "item": "tea"}, {}, "column 'user' must be a list of values, got 'ann'"),
        (FRAME, {"items": "7"}, "`items` must be identifiers, or a table that maas.data.read_items gives, got str"),
        (FRAME, {"items": read_interactions(FRAME, task="regression").take([0, 0])}, "2, 1 of them different"),
        ({"user": ["a", None], "item": ["b", "c"]}, {}, "column 'user' is missing in row 1; remove such rows"),
        ({"user": ["a"], "item": ["b", "c"]}, {}, r"columns must be of one length, got \[1, 2\]"),
        ({"user": ["a"], "item": ["b"], "rating": [np.inf]}, {"rating": "rating"}, "must be finite, got inf in row 0"),
        (3, {}, "a table is a path or a data frame, got int"),
    ],
)
def test_what_cannot_be_read_says_why(source: Any, how: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_interactions(source, **how)


def test_items_are_read_with_what_describes_them(tmp_path: Path) -> None:
    frame = pandas.DataFrame(
        {
            "item_id": [1, 2, 3],
            "title": ["a tale", "two tales", "x"],
            "genre": ["d", None, "d"],
            "year": [1990, 2000, 1],
        }
    )
    items = read_items(frame)
    kinds = [(field.name, field.kind, field.nullable) for field in items.schema.fields]
    wanted = [("item_id", "item", False), ("title", "text", False), ("genre", "categorical", True)]
    assert kinds == [*wanted, ("year", "numeric", False)]
    assert items.schema["item_id"].values is None
    assert read_items(frame, texts=["genre"], drop=["year"]).schema.names == ("item_id", "title", "genre")
    frame.rename(columns=lambda name: f"{name}:token").to_csv(tmp_path / "a.item", sep="\t", index=False)
    assert isinstance(read_items(tmp_path / "a.item"), Rows)


@pytest.mark.parametrize(
    ("frame", "how", "message"),
    [
        ({"id": [1, 1], "a": ["x", "y"]}, {}, "column 'id' names '1' more than once; give one row an item"),
        ({"id": [1, None], "a": ["x", "y"]}, {}, "column 'id' is missing in row 1"),
        ({"a": ["x", "y"]}, {}, "say which column identifies an item with `item`; there are 'a'"),
        ({"id": [1]}, {"item": "b"}, "`item` names no column: got 'b', there are 'id'"),
        ({"id": [1]}, {"texts": ["b"]}, "`texts` names no column: got 'b'"),
        ({"id": [1]}, {"drop": "a"}, r"`drop` is a list of column names, got 'a'; write drop=\['a'\]"),
    ],
)
def test_items_that_cannot_be_read(frame: dict[str, Any], how: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_items(pandas.DataFrame(frame), **how)
