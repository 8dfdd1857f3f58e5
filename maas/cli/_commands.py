"""What each command does. A command gives True where a row was refused."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from maas.cli._labelled import labelled
from maas.cli._task import target_of, task_of, threshold_text
from maas.errors import ArtifactError, DataError, FormatError, RequestRefused, RowError, show

if TYPE_CHECKING:
    from maas.artifact import Artifact
    from maas.data import Rows
    from maas.metrics import Evaluation
    from maas.model import Model

_Answers = list[dict[str, Any] | None]


def fit(options: Namespace) -> bool:
    import maas
    from maas.artifact import check_replaceable

    output = Path(options.output)
    try:
        check_replaceable(output)  # before the training, not after it
    except ArtifactError as error:
        raise DataError(f"--output: {error}") from error
    output.parent.mkdir(parents=True, exist_ok=True)
    if not os.access(output.parent, os.W_OK):
        raise DataError(f"{output.parent} cannot be written; choose another --output")
    types = dict(_pair(text, "--type") for text in options.type)
    arguments = {name: _value(text) for name, text in (_pair(text, "--set") for text in options.set)}
    recipe = maas.nn.Recipe(options.network, arguments)
    rows = maas.data.read_table(
        options.data,
        target=target_of(options),
        task=options.task,
        separator=options.separator,
        drop=options.drop,
        types=types,
        missing=options.missing,
        delimiter=options.delimiter,
        encoding=options.encoding,
    )
    task = task_of(options, rows)
    maas.data.group_values(rows, options.groups)  # before the training, not after it
    split = rows.split(options.test, seed=options.seed, group=options.group, time=options.time)
    train, test = split
    _tell(options, f"{rows}\n{split.report}")
    model = maas.fit(
        recipe,
        train,
        task=task,
        epochs=options.epochs,
        batch_size=options.batch_size,
        optimizer=options.optimizer,
        learning_rate=options.learning_rate,
        weight_decay=options.weight_decay,
        patience=options.patience,
        seed=options.seed,
        device=options.device,
    )
    for name in ("intended_use", "limits"):
        if text := getattr(options, name):
            model.card[name] = text
    model.save(output)  # first: whatever the evaluation meets, the training is not lost
    best = model.card["training"]["best_epoch"]
    _tell(options, f"{model}, best of {len(model.card['training']['history'])} epochs: {best}")
    measured = None
    if test.target is None:
        _tell(options, f"not evaluated: the rows have no target; maas evaluate {output} DATA --target COLUMN")
    else:
        evaluation = model.evaluate(test, baselines_from=train, groups=options.groups)
        model.save(output, evaluation=evaluation)
        _tell(options, f"\n{evaluation}")
        measured = evaluation.to_json()
    _tell(options, f"\nsaved in {output}; next: maas package {output}")
    _result(options, {"artifact": str(output), "evaluation": measured})
    return False


def evaluate(options: Namespace) -> bool:
    import maas

    model = maas.load(options.artifact)
    evaluation, _ = _evaluated(options, model)
    _tell(options, str(evaluation))
    _result(options, evaluation.to_json())
    return False


def report(options: Namespace) -> bool:
    import maas

    model = maas.load(options.artifact)
    if options.data is None:
        for name in ("train", "groups"):
            if getattr(options, name):
                raise DataError(f"--{name} needs --data, the rows to score")
        if not model.card.get("evaluation"):
            raise DataError(f"{options.artifact} was saved without scores; give test rows with --data")
        evaluation, test = maas.Evaluation.from_json(model.card["evaluation"]), None
    else:
        evaluation, test = _evaluated(options, model)
    path = maas.report(evaluation, options.output, model=model, test=test)
    _tell(options, f"{path} ({path.stat().st_size:,} bytes); open it in a browser")
    _result(options, {"report": str(path), "evaluation": evaluation.to_json()})
    return False


def _evaluated(options: Namespace, model: Model) -> tuple[Evaluation, Rows]:
    test = labelled(options, model, options.data)
    train = None if options.train is None else labelled(options, model, options.train)
    return model.evaluate(test, baselines_from=train, groups=options.groups), test


def predict(options: Namespace) -> bool:
    import maas

    model = maas.load(options.artifact)
    rows = _read_rows(options)
    if rows is None:
        table, known = maas.data.read_columns(
            options.data,
            model.schema,
            missing=options.missing,
            delimiter=options.delimiter,
            encoding=options.encoding,
        )
        prepared = model.prepare(table)
        errors = {**prepared.errors, **known}
    else:
        prepared = model.prepare(rows)
        errors = prepared.errors
    answers: _Answers = [None] * (len(prepared.kept) + len(prepared.errors))
    if len(prepared.kept):
        for row, answer in zip(prepared.kept.tolist(), model.task.join(model.stream(prepared.batch)), strict=True):
            answers[row] = None if row in errors else answer
    return _print_answers(options, answers, errors)


def inspect(options: Namespace) -> bool:
    from maas import artifact
    from maas.archive import read_archive, read_archived

    path = Path(options.path)
    if path.is_dir():
        stored = artifact.read(path)
        named = None
    else:
        named = read_archive(path)
        stored = read_archived(path)
    description, card = stored.description, stored.card
    result = {
        "archive": None if named is None else {"name": named.name, "version": named.version},
        "digest": stored.digest,
        **description,
        "card": card,
    }
    try:
        lines = _describe(stored, named.name + " " + named.version if named else None)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise FormatError(f"{path} does not describe a model: {type(error).__name__} {error}") from error
    # An artifact may come from anyone: what steers a terminal is shown, not obeyed.
    _tell(options, "\n".join("".join(one if one.isprintable() else ascii(one)[1:-1] for one in line) for line in lines))
    _result(options, result)
    return False


def _describe(stored: Artifact, named: str | None) -> list[str]:
    from maas.metrics import Evaluation

    description, card = stored.description, stored.card
    arguments = ", ".join(f"{name}={value}" for name, value in description["recipe"]["arguments"].items())
    lines = [named] if named else []
    lines += [
        f"digest     {stored.digest}",
        f"network    {description['recipe']['kind']}({arguments})",
        f"task       {description['task']['kind']} of {description['target']}"
        + threshold_text(description["task"]["state"]),
        f"fields     {len(description['schema'])}",
    ]
    for field in description["schema"]:
        shape = " x ".join(map(str, field["shape"]))
        nullable = "may be null" if field["nullable"] else ""
        lines.append(f"  {field['name']:<28} {field['kind']:<12} {shape} {nullable}".rstrip())
    lines.append(f"created    {card.get('created')} by {card.get('versions')}")
    lines += [
        f"{key:<10} {card[name]}" for key, name in (("use", "intended_use"), ("limits", "limits")) if card.get(name)
    ]
    if card.get("evaluation"):
        lines += ["", *str(Evaluation.from_json(card["evaluation"])).splitlines()]
    return lines


def verify(options: Namespace) -> bool:
    import maas

    digest = maas.verify(options.path)
    _tell(
        options,
        f"{options.path} is whole, and answers its golden rows as it did when it was saved\ndigest {digest}",
    )
    _result(options, {"path": str(options.path), "digest": digest})
    return False


def package(options: Namespace) -> bool:
    from maas import archive

    if options.print_config:
        deployment = archive.Deployment(
            minWorkers=options.workers,
            maxWorkers=options.workers,
            batchSize=options.batch_size,
            maxBatchDelay=options.max_batch_delay_ms,
        )
        print(deployment.to_yaml(), end="")
        return False
    path = archive.package(
        options.artifact,
        store=options.store,
        name=options.name,
        version=options.version,
        workers=options.workers,
        batch_size=options.batch_size,
        max_batch_delay_ms=options.max_batch_delay_ms,
    )
    _tell(options, f"{path} ({path.stat().st_size:,} bytes); next: maas serve {path.stem} --store {path.parent}")
    _result(options, {"archive": str(path), "name": path.stem, "bytes": path.stat().st_size})
    return False


def serve(options: Namespace) -> bool:
    import maas

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):  # closing the terminal stops the server too
        signal.signal(number, interrupt)
    _tell(options, "starting TorchServe ...")
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
        _tell(options, "\n".join(lines))
        _result(
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
            _tell(options, "stopping ...")
            return False
    raise maas.errors.ServingError(f"TorchServe ended by itself with exit code {code}")


def call(options: Namespace) -> bool:
    from maas.client import Client

    with Client(options.model, url=options.url, token=options.token, timeout=options.timeout) as client:
        rows = _read_rows(options)
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
        answers: _Answers = [None] * length
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
    return _print_answers(options, answers, errors)


def sample(options: Namespace) -> bool:
    from maas.data import SAMPLES, write_sample

    path = write_sample(options.name, options.output)
    target = SAMPLES[options.name]
    _tell(options, f"{path}; next: maas fit {path} --target {target} --output artifacts/{options.name}")
    _result(options, {"path": str(path), "target": target})
    return False


def _read_rows(options: Namespace) -> list[Any] | None:
    """Rows written as JSON; None where the data is a table."""
    if options.data != "-" and Path(options.data).suffix.lower() not in (".json", ".jsonl"):
        return None
    try:
        text = sys.stdin.read() if options.data == "-" else Path(options.data).read_text("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{options.data} is not UTF-8") from error
    if not text.strip():
        raise DataError("there are no rows: the input is empty")
    with contextlib.suppress(ValueError, RecursionError):
        value = _strict_json(text)
        return value if isinstance(value, list) else [value]
    rows = []
    for number, line in enumerate(text.splitlines(), 1):
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


def _print_answers(options: Namespace, answers: _Answers, errors: dict[int, RowError]) -> bool:
    if options.json:
        listed = [{"row": row, "field": errors[row].field, "detail": errors[row].detail} for row in sorted(errors)]
        _result(options, {"predictions": answers, "errors": listed})
        return bool(errors)
    for row, answer in enumerate(answers):
        if row in errors:
            print("null", flush=True)
            print(f"maas: {errors[row]}", file=sys.stderr, flush=True)
        else:
            print(json.dumps(answer, ensure_ascii=False))
    return bool(errors)


def _pair(text: str, option: str) -> tuple[str, str]:
    name, mark, value = text.partition("=")
    if not mark or not name:
        raise DataError(f"{option} wants NAME=VALUE, got {show(text)}")
    return name, value


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _tell(options: Namespace, text: str) -> None:
    if not options.json:
        print(text, flush=True)


def _result(options: Namespace, value: Any) -> None:
    if options.json:
        print(json.dumps(value, ensure_ascii=False), flush=True)
