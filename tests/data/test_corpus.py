"""Texts for language models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from maas.data import read_corpus
from maas.errors import DataError


def test_texts_of_a_file_stand_between_empty_lines(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\ufeffone\nstill one\n\n \n\ntwo\r\n\r\n", encoding="utf8")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "b.txt").write_text("three", encoding="utf8")
    for source in (tmp_path, str(tmp_path), [tmp_path / "a.txt", tmp_path / "deep" / "b.txt"]):
        rows = read_corpus(source)
        assert list(rows.columns["prompt"]) == ["one\nstill one", "two", "three"]
        assert rows.task == "generation"
    assert rows.target is not None
    assert rows.target.tolist() == [13, 3, 5]


def test_a_column_of_a_table(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,poem\n1,moon\n2,\n3,river\n", encoding="utf8")
    assert list(read_corpus(tmp_path / "a.csv", text="poem").columns["prompt"]) == ["moon", "river"]


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("aaaa bbbb cccc", ["aaaa bbbb", "cccc"]),
        ("aaaaaaaaaaaaaa", ["aaaaaaaaaa", "aaaa"]),
        ("a bbbbbbbbbbbbbb", ["a bbbbbbbb", "bbbbbb"]),  # no white space in the second half
        ("你好你好你好", ["你好你", "好你好"]),  # three bytes each
        ("aaaaaaaaaa bb", ["aaaaaaaaaa", "bb"]),
    ],
)
def test_a_long_text_is_cut_at_white_space_by_bytes(text: str, pieces: list[str]) -> None:
    assert list(read_corpus([text], longest=10).columns["prompt"]) == pieces


def test_a_text_longer_than_all_pieces_is_cut_in_a_moment() -> None:
    text = "word " * 400_000
    rows = read_corpus([text], longest=100)
    assert len(rows) == 20_000
    assert "".join(rows.columns["prompt"]).count("word") == 400_000


@pytest.mark.parametrize(
    ("source", "options", "told"),
    [
        ([" "], {}, "there is no text in"),
        (["a"], {"longest": 0}, "`longest` must be a positive integer, got 0"),
        ("gone.txt", {}, "there is no file gone.txt"),
    ],
)
def test_what_is_no_corpus(source: Any, options: dict[str, Any], told: str) -> None:
    with pytest.raises(DataError, match=told):
        read_corpus(source, **options)


def test_a_folder_without_texts_and_a_file_in_another_encoding(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"the folder must hold .txt files, got none"):
        read_corpus(tmp_path)
    (tmp_path / "a.txt").write_bytes("é".encode("latin-1"))
    with pytest.raises(DataError, match="is not text in utf8; say `encoding=`"):
        read_corpus(tmp_path / "a.txt")
    assert list(read_corpus(tmp_path / "a.txt", encoding="latin-1").columns["prompt"]) == ["é"]
