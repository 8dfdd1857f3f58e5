"""Evaluations out of cards: of earlier versions, and hostile ones."""

from __future__ import annotations

import copy
import json
import math
from typing import Any

import numpy as np
import pytest

from maas.errors import FormatError
from maas.metrics import Evaluation, classification_scores


def evaluation() -> Evaluation:
    generator = np.random.default_rng(0)
    truth = np.arange(90) % 3
    one, other = (classification_scores(truth, generator.dirichlet(np.ones(3), 90), list("abc")) for _ in range(2))
    groups = {"side": np.array(["left", "right"] * 45, object)}
    return Evaluation.compare("classification", one, {"majority": other}, fingerprint="f" * 64, groups=groups)


STATE: dict[str, Any] = json.loads(json.dumps(evaluation().to_json()))


def test_json_round_trip() -> None:
    assert Evaluation.from_json(STATE) == evaluation()


def test_an_evaluation_of_the_first_format_has_the_new_parts_empty() -> None:
    old = {name: value for name, value in STATE.items() if name not in ("interval", "calibration", "groups")}
    found = Evaluation.from_json(old)
    assert (found.interval, found.calibration, found.groups) == (None, None, ())
    assert found.scores == evaluation().scores
    assert "class by class" in str(found)


def test_what_a_later_version_adds_is_passed_over() -> None:
    assert Evaluation.from_json({**STATE, "fairness": 1}) == evaluation()


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["scores"], 3, "does not hold an evaluation: AttributeError"),
        (["scores", "accuracy"], "high", "must have a finite number where it has 'high'"),
        (["scores", "accuracy"], math.nan, "must have a finite number where it has nan"),
        (["scores", "accuracy"], 10**400, "does not hold an evaluation: OverflowError"),
        (["primary"], "speed", "primary score 'speed' is not among"),
        (["num_rows"], -1, "must have a count where it has -1"),
        (["num_rows"], True, "must have a count where it has True"),
        (["labels"], None, "labels and a confusion, or neither"),
        (["labels"], ["a"], "a confusion of 1 classes must be 1 x 1"),
        (["labels", 0], {}, "must have a string where it has dict of 0"),
        (["confusion", 1], [1], "must be 3 x 3 counts"),
        (["baselines"], 7, "TypeError"),
        (["baselines", 0, "low"], None, "must have a finite number where it has None"),
        (["interval"], [1.0], "ValueError"),
        (["calibration", "count"], [1], "a confidence, an accuracy and a count each"),
        (["calibration", "count"], [0] * len(STATE["calibration"]["count"]), "must have a bin, and each of them a row"),
        (["calibration"], {"error": 0, "confidence": [], "accuracy": [], "count": []}, "must have a bin"),
        (["groups", 0, "groups"], [], "a grouping must have a group"),
        (["groups", 0, "groups", 0, "gap_low"], None, "a score with its interval, then a gap"),
        (["groups", 0, "groups", 0, "value"], ["x"], "must have a string where it has list of 1"),
    ],
)
def test_a_hostile_evaluation_is_refused(path: list[Any], value: Any, message: str) -> None:
    state = copy.deepcopy(STATE)
    inner: Any = state
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    with pytest.raises(FormatError, match=message):
        Evaluation.from_json(state)


def test_labels_without_a_label_are_refused() -> None:
    with pytest.raises(FormatError, match="an evaluation with labels must have one at least"):
        Evaluation.from_json({**STATE, "labels": [], "confusion": []})


@pytest.mark.parametrize("state", [None, [], {}, "x"])
def test_what_is_no_evaluation_is_refused(state: Any) -> None:
    with pytest.raises(FormatError, match="does not hold an evaluation"):
        Evaluation.from_json(state)
