"""Networks: plain torch modules with explicit sizes, and recipes that describe them before the sizes are known."""

from maas.nn._cnn import CNN
from maas.nn._conv1d import CNN1d
from maas.nn._fusion import Fusion
from maas.nn._mlp import MLP
from maas.nn._recipe import Recipe, recipe
from maas.nn._register import network, network_class
from maas.nn._resnet import ResNet
from maas.nn._rnn import RNN
from maas.nn._text_bag import TextBag
from maas.nn._text_cnn import TextCNN
from maas.nn._text_rnn import TextRNN
from maas.nn._text_transformer import TextTransformer

__all__ = [
    "CNN",
    "MLP",
    "RNN",
    "CNN1d",
    "Fusion",
    "Recipe",
    "ResNet",
    "TextBag",
    "TextCNN",
    "TextRNN",
    "TextTransformer",
    "network",
    "network_class",
    "recipe",
]
