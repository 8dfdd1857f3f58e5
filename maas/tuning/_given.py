"""What `cross_validate` and `tune` check of their arguments before the first fit."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from maas.data import Rows, as_rows
from maas.errors import DataError, show
from maas.training import fit
from maas.training._parts import NO_TARGET
from maas.training._setup import check_recipe

# Those that are not the same for all fits: their rows, and what only one of them can write to or stand for.
_OF_ONE_FIT = ("recipe", "train", "validation", "seed", "progress", "run")


def settings_of_fit() -> list[str]:
    """The parameters of `maas.fit` that many fits can share."""
    return [name for name in inspect.signature(fit).parameters if name not in _OF_ONE_FIT]


def check_settings(settings: Mapping[str, Any], known: list[str]) -> None:
    """Raise DataError for a name that is none of the settings known."""
    for name in settings:
        if name not in known:
            raise DataError(f"{show(name)} is no setting of maas.fit that many fits can share: {', '.join(known)}")


def kind_of(settings: Mapping[str, Any]) -> str | None:
    """The name of the task that settings of `maas.fit` name, or give with options."""
    task = settings.get("task")
    return getattr(task, "kind", task)


def rows_to_learn(recipe: Any, source: Any, seed: Any, settings: Mapping[str, Any]) -> Rows:
    """The rows behind whatever `maas.fit` takes.

    Raises:
        DataError: the recipe or the seed is none, or the rows have no target and their task is no anomaly's.
    """
    if type(seed) is not int or not 0 <= seed < 2**63:
        raise DataError(f"`seed` must be an integer from 0 to below 2**63, got {show(seed)}")
    check_recipe(recipe)
    kind = kind_of(settings)
    rows = as_rows(source, task=kind)
    if rows.target is None and (kind or rows.task) != "anomaly":
        raise DataError(NO_TARGET)
    return rows
