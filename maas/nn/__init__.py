"""Networks: plain torch modules with explicit sizes, and recipes that describe them before the sizes are known."""

from maas.nn._cnn import CNN
from maas.nn._mlp import MLP
from maas.nn._recipe import Recipe, recipe
from maas.nn._register import network, network_class
from maas.nn._resnet import ResNet

__all__ = ["CNN", "MLP", "Recipe", "ResNet", "network", "network_class", "recipe"]
