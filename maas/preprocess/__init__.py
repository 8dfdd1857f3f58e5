"""Learned transforms from columns to tensors: the only place where raw values become network inputs."""

from maas.preprocess._audio import Audio, AudioOptions
from maas.preprocess._augment import AugmentImages
from maas.preprocess._base import Explains, Learner, Preprocess, for_schema, from_state, preprocess
from maas.preprocess._decode import decode
from maas.preprocess._ids import Ids
from maas.preprocess._image import Image
from maas.preprocess._interactions import InteractionOptions, Interactions
from maas.preprocess._language import Language
from maas.preprocess._mixed import Mixed, MixedOptions
from maas.preprocess._prompt import Prompt, PromptOptions
from maas.preprocess._sequence import Sequence
from maas.preprocess._table import Table
from maas.preprocess._text import Text, TextOptions

__all__ = [
    "Audio",
    "AudioOptions",
    "AugmentImages",
    "Explains",
    "Ids",
    "Image",
    "InteractionOptions",
    "Interactions",
    "Language",
    "Learner",
    "Mixed",
    "MixedOptions",
    "Preprocess",
    "Prompt",
    "PromptOptions",
    "Sequence",
    "Table",
    "Text",
    "TextOptions",
    "decode",
    "for_schema",
    "from_state",
    "preprocess",
]
