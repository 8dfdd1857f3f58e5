"""The commands that answer rows: predict, call."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from maas.cli._print import Answers, print_answers, read_rows
from maas.errors import RequestRefused, RowError


def predict(options: Namespace) -> bool:
    import maas

    model = maas.load(options.artifact)
    rows: Any = read_rows(options)
    errors: dict[int, RowError] = {}
    if rows is None:
        rows, errors = maas.data.read_columns(
            options.data,
            model.schema,
            missing=options.missing,
            delimiter=options.delimiter,
            encoding=options.encoding,
        )
    answers: Answers = [None] * len(rows)
    size = model.rows_at_once  # as many as fit in memory once they are prepared
    for start in range(0, len(rows), size):
        places = range(start, min(start + size, len(rows)))
        prepared = model.prepare(rows.take(places) if isinstance(rows, maas.data.Rows) else rows[start : start + size])
        kept = [places[row] for row in prepared.kept.tolist()]
        found = {places[row]: error for row, error in prepared.errors.items()}
        if kept:
            part = model.task.join(model.stream(prepared.batch))
            found |= {kept[row]: error for row, error in part.not_finite().items()}
            for row, answer in zip(kept, part, strict=True):
                answers[row] = answer
        errors = {**{row: error.at(row) for row, error in found.items()}, **errors}
    answers = [None if row in errors else answer for row, answer in enumerate(answers)]
    return print_answers(options, answers, errors)


def call(options: Namespace) -> bool:
    from maas.client import Client

    with Client(options.model, url=options.url, token=options.token, timeout=options.timeout) as client:
        rows = read_rows(options)
        errors: dict[int, RowError] = {}
        kept: list[int]
        if rows is None:
            from maas.data import read_columns
            from maas.schema import Schema

            schema = Schema.from_json(client.describe()["fields"])
            table, errors = read_columns(
                options.data,
                schema,
                missing=options.missing,
                delimiter=options.delimiter,
                encoding=options.encoding,
            )
            kept = [row for row in range(len(table)) if row not in errors]
            rows, length = table.take(kept).to_dicts(), len(table)
        else:
            kept, length = list(range(len(rows))), len(rows)
        answers: Answers = [None] * length
        try:
            found: list[Any] = list(client.predict(rows)) if rows else []
        except RequestRefused as refused:
            if "errors" not in refused.problem:
                raise
            found = refused.problem["predictions"]
            for one in refused.problem["errors"]:
                errors[kept[one["row"]]] = RowError(kept[one["row"]], one["field"], one["detail"])
        for row, answer in zip(kept, found, strict=False):
            answers[row] = answer
    return print_answers(options, answers, errors)
