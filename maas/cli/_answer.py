"""The commands that answer rows: predict, serve."""

from __future__ import annotations

import signal
from argparse import Namespace
from typing import Any

from maas.cli._print import Answers, print_answers, print_json, read_rows, tell
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


def serve(options: Namespace) -> bool:
    import maas

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):  # closing the terminal stops the server too
        signal.signal(number, interrupt)
    tell(options, "starting TorchServe ...")
    with maas.serve(
        options.store,
        options.models or None,
        port=options.port,
        imports=options.imports,
        timeout=options.timeout,
    ) as server:
        lines = [f"serving {', '.join(server.models)} on {server.url} (pid {server.pid}); Ctrl-C stops it"]
        name = server.models[0]
        lines += [
            f"  maas call {name} DATA",
            f"  curl {server.url}/predictions/{name} -H 'Content-Type: application/json' \\",
            f"    -H \"Authorization: Bearer $(jq -r .inference.key {server.folder}/key_file.json)\" -d '{{...}}'",
            f"logs in {server.folder}/logs",
        ]
        tell(options, "\n".join(lines))
        print_json(
            options,
            {
                "url": server.url,
                "models": list(server.models),
                "pid": server.pid,
                "folder": str(server.folder),
            },
        )
        try:
            code = server.wait()
        except KeyboardInterrupt:
            tell(options, "stopping ...")
            return False
    raise maas.errors.ServingError(f"TorchServe ended by itself with exit code {code}")
