"""The command that answers rows with a saved model: predict."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from maas.cli._print import Answers, print_answers, read_rows
from maas.errors import RowError


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
