"""Rows that commands read: JSON, tables, and files that are a row each."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from maas.errors import DataError, RowError, show

_JSON = (".json", ".jsonl")
_TABLES = (".csv", ".tsv", ".parquet", *_JSON)


def read_rows(file: str) -> list[Any] | None:
    """Rows written as JSON in a file, or in standard input ("-"); None where it is a table."""
    if file != "-" and Path(file).suffix.lower() not in _JSON:
        return None
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is not UTF-8") from error
    if not text.strip():
        raise DataError("there are no rows: the input is empty")
    with contextlib.suppress(ValueError, RecursionError):
        value = _strict_json(text)
        return value if isinstance(value, list) else [value]
    rows = []  # of lines that end in one way: a text may hold what else Python takes for the end of one
    for number, line in enumerate(text.split("\n"), 1):
        try:
            rows += [_strict_json(line)] if line.strip() else []
        except (ValueError, RecursionError) as error:
            raise DataError(f"line {number} is neither a JSON row nor part of a JSON list: {show(line)}") from error
    return rows


def _strict_json(text: str) -> Any:
    """JSON without NaN and infinity, which a server would refuse."""

    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


@dataclass(frozen=True)
class SentRows:
    """Rows as clients send them.

    Args:
        rows: those that can be sent.
        kept: their positions.
        length: how many there are, those that cannot be sent too.
        errors: why these cannot, by position.
    """

    rows: Sequence[Any]
    kept: Sequence[int]
    length: int
    errors: Mapping[int, RowError] = field(default_factory=dict)


def rows_to_send(files: Sequence[str], fields: Callable[[], list[Any]], **reading: Any) -> SentRows:
    """The rows of one table, of one stream of JSON, or of files that are a row each.

    Args:
        files: their paths; "-" is standard input.
        fields: gives those of the model, where a table is read.
        reading: how a table is read.

    Raises:
        DataError: a file is not there or cannot be read, or there are more than go at a time.
    """
    if all(name != "-" and Path(name).suffix.lower() not in _TABLES for name in files):
        for name in files:
            if not Path(name).is_file():
                raise DataError(f"there is no file {name}")
        return _all([Path(name) for name in files])
    if len(files) > 1:
        raise DataError(f"one table or stream of rows goes at a time, got {', '.join(files)}")
    given = read_rows(files[0])
    if given is not None:
        return _all(given)
    from maas.data import read_columns
    from maas.schema import Schema

    table, errors = read_columns(files[0], Schema.from_json(fields()), **reading)
    kept = [row for row in range(len(table)) if row not in errors]
    return SentRows(table.take(kept).to_dicts(), kept, len(table), errors)


def _all(rows: Sequence[Any]) -> SentRows:
    return SentRows(rows, range(len(rows)), len(rows))
