"""maas.training.preflight: what would waste a run is found, and what would not is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas
import pytest
import torch
from torch import nn

import maas
from maas.data import read_table
from maas.errors import DataError
from maas.training import Preflight, preflight

SMALL = maas.recipe(maas.nn.MLP, hidden=(32,), dropout=0.5)


def _frame(rows: int = 80) -> pandas.DataFrame:
    generator = np.random.default_rng(0)
    frame = pandas.DataFrame(generator.normal(size=(rows, 3)), columns=["a", "b", "c"])
    return frame.assign(y=np.where(frame["a"] > 0, "up", "down"))


def _check(frame: pandas.DataFrame, validation: Any = None, recipe: maas.Recipe = SMALL, **options: Any) -> Preflight:
    rows = read_table(frame, target="y")
    return preflight(recipe, rows, validation, **{"device": "cpu", "learning_rate": 0.01, **options})


def _levels(found: Preflight, level: str) -> dict[str, str]:
    return {one.check: one.message for one in found.findings if one.level == level}


def test_rows_that_are_fine_are_found_fine() -> None:
    found = _check(_frame())
    assert found.is_fine
    assert {one.level for one in found.findings} == {"fine"}
    assert [one.check for one in found.findings] == ["target", "data", "duplicates", "overfit"]
    assert str(found).startswith("fine     target      2 classes, the rarest of ")
    assert found.to_json()["findings"][0] == vars(found.findings[0])


def test_every_generator_is_left_as_it_was() -> None:
    before = torch.get_rng_state()
    _check(_frame())
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("change", "check", "message"),
    [
        ({"y": "up"}, "target", "has one class only, 'up'"),
        ({"y": [1.5] * 80}, "target", "'y' is 1.5 in every row: there is nothing to learn"),
    ],
)
def test_a_target_that_cannot_be_learned_is_an_error(change: dict[str, Any], check: str, message: str) -> None:
    found = _check(_frame().assign(**change), 0.2)
    assert not found.is_fine
    assert message in _levels(found, "error")[check]


def test_rare_classes_are_named() -> None:
    frame = _frame().assign(y=["rare"] * 4 + ["a", "b"] * 38)
    assert "'rare' (4) of 3 classes have fewer than 10 rows" in _levels(_check(frame, 0), "warning")["target"]


def test_fields_that_say_nothing_are_named() -> None:
    frame = _frame().assign(flat=1.0, kind="x", gone=[1.0, 2.0] + [np.nan] * 78)
    messages = [one.message for one in _check(frame, 0).findings if one.check == "data"]
    assert any("mostly missing: gone (98%); drop them" in one for one in messages)
    assert any("the same in every row: flat, kind; drop them" in one for one in messages)


def test_rows_in_both_parts_and_copies_are_counted() -> None:
    frame = _frame()
    torn = frame.iloc[:3].assign(y=np.where(frame["y"][:3] == "up", "down", "up"))
    with pytest.warns(UserWarning, match="8 validation rows stand in the training rows too"):
        found = _check(frame, read_table(pandas.concat([frame.iloc[3:8], torn]), target="y"))
    message = "8 validation rows stand among the training rows, 3 of them with another target"
    assert message in _levels(found, "warning")["duplicates"]
    again = _check(pandas.concat([frame, frame.iloc[:5]]), 0)
    assert "5 training rows repeat others, or contradict them" in _levels(again, "warning")["duplicates"]


def test_a_network_that_cannot_learn_one_batch_is_told() -> None:
    """By hand: half of the rows are copies of the others with the other label, so that the least loss is ln 2."""
    frame = _frame(16)
    torn = pandas.concat([frame, frame.assign(y=np.where(frame["y"] == "up", "down", "up"))])
    found = _check(torn, 0)
    assert "one batch was not learned by heart" in _levels(found, "warning")["overfit"]
    assert "one batch was not learned" in _levels(_check(_frame(), 0, learning_rate=1e-9), "warning")["overfit"]
    assert "try a lower learning_rate" in _levels(_check(_frame(), 0, learning_rate=1e30), "error")["overfit"]


@maas.network("tests.preflight.idle")
class Idle(nn.Module):
    """A layer that nothing goes through."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.idle = nn.Linear(in_features, 4)
        self.output = nn.Linear(in_features, out_features)

    @classmethod
    def sizes(cls, inputs: Any, num_outputs: int) -> dict[str, Any]:
        return {"in_features": inputs["x"].shape[0], "out_features": num_outputs}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        outputs: torch.Tensor = self.output(x)
        return outputs


def test_weights_that_nothing_reaches_are_named() -> None:
    found = _check(_frame(), 0, recipe=maas.recipe(Idle))
    assert any(
        "nothing reaches idle.weight, idle.bias: these weights do not learn" in one.message for one in found.findings
    )


def test_a_bad_argument_is_an_error_of_its_own() -> None:
    with pytest.raises(DataError, match="`batch_size` must be a positive integer, got 0"):
        _check(_frame(), batch_size=0)
    with pytest.raises(DataError, match=r"`recipe` must be a recipe, such as .*, got 'mlp'"):
        _check(_frame(), recipe="mlp")  # type: ignore[arg-type]
    fewer = read_table(_frame()[["a", "y"]], target="y")
    assert "`validation` must have the fields of `train`" in str(_check(_frame(), fewer))
