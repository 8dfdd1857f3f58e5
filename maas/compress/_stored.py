"""A search out of a card, which may come from anyone: each value is checked before it is used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from maas.errors import FormatError, show

_MOST = 100


def read_search(state: Any) -> dict[str, Any]:
    """The arguments of `Search` out of its JSON form, its candidates as dicts.

    Raises:
        FormatError: no maas wrote this.
    """
    found = _read(state, _SEARCH)
    candidates = found["candidates"]
    if type(candidates) is not list or not 1 <= len(candidates) <= _MOST:
        raise FormatError(f"a search has 1 to {_MOST} candidates, got {show(candidates)}")
    found["candidates"] = [_read(one, _CANDIDATE) for one in candidates]
    for one in found["candidates"]:
        one["measured"] = None if one["measured"] is None else _read(one["measured"], _MEASURED)
        if len({one["score"] is None, one["drop"] is None, one["measured"] is None, one["skipped"] is not None}) > 1:
            raise FormatError(f"a candidate was measured or skipped, {show(one['name'])} neither or both")
    if len({len(one["measured"]["rounds_ms"]) for one in found["candidates"] if one["measured"]}) > 1:
        raise FormatError("the candidates of a search are measured in as many rounds each")
    first = found["candidates"][0]
    if first["measured"] is None or first["drop"] != 0:
        raise FormatError("the first candidate of a search is the model as it is, measured, with a drop of 0")
    found["tested"] = None if found["tested"] is None else _read(found["tested"], _TESTED)
    return found


def _read(state: Any, fields: Mapping[str, Callable[[Any], Any]]) -> dict[str, Any]:
    if not isinstance(state, Mapping) or not fields.keys() <= state.keys():
        raise FormatError(f"the card does not hold a search: wants {', '.join(fields)}, got {show(state)}")
    return {name: read(state[name]) for name, read in fields.items()}


def _text(value: Any) -> str:
    if type(value) is not str:
        raise FormatError(f"a search must have a string where it has {show(value)}")
    return value


def _flag(value: Any) -> bool:
    if type(value) is not bool:
        raise FormatError(f"a search must have true or false where it has {show(value)}")
    return value


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**63:
        raise FormatError(f"a search must have a count where it has {show(value)}")
    return value


def _size(value: Any) -> int:
    if type(value) is not int or not 0 < value < 2**63:
        raise FormatError(f"a search must have a count above 0 where it has {show(value)}")
    return value


def _number(value: Any) -> float:
    if type(value) not in (int, float) or not abs(value) < 1e100:
        raise FormatError(f"a search must have a finite number where it has {show(value)}")
    return float(value)


def _time(value: Any) -> float:
    if _number(value) <= 0:
        raise FormatError(f"a search must have a time above 0 where it has {show(value)}")
    return float(value)


def _times(value: Any) -> tuple[float, ...]:
    if not isinstance(value, (list, tuple)) or not 1 <= len(value) <= _MOST:
        raise FormatError(f"a search must have the times of 1 to {_MOST} rounds where it has {show(value)}")
    return tuple(map(_time, value))


def _optional(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else read(value)


def _as_given(value: Any) -> Any:
    return value


def _objective(value: Any) -> str:
    if value not in ("latency", "size"):
        raise FormatError(f"a search is for latency or size, got {show(value)}")
    return str(value)


_SEARCH: Mapping[str, Callable[[Any], Any]] = {
    "primary": _text,
    "greater_is_better": _flag,
    "max_drop": _number,
    "optimize": _objective,
    "num_rows": _count,
    "fingerprint": _text,
    "machine": _text,
    "candidates": _as_given,
    "tested": _as_given,
}
_CANDIDATE: Mapping[str, Callable[[Any], Any]] = {
    "name": _text,
    "score": _optional(_number),
    "drop": _optional(_number),
    "measured": _as_given,
    "skipped": _optional(_text),
}
_MEASURED: Mapping[str, Callable[[Any], Any]] = {
    "weights_bytes": _size,
    "artifact_bytes": _size,
    "memory_bytes": _optional(_number),
    "p50_ms": _time,
    "p99_ms": _time,
    "p50_ms_of_8": _time,
    "p99_ms_of_8": _time,
    "rounds_ms": _times,
}
_TESTED: Mapping[str, Callable[[Any], Any]] = {
    "before": _number,
    "after": _number,
    "num_rows": _count,
    "fingerprint": _text,
}
