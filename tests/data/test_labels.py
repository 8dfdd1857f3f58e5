"""Several labels a row out of every kind of source, and rows without a target."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas
import polars
import pyarrow
import pytest
import torch

import maas
from maas.data import read_columns, read_images, read_sequences, read_table, read_texts
from maas.errors import DataError
from maas.schema import Field, Schema


def test_every_source_gives_the_same_labels(tmp_path: Path) -> None:
    wanted = [("blue", "red"), (), ("red",)]
    ones = pandas.DataFrame({"a": [1.0, 2.0, 3.0], "red": [True, False, True], "blue": [1, 0, 0]})
    joined = ones[["a"]].assign(tags=["red | blue", None, "red"])
    listed = [["blue", "red"], [], ["red", "red"]]
    (tmp_path / "t.csv").write_text("a,tags\n1,red;blue\n2,\n3,red\n")
    (tmp_path / "c.csv").write_text("a,red,blue\n1,yes,1\n2,no,0\n3,yes,0\n")
    for rows in (
        read_table(ones, target=["red", "blue"]),
        read_table(polars.from_pandas(ones), target=["blue", "red"]),
        read_table(tmp_path / "c.csv", target=["red", "blue"]),
        read_table(joined, target="tags", task="multilabel"),
        read_table(tmp_path / "t.csv", target="tags", task="multilabel", separator=";"),
        read_table(pandas.DataFrame({"a": [1.0, 2.0, 3.0], "tags": listed}), target="tags"),
        read_table(polars.DataFrame({"a": [1.0, 2.0, 3.0], "tags": listed}), target="tags"),
        read_table(pyarrow.table({"a": [1.0, 2.0, 3.0], "tags": listed}), target="tags"),
        read_texts(
            pandas.DataFrame({"text": ["x", "y", "z"], "red": [1, 0, 1], "blue": [1, 0, 0]}), target=["red", "blue"]
        ),
        read_texts((["x", "y", "z"], listed)),
        read_sequences([[1.0], [2.0], [3.0]], target=listed),
        read_images((np.zeros((3, 2, 2), np.uint8), listed)),
        maas.data.from_arrays([[1.0], [2.0], [3.0]], listed),
    ):
        assert rows.task == "multilabel"
        assert rows.target.tolist() == wanted
    matrix = maas.data.from_arrays([[1.0], [2.0], [3.0]], [[1, 1], [0, 0], [0, 1]], task="multilabel")
    assert matrix.target.tolist() == [("0", "1"), (), ("1",)]


def test_a_table_of_image_paths(tmp_path: Path) -> None:
    from torchvision.io import write_png

    write_png(torch.zeros(1, 2, 2, dtype=torch.uint8), str(tmp_path / "a.png"))
    (tmp_path / "t.csv").write_text("file,cat,dog\na.png,1,1\na.png,0,0\n")
    rows = read_images(tmp_path / "t.csv", target=["cat", "dog"])
    assert rows.target.tolist() == [("cat", "dog"), ()]
    assert rows.target_name == "cat,dog"


def test_columns_of_a_known_schema(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("a,red,blue,tags\n1,1,0,red\n2,0,0,\n")
    schema = Schema((Field("a", "numeric", "number"),))
    for target in ("red,blue", "tags"):
        rows, errors = read_columns(tmp_path / "c.csv", schema, target=target, task="multilabel")
        assert rows.target.tolist() == [("red",), ()]
        assert not errors
    with pytest.raises(DataError, match="the target 'green' names no column, there are 'a', 'red'"):
        read_columns(tmp_path / "c.csv", schema, target="red,green", task="multilabel")


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        ({"p": [1, 2], "q": [0, 1]}, {"target": ["p", "q"]}, "column 'p' must say .* by 1 and 0, got '2' in row 1"),
        ({"p": [1, None], "q": [0, 1]}, {"target": ["p", "q"]}, "column 'p' must say .* got None in row 1"),
        ({"p": [1, 0]}, {"target": ["p"]}, r"two different columns or more in `target`, got \['p'\]"),
        ({"p": [1, 0]}, {"target": ["p", "p"]}, r"two different columns or more in `target`, got \['p', 'p'\]"),
        ({"p": [1, 0]}, {"target": ["p", "r"]}, "`target` names no column: got 'r', there are 'a', 'p'"),
        (
            {"p": [1, 0], "q,r": [1, 0]},
            {"target": ["p", "q,r"]},
            "must have no comma in its name, got 'q,r'; rename it",
        ),
        ({"p": [1, 0], "q": [1, 0]}, {"target": ["p", "q"], "task": "regression"}, "say task='multilabel', got 'regre"),
        (
            {"p": [["x"], ["y"]]},
            {"target": "p", "task": "classification"},
            "the target 'p' holds lists: several labels",
        ),
        ({"p": [[0.5], []]}, {"target": "p"}, "a label is text or an integer, got 0.5 in the target 'p'"),
        (
            {"p": ["x", "y"]},
            {"target": "p", "task": "multilabel", "separator": ""},
            "`separator` is what stands between",
        ),
        ({"p": [["x"], ["y"]], "q": [1, 0]}, {"target": "q"}, "column 'p' holds lists; say types="),
    ],
)
def test_columns_that_hold_no_labels_are_refused(columns: Any, options: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_table(pandas.DataFrame({"a": [1.0, 2.0], **columns}), **options)


def test_a_matrix_of_other_numbers_is_refused() -> None:
    with pytest.raises(DataError, match=r"y of shape \(rows, labels\) must be ones and zeros"):
        maas.data.from_arrays([[1.0], [2.0]], [[1, 2], [0, 1]], task="multilabel")
    with pytest.raises(
        DataError, match=r"y must have one value for each of the 2 rows of X, got shape \(2, 2\); .*'multilabel'"
    ):
        maas.data.from_arrays([[1.0], [2.0]], [[1, 0], [0, 1]])


def test_rows_are_split_and_compared_by_their_labels() -> None:
    rows = read_table(
        pandas.DataFrame({"a": [1.0, 1.0, 2.0, 2.0, 3.0], "t": [["x"], ["x"], ["x"], ["x", "y"], ["y"]]}), target="t"
    )
    assert rows.drop_duplicates().target.tolist() == [("x",), ("y",)]  # the copies of 2.0 disagree
    assert rows.fingerprint() != rows.take([0, 1, 2, 2, 4]).fingerprint()
    assert rows.drop_duplicates().split(0.5).report.kind == "random"
    with pytest.raises(DataError, match="keeps the shares of classes; the target of a multilabel has none"):
        rows.split(0.5, stratify=True)


def test_a_table_without_a_target() -> None:
    frame = pandas.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]})
    for options in ({}, {"task": "anomaly"}):
        rows = read_table(frame, **options)
        assert (rows.target, rows.task) == (None, None)
        assert repr(rows) == "Rows(2 x 2 fields)"
    texts = read_texts(pandas.DataFrame({"text": ["p", "q"], "who": ["x", "y"]}))
    assert (texts.target, texts.task, list(texts.side)) == (None, None, ["who"])
    with pytest.raises(DataError, match="say which column to predict with `target`; there are 'a', 'b'"):
        read_table(frame, task="multilabel")
    with pytest.raises(DataError, match=r"the rows have no target to learn; name it with maas\.data\.read_table"):
        maas.fit(maas.recipe(maas.nn.MLP), read_table(pandas.concat([frame] * 4)), task="classification", device="cpu")


def test_the_labels_of_an_anomaly() -> None:
    rows = read_table(pandas.DataFrame({"a": [1.0, 2.0, 3.0, 4.0], "y": [0, 1, 0, 1]}), task="anomaly")
    assert (rows.target.tolist(), rows.task) == ([0, 1, 0, 1], "anomaly")
    assert rows.split(0.5).report.kind == "stratified"
    text = read_table(pandas.DataFrame({"a": [1.0, 2.0], "y": ["ok", "bad"]}), task="anomaly")
    assert (text.target.tolist(), text.task) == (["ok", "bad"], "anomaly")
