"""What commands read and print."""

from __future__ import annotations

import contextlib
import json
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any, NoReturn

from maas.errors import DataError, RowError, show

Answers = list[dict[str, Any] | None]


def read_rows(options: Namespace) -> list[Any] | None:
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
        value = strict_json(text)
        return value if isinstance(value, list) else [value]
    rows = []  # of lines that end in one way: a text may hold what else Python takes for the end of one
    for number, line in enumerate(text.split("\n"), 1):
        try:
            rows += [strict_json(line)] if line.strip() else []
        except (ValueError, RecursionError) as error:
            raise DataError(f"line {number} is neither a JSON row nor part of a JSON list: {show(line)}") from error
    return rows


def strict_json(text: str) -> Any:
    """JSON without NaN and infinity, which a server would refuse."""

    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


def print_answers(options: Namespace, answers: Answers, errors: dict[int, RowError]) -> bool:
    if options.json:
        listed = [{"row": row, "field": errors[row].field, "detail": errors[row].detail} for row in sorted(errors)]
        print_json(options, {"predictions": answers, "errors": listed})
        return bool(errors)
    for row, answer in enumerate(answers):
        if row in errors:
            print("null", flush=True)
            print(f"maas: {errors[row]}", file=sys.stderr, flush=True)
        else:
            print(json.dumps(answer, ensure_ascii=False))
    return bool(errors)


def pair(text: str, option: str) -> tuple[str, str]:
    name, mark, value = text.partition("=")
    if not mark or not name:
        raise DataError(f"{option} wants NAME=VALUE, got {show(text)}")
    return name, value


def value_of(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def tell(options: Namespace, text: str) -> None:
    """Print for people. Labels and artifacts may come from anyone: what steers a terminal is shown, not obeyed."""
    if not options.json:
        shown = ("".join(one if one.isprintable() else ascii(one)[1:-1] for one in line) for line in text.split("\n"))
        print("\n".join(shown), flush=True)


def print_json(options: Namespace, value: Any) -> None:
    if options.json:
        print(json.dumps(value, ensure_ascii=False), flush=True)
