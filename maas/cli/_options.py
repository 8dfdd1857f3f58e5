"""Options that several commands have, and the values of options."""

from __future__ import annotations

import argparse
import json
import re
from typing import Any

from maas.errors import DataError, show

LABELLED = "rows with their target: .csv, .tsv or .parquet, for images or sounds a folder, for sequences a .ts file"


def add_command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, text: str, examples: str
) -> argparse.ArgumentParser:
    return commands.add_parser(
        name,
        help=text,
        description=text[0].upper() + text[1:] + ".",
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_imports(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--import", dest="imports", action="append", default=[], metavar="MODULE", help="module that registers networks"
    )


def add_labelled(command: argparse.ArgumentParser) -> None:
    command.add_argument("--target", metavar="COLUMN", help="the target's column (default: its name in training)")
    add_separator(command)


def add_separator(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--separator", default="|", metavar="TEXT", help="between the labels of a row (default: %(default)s)"
    )


def add_groups(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--groups", action="append", default=[], metavar="COLUMN", help="score the groups of a column one by one"
    )


def add_reading(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--missing", action="append", default=[], metavar="TEXT", help="a further missing value, as '?'"
    )
    command.add_argument("--delimiter", metavar="C", help="of a CSV (default: comma)")
    command.add_argument("--encoding", default="utf8", help="of a CSV (default: %(default)s)")
    add_json(command)


def reading_of(options: argparse.Namespace) -> dict[str, Any]:
    """What `add_reading` has added, as `maas.data.read_table` takes it."""
    return {name: getattr(options, name) for name in ("missing", "delimiter", "encoding")}


def add_public_keys(command: argparse.ArgumentParser, text: str) -> None:
    command.add_argument(
        "--public-key", dest="public_keys", action="append", metavar="PEM", help=f"a file of public keys; {text}"
    )


def add_json(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="print one JSON document")


def pair(text: str, option: str) -> tuple[str, str]:
    """NAME=VALUE as name and value."""
    name, mark, value = text.partition("=")
    if not mark or not name:
        raise DataError(f"{option} wants NAME=VALUE, got {show(text)}")
    return name, value


def value_of(text: str) -> Any:
    """A value written as JSON; a text where it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def counts(text: str) -> list[int]:
    """Positive integers with commas between, each once, in order: for `type=`."""
    if not re.fullmatch(r"[1-9]\d{0,8}(,[1-9]\d{0,8})*", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"wants positive integers with commas between, such as 1,2, got {show(text)}")
    return sorted({int(one) for one in text.split(",")})
