"""Learned transforms from columns to tensors: the only place where raw values become network inputs."""

from maas.preprocess._augment import AugmentImages
from maas.preprocess._base import Preprocess, for_schema, from_state, preprocess
from maas.preprocess._image import Image
from maas.preprocess._sequence import Sequence
from maas.preprocess._table import Table

__all__ = ["AugmentImages", "Image", "Preprocess", "Sequence", "Table", "for_schema", "from_state", "preprocess"]
