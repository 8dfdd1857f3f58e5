"""The commands that fit many models, or try steps of one: cross-validate, tune, learning-rate."""

from __future__ import annotations

from argparse import Namespace
from functools import partial
from typing import TYPE_CHECKING, Any

from maas.cli._learn import check_output, given, held_out, keep, learned
from maas.cli._options import pair, value_of
from maas.cli._print import print_json, tell
from maas.errors import DataError, show

if TYPE_CHECKING:
    from maas.data import Rows
    from maas.nn import Recipe
    from maas.tuning import Range


def cross_validate(options: Namespace) -> bool:
    import maas

    recipe, rows, task = given(options)
    tell(options, f"{rows}")
    how = {name: getattr(options, name) for name in ("folds", "repeats", "group", "time", "baselines")}
    found = learned(partial(maas.cross_validate, **how), options, recipe, rows, task)
    tell(options, f"\n{found}")
    print_json(options, found.to_json())
    return False


def learning_rate(options: Namespace) -> bool:
    from maas.tuning import LearningRates, learning_rate_range

    recipe, rows, task = given(options)
    tell(options, f"{rows}")
    wanted = ("task", "batch_size", "optimizer", "weight_decay", "seed", "device")
    how = {name: getattr(options, name) for name in ("low", "high", "steps")}

    def look(recipe: Recipe, rows: Rows, **settings: Any) -> LearningRates:
        return learning_rate_range(recipe, rows, **how, **{name: settings[name] for name in wanted})

    found = learned(look, options, recipe, rows, task)
    tell(options, f"\n{found}")
    print_json(options, found.to_json())
    return False


def tune(options: Namespace) -> bool:
    import maas

    check_output(options)
    space = {name: _values(text) for name, text in (pair(text, "--space") for text in options.space)}
    recipe, rows, task = given(options)
    train, test = held_out(options, rows)
    how = {name: getattr(options, name) for name in ("trials", "seconds", "score", "folds", "storage")}

    def search(recipe: maas.Recipe, train: Any, **settings: Any) -> maas.tuning.Tuning:
        fixed = {name: value for name, value in settings.items() if name not in space}
        return maas.tune(recipe, train, space, **how, **fixed)

    tuning = learned(search, options, recipe, train, task)
    tell(options, f"\n{tuning}\n")
    keep(options, maas.fit(tuning.recipe, train, **tuning.settings), train, test, {"tuning": tuning.to_json()})
    return False


def _values(text: str) -> list[Any] | Range:
    """Choices as JSON, or a range."""
    from maas.tuning import Range

    if isinstance(values := value_of(text), list):
        return values
    ends = [value_of(end) for end in text.removeprefix("log:").split(":")]
    if len(ends) != 2:
        raise DataError(f"--space wants NAME=LOW:HIGH, NAME=log:LOW:HIGH or NAME=[...], got {show(text)}")
    low, high = ends
    return Range(low, high, log=text.startswith("log:"))
