"""What was done to a network after its class built it, as values that a recipe and an artifact carry."""

from maas.nn.transforms._transform import Transform, from_json, transform

__all__ = ["Transform", "from_json", "transform"]
