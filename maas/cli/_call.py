"""The commands that ask a server: call, ready."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from maas.cli._print import Answers, print_answers, print_json, read_rows, tell
from maas.client import Client
from maas.errors import DataError, RequestRefused, RowError

_TABLES = (".csv", ".tsv", ".parquet", ".json", ".jsonl")


def call(options: Namespace) -> bool:
    with _client(options, timeout=options.timeout, retries=options.retries, parallel=options.parallel) as client:
        rows, kept, length, errors = _rows(options, client)
        answers: Answers = [None] * length
        found: list[Any] = []
        try:
            found = list(client.predict(rows, progress=options.progress)) if rows else []
        except RequestRefused as refused:
            if "errors" not in refused.problem:
                raise
            found = refused.problem["predictions"]
            for one in refused.problem["errors"]:
                errors[kept[one["row"]]] = RowError(kept[one["row"]], one["field"], one["detail"])
        for row, answer in zip(kept, found, strict=True):
            answers[row] = answer
    return print_answers(options, answers, errors)


def ready(options: Namespace) -> bool:
    with _client(options) as client:
        client.wait_ready(options.wait)
    tell(options, f"{options.model} is ready")
    print_json(options, {"model": options.model, "ready": True})
    return False


def _client(options: Namespace, **more: Any) -> Client:
    return Client(
        options.model,
        url=options.url,
        token=options.token,
        version=options.model_version,
        verify=options.verify,
        **more,
    )


def _rows(options: Namespace, client: Client) -> tuple[list[Any], list[int], int, dict[int, RowError]]:
    """The rows that can be sent, their positions, how many there are in all, and why the others cannot."""
    files = [Path(name) for name in options.data if name != "-" and Path(name).suffix.lower() not in _TABLES]
    if len(files) == len(options.data):
        for file in files:
            if not file.is_file():
                raise DataError(f"there is no file {file}")
        return list(files), list(range(len(files))), len(files), {}
    if len(options.data) > 1:
        raise DataError(f"one table or stream of rows goes at a time, got {', '.join(options.data)}")
    (options.data,) = options.data
    rows = read_rows(options)
    if rows is not None:
        return rows, list(range(len(rows))), len(rows), {}
    from maas.data import read_columns
    from maas.schema import Schema

    table, errors = read_columns(
        options.data,
        Schema.from_json(client.describe()["fields"]),
        missing=options.missing,
        delimiter=options.delimiter,
        encoding=options.encoding,
    )
    kept = [row for row in range(len(table)) if row not in errors]
    return table.take(kept).to_dicts(), kept, len(table), errors
