"""Networks: plain torch modules with explicit sizes, and recipes that describe them before the sizes are known."""

from maas.nn._mlp import MLP
from maas.nn._recipe import Recipe, recipe
from maas.nn._register import network, network_class

__all__ = ["MLP", "Recipe", "network", "network_class", "recipe"]
