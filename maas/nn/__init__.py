"""Networks: plain torch modules with explicit sizes, and recipes that describe them before the sizes are known."""

from maas.nn._attribution import Attribution, integrated_gradients
from maas.nn._audio_cnn import AudioCNN
from maas.nn._autoencoder import AutoEncoder
from maas.nn._backbone import Backbone
from maas.nn._causal_transformer import CausalTransformer
from maas.nn._cnn import CNN
from maas.nn._content import ContentBased
from maas.nn._conv1d import CNN1d
from maas.nn._cores import available_cores
from maas.nn._ease import EASE
from maas.nn._factorization import MatrixFactorization, RatingFactorization
from maas.nn._fusion import Fusion
from maas.nn._image_autoencoder import ImageAutoEncoder
from maas.nn._kv_cache import KeyValues, Piece
from maas.nn._mlp import MLP
from maas.nn._neighbours import ItemNeighbours, UserNeighbours
from maas.nn._popularity import Popularity
from maas.nn._recipe import Recipe, recipe
from maas.nn._register import network, network_class
from maas.nn._resnet import ResNet
from maas.nn._rnn import RNN
from maas.nn._sequence_autoencoder import SequenceAutoEncoder
from maas.nn._text_bag import TextBag
from maas.nn._text_cnn import TextCNN
from maas.nn._text_rnn import TextRNN
from maas.nn._text_transformer import TextTransformer
from maas.nn._work import steps_a_pass, threads, work_of, worth_threads

__all__ = [
    "CNN",
    "EASE",
    "MLP",
    "RNN",
    "Attribution",
    "AudioCNN",
    "AutoEncoder",
    "Backbone",
    "CNN1d",
    "CausalTransformer",
    "ContentBased",
    "Fusion",
    "ImageAutoEncoder",
    "ItemNeighbours",
    "KeyValues",
    "MatrixFactorization",
    "Piece",
    "Popularity",
    "RatingFactorization",
    "Recipe",
    "ResNet",
    "SequenceAutoEncoder",
    "TextBag",
    "TextCNN",
    "TextRNN",
    "TextTransformer",
    "UserNeighbours",
    "available_cores",
    "integrated_gradients",
    "network",
    "network_class",
    "recipe",
    "steps_a_pass",
    "threads",
    "work_of",
    "worth_threads",
]
