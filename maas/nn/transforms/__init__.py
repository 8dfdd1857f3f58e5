"""What was done to a network after its class built it, as values that a recipe and an artifact carry."""

from maas.nn.transforms._narrowed import Narrowed, is_by_channel, narrow, sizes_of
from maas.nn.transforms._transform import Transform, from_json, transform

__all__ = ["Narrowed", "Transform", "from_json", "is_by_channel", "narrow", "sizes_of", "transform"]
