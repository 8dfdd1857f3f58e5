"""Whether clients of one version can go on with another: what would break them, with the fields named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from maas.artifact import Artifact
from maas.errors import show
from maas.schema import Field, Schema

_MOST_NAMED = 5


def breaks(old: Artifact, new: Artifact) -> list[str]:
    """What clients of `old` would meet if `new` took its place; nothing where they can go on as they are.

    Rows that `old` takes must be taken by `new` in the same meaning, and answers must have the same form and labels.
    More is allowed: new optional fields, null where it was refused, longer texts, other ranges of numbers.
    """
    before, after = (Schema.from_json(one.description["schema"]) for one in (old, new))
    found = [f"field {show(name)} is gone" for name in before.names if name not in after.names]
    for field in after.fields:
        if field.name in before.names:
            found += _of_field(before[field.name], field)
        elif not field.optional:
            found.append(f"field {show(field.name)} is new and must be given")
    return found + _of_answers(old, new)


def _of_field(old: Field, new: Field) -> list[str]:
    name = f"field {show(new.name)}"
    found = [
        f"{name} has the {what} {show(after)}, it had {show(before)}"
        for what, before, after in (
            ("kind", old.kind, new.kind),
            ("type", old.dtype, new.dtype),
            ("shape", str(old.shape), str(new.shape)),
            ("unit", old.unit, new.unit),
        )
        if before != after
    ]
    if old.nullable and not new.nullable:
        found.append(f"{name} may no longer be null")
    if old.optional and not new.optional:
        found.append(f"{name} may no longer be left out")
    has_length = new.dtype in ("string", "bytes") or None in new.shape
    if has_length and new.longest < old.longest:
        found.append(f"{name} may be {new.longest:,} long, it might be {old.longest:,}")
    if old.values is not None and new.values is not None and (gone := _missing(old.values, new.values)):
        found.append(f"{name} no longer knows {gone}")
    return found


def _of_answers(old: Artifact, new: Artifact) -> list[str]:
    found = []
    for what, before, after in (
        ("task", old.description["task"]["kind"], new.description["task"]["kind"]),
        ("target", old.description["target"], new.description["target"]),
    ):
        if before != after:
            found.append(f"the {what} is {show(after)}, it was {show(before)}")
    if found:
        return found
    labels, others = (one.description["task"]["state"].get("classes") for one in (old, new))
    if labels != others:
        gone, more = _missing(labels or [], others or []), _missing(others or [], labels or [])
        found += [f"the answers lack the labels {gone}"] * bool(gone) + [f"the labels {more} are new"] * bool(more)
        return found or ["the labels stand in another order"]
    forms, now = _forms(old), _forms(new)
    for name in sorted(forms.keys() | now.keys()):
        if name not in now:
            found.append(f"the answers lack {show(name)}")
        elif name in forms and forms[name] != now[name] and "null" not in (forms[name], now[name]):
            found.append(f"the answers' {show(name)} is {now[name]}, it was {forms[name]}")
    return found


def _forms(stored: Artifact) -> dict[str, str]:
    """The form of each part of an answer, by the first golden one."""
    return {name: _form(value) for name, value in stored.example["answers"][0].items()}


def _form(value: Any) -> str:
    if isinstance(value, list):
        return f"a list of {len(value)}" + (f", each {_form(value[0])}" if value else "")
    kinds: Mapping[type, str] = {dict: "an object", str: "a text", bool: "true or false", type(None): "null"}
    return kinds.get(type(value), "a number")


def _missing(names: Sequence[Any], among: Sequence[Any]) -> str:
    """Those that are not among others, as an error message shows them."""
    known = set(among)
    gone = [show(one) for one in names if one not in known]
    return ", ".join(gone[:_MOST_NAMED]) + (f" and {len(gone) - _MOST_NAMED} more" if len(gone) > _MOST_NAMED else "")
