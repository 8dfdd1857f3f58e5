"""What was done to a network after its class built it, as values that a recipe and an artifact carry."""

from maas.nn.transforms._bfloat16_weights import Bfloat16Weights
from maas.nn.transforms._folded_batch_norm import FoldedBatchNorm
from maas.nn.transforms._fused import Fused, FusedForm
from maas.nn.transforms._int8 import Int8, Int8Form
from maas.nn.transforms._int8_weights import Int8Weights
from maas.nn.transforms._low_rank import LowRank
from maas.nn.transforms._narrowed import Narrowed, is_by_channel, narrow, sizes_of
from maas.nn.transforms._transform import Transform, from_json, transform

__all__ = [
    "Bfloat16Weights",
    "FoldedBatchNorm",
    "Fused",
    "FusedForm",
    "Int8",
    "Int8Form",
    "Int8Weights",
    "LowRank",
    "Narrowed",
    "Transform",
    "from_json",
    "is_by_channel",
    "narrow",
    "sizes_of",
    "transform",
]
