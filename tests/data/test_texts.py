"""Texts from every source, and what is refused."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pandas
import pytest

from maas.data import read_texts
from maas.errors import DataError
from maas.preprocess import Text


def test_a_pair_of_lists() -> None:
    rows = read_texts((["good ", "\tbad", "Ｓｏ so"], [1, 0, 1]))
    assert rows.columns["text"].tolist() == ["good", "bad", "Ｓｏ so"]
    assert rows.target is not None
    assert rows.target.tolist() == [1, 0, 1]
    assert rows.task == "classification"
    field = rows.schema["text"]
    assert (field.kind, field.dtype, field.longest) == ("text", "string", 100_000)


def test_a_list_has_no_target() -> None:
    rows = read_texts(["one", "two"], text="said")
    assert rows.target is None
    assert rows.to_dicts() == [{"said": "one"}, {"said": "two"}]


def test_ratings_are_a_regression_when_told() -> None:
    rows = read_texts((["a", "b", "c"], [1, 2, 5]), task="regression")
    assert rows.target is not None
    assert rows.target.tolist() == [1.0, 2.0, 5.0]


@pytest.mark.parametrize("packed", [False, True])
def test_files_of_lines(tmp_path: Path, packed: bool) -> None:
    for name, content in (("pos", "很好\r\nfine\n"), ("neg", "\ufeff不好")):
        data = content.encode()
        (tmp_path / name).write_bytes(gzip.compress(data) if packed else data)
    rows = read_texts({"pos": tmp_path / "pos", "neg": tmp_path / "neg"})
    assert rows.columns["text"].tolist() == ["很好", "fine", "不好"]
    assert rows.target is not None
    assert rows.target.tolist() == ["pos", "pos", "neg"]


def test_a_folder_of_classes(tmp_path: Path) -> None:
    for name, content in (("pos/2.txt", "two\nlines"), ("pos/1.txt", "one"), ("neg/x.txt", "no"), ("neg/x.md", "?")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    rows = read_texts(tmp_path)
    assert rows.target is not None
    assert list(zip(rows.columns["text"], rows.target, strict=True)) == [
        ("no", "neg"),
        ("one", "pos"),
        ("two\nlines", "pos"),
    ]


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "parquet", "frame"])
def test_a_table(tmp_path: Path, suffix: str) -> None:
    frame = pandas.DataFrame({"label": ["a", "b"], "when": [1, 2], "review": ["it's, well", "12"]})
    path: Any = tmp_path / f"t.{suffix}"
    if suffix == "parquet":
        frame.to_parquet(path)
    elif suffix == "frame":
        path = frame
    else:
        frame.to_csv(path, index=False)
    rows = read_texts(path)
    assert rows.to_dicts() == [{"review": "it's, well"}, {"review": "12"}]
    assert (rows.target_name, rows.side["when"].tolist()) == ("label", [1.0, 2.0])


def test_texts_that_look_like_numbers_are_texts() -> None:
    assert read_texts(pandas.DataFrame({"y": ["a", "b"], "t": [12, 7]})).columns["t"].tolist() == ["12", "7"]


def test_copies_are_found_as_the_preprocessing_sees_them() -> None:
    texts = ["@ann see http://a.b/1", "@bob  see https://c.d", "Good", "good", "well", "WELL", "alone"]
    rows = read_texts((texts, ["+", "+", "+", "-", "+", "+", "-"]))
    assert len(rows.drop_duplicates()) == 7
    options = Text.with_options(style="tweets")
    kept = rows.drop_duplicates(alike=options.normalised)
    assert kept.columns["text"].tolist() == ["@ann see http://a.b/1", "well", "alone"]  # as they came


def test_empty_texts_are_refused_with_the_row_or_dropped() -> None:
    source = (["a", " \n", "b", ""], [0, 1, 1, 0])
    with pytest.raises(DataError, match="2 of 4 texts are empty, the first is row 1; leave them out with empty='drop'"):
        read_texts(source)
    assert read_texts(source, empty="drop").columns["text"].tolist() == ["a", "b"]
    with pytest.raises(DataError, match="there is no text in the source"):
        read_texts(["", " "], empty="drop")


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ((["a"], [0, 1]), {}, "a label for each text, got 1 texts and 2 labels"),
        ((["a", 3], [0, 1]), {}, "row 1: field 'text' must be a string, got 3"),
        ((["a", "b" * 11], [0, 1]), {"longest": 10}, "row 1: field 'text' must have at most 10 characters, got 11"),
        ((["a"], "x"), {}, r"a pair \(texts, labels\) of lists"),
        (["a"], {"empty": "keep"}, "`empty` must be 'refuse' or 'drop', got 'keep'"),
        (["a"], {"longest": 0}, "`longest` must be a positive integer, got 0"),
        (
            ["a"],
            {"task": "ranking"},
            "`task` must be one of classification, regression, multilabel, anomaly, got 'ranking'",
        ),
        (pandas.DataFrame({"a": ["x"], "b": ["x"], "y": [1]}), {}, "say which column holds the texts with `text`"),
        (pandas.DataFrame({"a": ["x"], "y": [1]}), {"text": "y"}, "`text` names no column beside the target: got 'y'"),
        ({"x": "/nowhere/x.txt"}, {}, "there is no file /nowhere/x.txt"),
        ({}, {}, "names no file with a line"),
    ],
)
def test_what_cannot_be_used_is_named(source: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_texts(source, **options)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"caf\xe9\n", "is not text in utf8; say `encoding=`"),
        (gzip.compress(b"text", mtime=0)[:-6], "cannot be read"),
        (b"\x1f\x8bnot gzip at all", "cannot be read"),
    ],
)
def test_damaged_files(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "f").write_bytes(data)
    with pytest.raises(DataError, match=message):
        read_texts({"x": tmp_path / "f"})


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="must hold one folder a class with"):
        read_texts(tmp_path)
