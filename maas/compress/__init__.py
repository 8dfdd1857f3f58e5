"""A trained model made smaller or faster, within a loss that is stated beforehand."""

from maas.compress._budget import Outcome, hold
from maas.compress._distil import distil
from maas.compress._found import Candidate, Search, Unseen
from maas.compress._fuse import fuse
from maas.compress._grid import smaller
from maas.compress._measure import Measured
from maas.compress._prune import prune
from maas.compress._quantize import quantize
from maas.compress._search import search

__all__ = [
    "Candidate",
    "Measured",
    "Outcome",
    "Search",
    "Unseen",
    "distil",
    "fuse",
    "hold",
    "prune",
    "quantize",
    "search",
    "smaller",
]
