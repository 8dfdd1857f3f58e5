"""The command that answers rows with a saved model: predict."""

from __future__ import annotations

import argparse
from argparse import Namespace
from typing import Any

from maas.cli._options import add_command, add_imports, add_reading, reading_of
from maas.cli._print import Answers, print_answers
from maas.cli._rows import read_rows
from maas.errors import RowError


def add_predict(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    predict = add_command(
        commands,
        "predict",
        "answer rows with a saved model, one JSON line each",
        "examples:\n  maas predict artifacts/wine new.csv\n"
        "  echo '{\"alcohol\": 13.2, ...}' | maas predict artifacts/wine -",
    )
    add_imports(predict)
    predict.add_argument("artifact", metavar="DIR", help="a saved model")
    predict.add_argument(
        "data",
        metavar="DATA",
        help="a .csv, .tsv, .parquet, .json or .jsonl file; - reads JSON or JSON lines",
    )
    add_reading(predict)


def predict(options: Namespace) -> bool:
    import maas

    model = maas.load(options.artifact)
    rows: Any = read_rows(options.data)
    errors: dict[int, RowError] = {}
    if rows is None:
        rows, errors = maas.data.read_columns(options.data, model.schema, **reading_of(options))
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
