"""Fitting a recipe to rows: the loop, its settings, and the record of what it did."""

from maas.training._fit import fit
from maas.training._settings import Settings

__all__ = ["Settings", "fit"]
