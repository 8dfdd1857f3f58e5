"""Learned transforms from columns to tensors: the only place where raw values become network inputs."""

from maas.preprocess._base import Preprocess, for_schema, from_state, preprocess
from maas.preprocess._table import Table
from maas.preprocess._text import Text, TextOptions

__all__ = ["Preprocess", "Table", "Text", "TextOptions", "for_schema", "from_state", "preprocess"]
