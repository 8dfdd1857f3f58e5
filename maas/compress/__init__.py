"""A trained model made smaller or faster, within a loss that is stated beforehand."""

from maas.compress._budget import Outcome, hold
from maas.compress._quantize import quantize

__all__ = ["Outcome", "hold", "quantize"]
