"""What may be searched, and what is refused before the first fit."""

from __future__ import annotations

from typing import Any

import pytest

import maas
from maas.errors import DataError
from maas.tuning import Range
from maas.tuning._given import settings_of_fit
from maas.tuning._space import Space

RECIPE = maas.recipe(maas.nn.MLP, hidden=(6,), activation="gelu")


def space(**values: Any) -> Space:
    return Space.of(values, RECIPE, settings_of_fit())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((2, 1), "`low` of a range must be below `high`, got 2 and 1"),
        ((1, 1), "`low` of a range must be below `high`, got 1 and 1"),
        (("a", 1), "`low` of a range must be a finite number, got 'a'"),
        ((0, float("inf")), "`high` of a range must be a finite number, got inf"),
        ((0, True), "`high` of a range must be a finite number, got True"),
        ((0.0, 1.0, True), "`low` of a range with log=True must be above 0, got 0.0"),
    ],
)
def test_ranges_that_are_none(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Range(*arguments)


def test_settings_and_arguments_are_told_apart() -> None:
    found = space(hidden=[(8,), (4, 4)], learning_rate=Range(1e-3, 1e-1, log=True), batch_size=Range(8, 32))
    drawn = {"hidden": "[4, 4]", "learning_rate": 0.02, "batch_size": 9}
    recipe, settings = found.apply(found.settings(drawn))
    assert recipe == maas.recipe(maas.nn.MLP, hidden=(4, 4), activation="gelu")
    assert settings == {"learning_rate": 0.02, "batch_size": 9}
    distributions = found.distributions
    assert str(distributions["batch_size"]) == "IntDistribution(high=32, log=False, low=8, step=1)"
    assert str(distributions["learning_rate"]) == "FloatDistribution(high=0.1, log=True, low=0.001, step=None)"


def test_choices_need_not_be_json() -> None:
    smooth = maas.task.Classification.with_options(label_smoothing=0.1)
    found = space(task=["classification", smooth])
    assert [found.settings(one)["task"] for one in found.every(2)] == ["classification", smooth]


def test_all_choices_are_listed_where_they_are_few() -> None:
    found = space(dropout=[0.0, 0.5], hidden=[(8,), (4,), (2,)])
    assert len(found.every(6)) == 6
    assert found.every(5) == []
    assert space(dropout=Range(0.0, 0.5)).every(100) == []


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "`space` is empty; name at least one setting of maas.fit or argument of the network"),
        ({"hiden": [1]}, r"`space` names 'hiden', which is no argument of MLP \(in_features, .*hidden, .*\) "
         r"and no setting of maas.fit to search \(task, .*learning_rate, "),
        ({"seed": [1]}, "`space` names 'seed', which is no argument of MLP"),
        ({"epochs": 3}, "`space` of 'epochs' must be a list of choices or a maas.tuning.Range.*, got 3"),
        ({"dropout": (0.0, 0.5)}, "`space` of 'dropout' must be a list of choices or a maas.tuning.Range.*, got tup"),
        ({"dropout": []}, "`space` of 'dropout' has no choice; give at least one"),
        ({"dropout": [0.1, 0.1]}, "`space` of 'dropout' has a choice twice: 0.1, 0.1"),
    ],
)  # fmt: skip
def test_spaces_that_are_none(values: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        space(**values)


def test_a_space_is_a_mapping() -> None:
    with pytest.raises(DataError, match="`space` must be a mapping from names to choices or ranges, such as"):
        Space.of([1], RECIPE, settings_of_fit())


@maas.network("test_space.ambiguous")
class Ambiguous(maas.nn.MLP):
    def __init__(self, in_features: int, out_features: int, epochs: int = 1) -> None:
        super().__init__(in_features, out_features)


def test_a_name_that_means_two_things() -> None:
    with pytest.raises(DataError, match="`space` names 'epochs', which is an argument of Ambiguous and a setting of"):
        Space.of({"epochs": [1]}, maas.recipe(Ambiguous), settings_of_fit())
