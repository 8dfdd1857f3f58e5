"""An evaluation out of a card, which may come from anyone: each value is checked before it is used."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from maas.errors import FormatError, show
from maas.metrics._calibration import Calibration
from maas.metrics._comparison import Comparison
from maas.metrics._groups import Grouping, GroupScore

_Value = TypeVar("_Value")


def read_evaluation(state: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `Evaluation` out of its JSON form. What earlier versions did not write has its default.

    Raises:
        FormatError: no maas wrote this.
    """
    try:
        return _evaluation(state)
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"the card does not hold an evaluation: {type(error).__name__} {error}") from error


def _evaluation(state: Mapping[str, Any]) -> dict[str, Any]:
    labels, confusion = state["labels"], state["confusion"]
    if (labels is None) != (confusion is None):
        raise FormatError("an evaluation has labels and a confusion, or neither")
    if labels is not None:
        labels = tuple(map(_text, labels))
        confusion = tuple(tuple(map(_count, row)) for row in confusion)
        if not labels:
            raise FormatError("an evaluation with labels must have one at least")
        if len(confusion) != len(labels) or any(len(row) != len(labels) for row in confusion):
            raise FormatError(f"a confusion of {len(labels)} classes must be {len(labels)} x {len(labels)} counts")
    scores, primary = _scores(state["scores"]), _text(state["primary"])
    if primary not in scores:
        raise FormatError(f"the primary score {show(primary)} is not among the scores")
    return {
        "task": _text(state["task"]),
        "num_rows": _count(state["num_rows"]),
        "num_duplicates": _optional(_count, state["num_duplicates"]),
        "scores": scores,
        "primary": primary,
        "baselines": tuple(map(_comparison, state["baselines"])),
        "labels": labels,
        "confusion": confusion,
        "fingerprint": _text(state["fingerprint"]),
        "interval": _optional(_interval, state.get("interval")),
        "calibration": _optional(_calibration, state.get("calibration")),
        "groups": tuple(map(_grouping, state.get("groups", ()))),
    }


def _comparison(state: Mapping[str, Any]) -> Comparison:
    numbers = {name: _number(state[name]) for name in ("difference", "low", "high")}
    return Comparison(_text(state["name"]), _scores(state["scores"]), **numbers)


def _calibration(state: Mapping[str, Any]) -> Calibration:
    confidence, accuracy = (tuple(map(_number, state[name])) for name in ("confidence", "accuracy"))
    count = tuple(map(_count, state["count"]))
    if not len(confidence) == len(accuracy) == len(count):
        raise FormatError("the bins of a calibration must have a confidence, an accuracy and a count each")
    if not count or min(count) < 1:
        raise FormatError("a calibration must have a bin, and each of them a row")
    return Calibration(_number(state["error"]), confidence, accuracy, count)


def _grouping(state: Mapping[str, Any]) -> Grouping:
    groups = tuple(map(_group, state["groups"]))
    if not groups:
        raise FormatError("a grouping must have a group")
    return Grouping(_text(state["name"]), _text(state["primary"]), groups)


def _group(state: Mapping[str, Any]) -> GroupScore:
    numbers = [_optional(_number, state[name]) for name in ("score", "low", "high", "gap", "gap_low", "gap_high")]
    known = [number is not None for number in numbers]
    if known != sorted(known, reverse=True) or known[0] != known[2] or known[4] != known[5]:
        raise FormatError(
            "a group has a score with its interval, then a gap, then the gap's interval, or fewer of these"
        )
    return GroupScore(_text(state["value"]), _count(state["num_rows"]), *numbers)


def _scores(state: Mapping[str, Any]) -> dict[str, float | None]:
    return {_text(name): _optional(_number, value) for name, value in state.items()}


def _interval(state: Any) -> tuple[float, float]:
    low, high = map(_number, state)
    return low, high


def _optional(read: Callable[[Any], _Value], value: Any) -> _Value | None:
    return None if value is None else read(value)


def _text(value: Any) -> str:
    if type(value) is not str:
        raise FormatError(f"an evaluation must have a string where it has {show(value)}")
    return value


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**63:
        raise FormatError(f"an evaluation must have a count where it has {show(value)}")
    return value


def _number(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise FormatError(f"an evaluation must have a finite number where it has {show(value)}")
    return float(value)
