"""What commands print."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from typing import Any

from maas.errors import RowError

Answers = list[dict[str, Any] | None]


def print_answers(options: Namespace, answers: Answers, errors: dict[int, RowError]) -> bool:
    if options.json:
        listed = [{"row": row, "field": errors[row].field, "detail": errors[row].detail} for row in sorted(errors)]
        print_json(options, {"predictions": answers, "errors": listed})
        return bool(errors)
    for row, answer in enumerate(answers):
        if row in errors:
            print("null")
            note(errors[row])
        else:
            print(json.dumps(answer, ensure_ascii=False))
    return bool(errors)


def tell(options: Namespace, text: str) -> None:
    """Print for people. Labels and artifacts may come from anyone: what steers a terminal is shown, not obeyed."""
    if not options.json:
        print(shown(text), flush=True)


def shown(text: str, *, but: str = "\n") -> str:
    """A text in which what would steer a terminal is shown, but for some characters."""
    return "".join(one if one.isprintable() or one in but else ascii(one)[1:-1] for one in text)


def note(text: object) -> None:
    """Print for people on standard error, after what was printed before."""
    sys.stdout.flush()
    print(f"maas: {text}", file=sys.stderr, flush=True)


def print_json(options: Namespace, value: Any) -> None:
    if options.json:
        print(json.dumps(value, ensure_ascii=False), flush=True)
