"""Texts to learn a language from, and to be measured on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from maas.data._rows import Rows
from maas.data._sources import origin_of, read_text
from maas.data._texts import read_texts
from maas.errors import DataError, show
from maas.schema import generation_schema

_LONGEST = 1 << 20
_BREAK = re.compile(r"\s+")


def read_corpus(
    source: Any,
    *,
    text: str | None = None,
    longest: int = 500,
    encoding: str = "utf8",
) -> Rows:
    """Read texts for a language model.

    Args:
        source: a file of text, whose texts stand between empty lines; several files, as a list of `Path`; a folder with
            `.txt` files in it, at any depth; a table with a column of texts (`.csv`, `.tsv`, `.parquet`, a data frame);
            or a list of texts.
        text: name of the column in a table.
        longest: most bytes of a text in UTF-8; a longer one is cut, where there is white space if it can be. What a
            model learns is packed into windows of its context anyway; what is measured must fit into that. A tokenizer
            that `maas.fit` learned makes at most one token of a byte, and one before.
        encoding: of files.

    Returns:
        Rows of the task "generation", that ask for each text to be scored. Their target is its size in bytes.

    Raises:
        DataError: the source cannot be read, or holds no text.

    >>> read_corpus(["Once upon a time", "The end"])
    Rows(2 x 11 fields -> text (generation))
    """
    if type(longest) is not int or longest < 1:
        raise DataError(f"`longest` must be a positive integer, got {show(longest)}")
    texts = [piece for one in _texts(source, text, encoding) for piece in _pieces(one.strip(), longest)]
    if not texts:
        raise DataError(f"there is no text in {show(str(source))}")
    raw: dict[str, Sequence[Any]] = {"prompt": texts, "max_tokens": [0] * len(texts), "echo": [True] * len(texts)}
    schema = generation_schema(_LONGEST)
    columns, errors = schema.check(raw, len(texts))
    if errors:
        raise errors[min(errors)]
    sizes = np.array([len(one.encode()) for one in texts], np.float64)
    return Rows(schema, columns, sizes, "text", "generation", source=origin_of(source, "texts"))


def _texts(source: Any, text: str | None, encoding: str) -> list[str]:
    if isinstance(source, (str, Path)) and Path(source).is_dir():
        source = sorted(Path(source).rglob("*.txt"))
        if not source:
            raise DataError("the folder must hold .txt files, got none")
    if isinstance(source, (str, Path)) and Path(source).suffix.lower() in ("", ".txt", ".md"):
        source = [Path(source)]
    if isinstance(source, list) and all(isinstance(one, Path) for one in source):
        return [one for path in source for one in re.split(r"\n\s*\n", read_text(path, encoding).replace("\r", "\n"))]
    rows = read_texts(source, text=text, encoding=encoding, longest=1 << 30, empty="drop")
    return list(rows.columns[rows.schema.names[0]])


def _pieces(text: str, longest: int) -> Iterator[str]:
    """A text in pieces of at most so many bytes, cut at the last white space in the second half of each."""
    start = 0
    while start < len(text):
        piece = text[start : start + longest].encode("utf-8", "surrogatepass")[:longest].decode("utf-8", "ignore")
        piece = piece or text[start]  # a character of more bytes than that
        end = start + len(piece)
        if end < len(text) and not text[end].isspace():
            for found in _BREAK.finditer(text, start + len(piece) // 2, end):
                end = found.start() or end
        if piece := text[start:end].strip():
            yield piece
        start = max(end, start + 1)
