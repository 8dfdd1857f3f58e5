"""What differs between two versions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from maas.artifact import Artifact
from maas.registry._compatible import breaks


def difference(old: Artifact, new: Artifact) -> dict[str, Any]:
    """What differs, each as a pair of before and after; None stands for what is not there.

    `network` holds the recipe's kind and arguments; `preprocess` and `task` what they learned, without arrays;
    `transforms` both lists; `fields` for each field its changed properties; `scores` those on test rows; `breaks` what
    clients of the old one would meet. A part that is the same is left out.
    """
    one, other = old.description, new.description
    found: dict[str, Any] = {
        "network": _pairs(_recipe(one), _recipe(other)),
        "preprocess": _pairs(one["preprocess"], other["preprocess"]),
        "task": _pairs({"target": one["target"], **one["task"]}, {"target": other["target"], **other["task"]}),
        "transforms": [] if one["transforms"] == other["transforms"] else [one["transforms"], other["transforms"]],
        "fields": _fields(one, other),
        "scores": _pairs(_scores(old.card), _scores(new.card)),
        "breaks": breaks(old, new),
    }
    return {name: value for name, value in found.items() if value}


def _pairs(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, list[Any]]:
    return {name: [old.get(name), new.get(name)] for name in [*old, *new] if old.get(name) != new.get(name)}


def _recipe(description: Mapping[str, Any]) -> dict[str, Any]:
    return {"kind": description["recipe"]["kind"], **description["recipe"]["arguments"]}


def _fields(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    old, new = ({field["name"]: field for field in it["schema"]} for it in (one, other))
    return {name: found for name in [*old, *new] if (found := _pairs(old.get(name, {}), new.get(name, {})))}


def _scores(card: Mapping[str, Any]) -> dict[str, Any]:
    evaluation = card.get("evaluation") or {}
    return {"test rows": evaluation.get("fingerprint"), **evaluation.get("scores", {})} if evaluation else {}
