"""What a row is: named fields, how each travels, and the checks that turn raw rows into columns.

A schema knows how values travel (a number, a label, bytes; of which shape), not what a modality makes of them:
that is `preprocess`. So a new modality adds nothing here.
"""

from maas.schema._field import DType, Field, TensorSpec, label_text
from maas.schema._generation import GENERATION_OPTIONS, generation_schema
from maas.schema._schema import Columns, Schema, suggestion

__all__ = [
    "GENERATION_OPTIONS",
    "Columns",
    "DType",
    "Field",
    "Schema",
    "TensorSpec",
    "generation_schema",
    "label_text",
    "suggestion",
]
