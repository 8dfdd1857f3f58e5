"""The public names are frozen, and each of them, and each of their methods, says what it does.

After a change that is meant: `python tests/test_public_names.py > tests/public_names.txt`.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from pathlib import Path

import maas

FROZEN = Path(__file__).parent / "public_names.txt"
PROTOCOLS = ("maas.preprocess.Preprocess", "maas.preprocess.Learner", "maas.task.Task", "maas.training.Tracker")
"""What these describe need not be described again by who follows them."""


def rooms() -> list[str]:
    """maas and all below it that has an `__all__`, by the modules' names; files that begin with _ are private."""
    found = pkgutil.walk_packages(maas.__path__, "maas.")
    names = [one.name for one in found if not any(part.startswith("_") for part in one.name.split("."))]
    return ["maas", *(name for name in names if hasattr(importlib.import_module(name), "__all__"))]


def public_names() -> list[str]:
    return sorted(f"{room}.{name}" for room in rooms() for name in importlib.import_module(room).__all__)


def value_of(name: str) -> object:
    room, _, last = name.rpartition(".")
    return getattr(importlib.import_module(room), last)


def undocumented() -> list[str]:
    """Rooms, classes, functions among the public names, and methods and properties of the classes, without a word."""
    followed = {
        method
        for protocol in PROTOCOLS
        for method, value in vars(value_of(protocol)).items()
        if inspect.getdoc(value) is not None
    }
    found = []
    for name in public_names():
        value = value_of(name)
        if inspect.ismodule(value):
            found += [] if value.__doc__ else [name]
        if not (inspect.isclass(value) or inspect.isroutine(value)):
            continue
        made = f"{value.__name__}("  # what a dataclass says of itself, where nobody wrote a word
        found += [] if value.__doc__ and not value.__doc__.startswith(made) else [name]
        for method, held in vars(value).items():
            told = held.fget if isinstance(held, property) else getattr(held, "__func__", held)
            if method.startswith("_") or method in followed or not inspect.isfunction(told):
                continue
            found += [] if inspect.getdoc(getattr(value, method)) else [f"{name}.{method}"]
    return found


def test_public_names_are_frozen() -> None:
    assert public_names() == FROZEN.read_text().splitlines()


def test_each_public_name_says_what_it_does() -> None:
    assert undocumented() == []


if __name__ == "__main__":
    print("\n".join(public_names()))
