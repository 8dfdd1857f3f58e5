"""What breaks the clients of one version when another takes its place."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from maas import artifact
from maas.artifact import Artifact
from maas.registry import breaks

Change = Callable[[dict[str, Any]], Any]


def changed(stored: Artifact, change: Change) -> Artifact:
    """The artifact with another description or golden answer: `change` gets both under one roof."""
    both = copy.deepcopy({**stored.description, "answer": stored.example["answers"][0]})
    change(both)
    answer = both.pop("answer")
    return replace(stored, description=both, example={**stored.example, "answers": [answer]})


def set_field(**values: Any) -> Change:
    return lambda both: both["schema"][0].update(values)


def text(**more: Any) -> Change:
    return set_field(kind="text", dtype="string", range=None, **more)


BREAKS: list[tuple[Change, Change, list[str]]] = [
    (set_field(), lambda it: it["schema"].pop(0), ["field 'alcohol' is gone"]),
    (lambda it: it["schema"].pop(0), set_field(), ["field 'alcohol' is new and must be given"]),
    (set_field(), set_field(kind="numbers"), ["field 'alcohol' has the kind 'numbers', it had 'numeric'"]),
    (set_field(), set_field(dtype="boolean"), ["field 'alcohol' has the type 'boolean', it had 'number'"]),
    (set_field(), set_field(shape=[2]), ["field 'alcohol' has the shape '(2,)', it had '()'"]),
    (set_field(unit="%"), set_field(unit="g/l"), ["field 'alcohol' has the unit 'g/l', it had '%'"]),
    (set_field(nullable=True), set_field(), ["field 'alcohol' may no longer be null"]),
    (
        set_field(nullable=True, optional=True),
        set_field(nullable=True),
        ["field 'alcohol' may no longer be left out"],
    ),
    (text(longest=500), text(longest=60), ["field 'alcohol' may be 60 long, it might be 500"]),
    (
        set_field(kind="categorical", dtype="label", values=[*"abcdefgh"]),
        set_field(kind="categorical", dtype="label", values=["a", "z"]),
        ["field 'alcohol' no longer knows 'b', 'c', 'd', 'e', 'f' and 2 more"],
    ),
    (set_field(), lambda it: it.update(target="grower"), ["the target is 'grower', it was 'cultivar'"]),
    (
        set_field(),
        lambda it: it["task"].update(kind="regression", state={}),
        ["the task is 'regression', it was 'classification'"],
    ),
    (
        set_field(),
        lambda it: it["task"]["state"].update(classes=[0, 1, 5]),
        ["the answers lack the labels 2", "the labels 5 are new"],
    ),
    (
        set_field(),
        lambda it: it["task"]["state"].update(classes=[2, 1, 0]),
        ["the labels stand in another order"],
    ),
    (set_field(), lambda it: it["answer"].pop("probabilities"), ["the answers lack 'probabilities'"]),
    (
        lambda it: it["answer"].update(forecast=[[1.0, 2.0]] * 3),
        lambda it: it["answer"].update(forecast=[1.0] * 4),
        ["the answers' 'forecast' is a list of 4, each a number, it was a list of 3, each a list of 2, each a number"],
    ),
]


@pytest.mark.parametrize(("old", "new", "says"), BREAKS)
def test_what_breaks_clients(wine_artifact: Path, old: Change, new: Change, says: list[str]) -> None:
    stored = artifact.read(wine_artifact)
    assert breaks(changed(stored, old), changed(stored, new)) == says


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (set_field(), set_field()),
        (set_field(), set_field(range=[0.0, 1.0])),  # informs: values beyond are answered
        (set_field(), set_field(nullable=True, optional=True)),
        (lambda it: it["schema"].pop(0), set_field(nullable=True, optional=True)),
        (text(longest=60), text(longest=500)),
        (set_field(longest=500), set_field(longest=60)),  # of a number it means nothing
        (
            set_field(kind="categorical", dtype="label", values=["a"]),
            set_field(kind="categorical", dtype="label", values=["b", "a"]),
        ),
        (set_field(), lambda it: it["schema"].reverse()),
        (set_field(), lambda it: it["answer"].update(interval=[1.0, 2.0])),
    ],
)
def test_what_does_not(wine_artifact: Path, old: Change, new: Change) -> None:
    stored = artifact.read(wine_artifact)
    assert breaks(changed(stored, old), changed(stored, new)) == []
