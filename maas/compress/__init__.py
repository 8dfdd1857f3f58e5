"""A trained model made smaller or faster, within a loss that is stated beforehand."""

from maas.compress._budget import Outcome, hold
from maas.compress._distil import distil
from maas.compress._prune import prune

__all__ = ["Outcome", "distil", "hold", "prune"]
