"""Which settings to try: lists of choices and ranges, by name."""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

from maas.errors import DataError, show
from maas.nn import Recipe, network_class

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included: integers where both ends are, else any.

    Args:
        low, high: the ends, finite.
        log: draw the logarithm evenly, as suits a learning rate; `low` is then above 0.

    Raises:
        DataError: the ends are none of a range.

    >>> Range(1e-4, 1e-1, log=True)
    Range(low=0.0001, high=0.1, log=True)
    """

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            value = getattr(self, name)
            if type(value) not in (int, float) or not math.isfinite(value):
                raise DataError(f"`{name}` of a range must be a finite number, got {show(value)}")
        if self.low >= self.high:
            raise DataError(f"`low` of a range must be below `high`, got {self.low} and {self.high}")
        if self.log and self.low <= 0:
            raise DataError(f"`low` of a range with log=True must be above 0, got {self.low}")

    @property
    def distribution(self) -> BaseDistribution:
        """The range as Optuna takes it."""
        from optuna import distributions

        if type(self.low) is int and type(self.high) is int:
            return distributions.IntDistribution(self.low, self.high, log=self.log)
        return distributions.FloatDistribution(self.low, self.high, log=self.log)


@dataclass(frozen=True)
class Space:
    """What is tried, checked.

    Args:
        recipe: the network, whose arguments the space may set.
        ranges: by name.
        choices: by name the values, each by the text that stands for it in a storage.
    """

    recipe: Recipe
    ranges: Mapping[str, Range]
    choices: Mapping[str, Mapping[str, Any]]

    @classmethod
    def of(cls, space: Any, recipe: Recipe, settings: list[str]) -> Space:
        """Check a mapping from names to lists or ranges.

        Args:
            space: as the user gave it.
            recipe: whose network's arguments may be named.
            settings: the names of settings of `maas.fit` that may be named.

        Raises:
            DataError: it names nothing, or something else, or its values are neither choices nor a range.
        """
        if not isinstance(space, Mapping):
            raise DataError(
                f"`space` must be a mapping from names to choices or ranges, such as "
                f"{{'learning_rate': maas.tuning.Range(1e-4, 1e-1, log=True)}}, got {show(space)}"
            )
        if not space:
            raise DataError("`space` is empty; name at least one setting of maas.fit or argument of the network")
        network = network_class(recipe.kind)
        arguments = [name for name in inspect.signature(network).parameters if name != "seed"]
        ranges, choices = {}, {}
        for name, values in space.items():
            if name not in arguments and name not in settings:
                raise DataError(
                    f"`space` names {show(name)}, which is no argument of {network.__name__} ({', '.join(arguments)}) "
                    f"and no setting of maas.fit to search ({', '.join(settings)})"
                )
            if name in arguments and name in settings:
                raise DataError(
                    f"`space` names {show(name)}, which is an argument of {network.__name__} and a setting of "
                    f"maas.fit; set one of them and rename the argument"
                )
            if isinstance(values, Range):
                ranges[name] = values
            elif isinstance(values, list):
                choices[name] = _by_text(name, values)
            else:
                raise DataError(
                    f"`space` of {show(name)} must be a list of choices or a maas.tuning.Range(low, high), got "
                    f"{show(values)}"
                )
        return cls(recipe, ranges, choices)

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        from optuna.distributions import CategoricalDistribution

        return {
            **{name: one.distribution for name, one in self.ranges.items()},
            **{name: CategoricalDistribution(list(values)) for name, values in self.choices.items()},
        }

    def every(self, most: int) -> list[dict[str, Any]]:
        """All that the space holds, as `settings` takes them, where these are at most so many; else nothing."""
        if self.ranges or math.prod(map(len, self.choices.values())) > most:
            return []
        return [dict(zip(self.choices, values, strict=True)) for values in product(*self.choices.values())]

    def settings(self, drawn: Mapping[str, Any]) -> dict[str, Any]:
        """The values that were drawn, choices by what their texts stand for."""
        return {name: self.choices[name][value] if name in self.choices else value for name, value in drawn.items()}

    def apply(self, chosen: Mapping[str, Any]) -> tuple[Recipe, dict[str, Any]]:
        """The recipe and the settings of `maas.fit` that were chosen.

        Raises:
            RecipeError: the network takes no such argument.
        """
        arguments = inspect.signature(network_class(self.recipe.kind)).parameters
        of_recipe = {name: value for name, value in chosen.items() if name in arguments}
        of_fit = {name: value for name, value in chosen.items() if name not in arguments}
        return self.recipe.with_arguments(**of_recipe), of_fit

    def to_json(self) -> dict[str, Any]:
        return {
            **{name: [one.low, one.high, "log" if one.log else "even"] for name, one in self.ranges.items()},
            **{name: {"choices": list(values)} for name, values in self.choices.items()},
        }


def json_of(value: Any) -> Any:
    """A value as results write it: as JSON where it is some, else its repr."""
    try:
        return json.loads(json.dumps(value, allow_nan=False, default=lambda one: one.to_json()))
    except (TypeError, ValueError, AttributeError):
        return repr(value)


def _by_text(name: str, values: list[Any]) -> dict[str, Any]:
    if not values:
        raise DataError(f"`space` of {show(name)} has no choice; give at least one")
    found = {json.dumps(json_of(value)): value for value in values}
    if len(found) < len(values):
        raise DataError(f"`space` of {show(name)} has a choice twice: {', '.join(map(repr, values))}")
    return found
