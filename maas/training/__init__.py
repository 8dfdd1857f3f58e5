"""Fitting a recipe to rows: the loop, its settings, what is kept of a run, and the record of what it did."""

from maas.nn.transforms import LowRank
from maas.training._adapt import merged
from maas.training._fit import fit
from maas.training._preflight import Finding, Preflight, preflight
from maas.training._run import Run, TensorBoard, Tracker
from maas.training._schedule import Schedule
from maas.training._settings import Optimizer, Settings
from maas.training._trial import trial_losses
from maas.training._world import rank

__all__ = [
    "Finding",
    "LowRank",
    "Optimizer",
    "Preflight",
    "Run",
    "Schedule",
    "Settings",
    "TensorBoard",
    "Tracker",
    "fit",
    "merged",
    "preflight",
    "rank",
    "trial_losses",
]
