"""JSON read strictly: finite numbers, no name twice in an object, no deeper than it may be."""

from __future__ import annotations

import json
from typing import Any

import orjson

from maas.errors import show
from maas.serving.protocols._limits import MOST_DEPTH
from maas.serving.protocols._problems import Problem, printable

Raw = bytes | bytearray | memoryview


def parse_json(body: Raw, what: str = "the body") -> Any:
    """The value, by orjson, which refuses NaN and infinity. `check_strict` looks at the rest."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Problem("not-json", f"{printable(what)} must be JSON: {printable(str(error))}") from error


def check_strict(value: Any, body: bytes | bytearray) -> None:
    """Refuse what orjson lets pass: a name twice in an object, of which it takes the last, and deep nesting.

    Most bodies are told right by counting: each name has one colon, each array and object one opening bracket. Only
    where strings hold some too are the names read again, one by one.

    Args:
        value: what orjson made of the body.
        body: the text.

    Raises:
        Problem: a name is repeated, or the nesting is too deep.
    """
    colons = body.count(b":")
    opened = body.count(b"[") + body.count(b"{")
    if opened <= MOST_DEPTH and type(value) is dict and len(value) == colons:
        return
    level = [value] if isinstance(value, (dict, list)) else []
    names = seen = depth = 0
    while level:
        depth += 1
        if depth > MOST_DEPTH:
            raise Problem("too-deep", f"JSON may be nested {MOST_DEPTH} levels deep; send the rows flatter")
        names += sum(len(one) for one in level if type(one) is dict)
        seen += len(level)
        if seen == opened:  # no bracket is left for another level: the numbers need not be looked at
            break
        level = [
            child
            for one in level
            for child in (one.values() if type(one) is dict else one)
            if type(child) is dict or type(child) is list
        ]
    if names != colons:
        json.loads(body, object_pairs_hook=_check_unique, parse_int=len, parse_float=len)


def _check_unique(pairs: list[tuple[str, Any]]) -> None:
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            detail = f"the name {show(name)} stands twice in one object; send it once"
            raise Problem("repeated-name", detail, field=printable(name))
        seen.add(name)
