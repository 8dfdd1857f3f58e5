"""Modules of a user's own, which a process imports before it loads a model: they register networks."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib import import_module

IMPORTS = "MAAS_IMPORT"
"""Environment variable: their names, with commas between."""


def import_environment(modules: Sequence[str]) -> dict[str, str]:
    """What is set in the environment of a process that is to import modules, from the current folder too."""
    if not modules:
        return {}
    path = os.pathsep.join(filter(None, [os.getcwd(), os.environ.get("PYTHONPATH")]))
    return {IMPORTS: ",".join(modules), "PYTHONPATH": path}


def import_named() -> None:
    """Import the modules that the environment names.

    Raises:
        ImportError: one cannot be imported.
    """
    for module in filter(None, os.environ.get(IMPORTS, "").split(",")):
        import_module(module)
