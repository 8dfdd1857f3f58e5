"""Fitting a recipe to rows: the loop, its settings, what is kept of a run, and the record of what it did."""

from maas.training._fit import fit
from maas.training._run import Run, TensorBoard, Tracker
from maas.training._schedule import Schedule
from maas.training._settings import Optimizer, Settings
from maas.training._world import rank

__all__ = ["Optimizer", "Run", "Schedule", "Settings", "TensorBoard", "Tracker", "fit", "rank"]
