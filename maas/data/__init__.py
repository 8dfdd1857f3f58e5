"""Sources of rows, and how they are split: everything before a network sees a number."""

from maas.data._arrays import as_rows, from_arrays, from_dataset
from maas.data._audio import read_audio
from maas.data._corpus import read_corpus
from maas.data._groups import group_values
from maas.data._images import read_images
from maas.data._interactions import read_interactions
from maas.data._items import read_items
from maas.data._rows import Rows
from maas.data._samples import SAMPLES, write_sample
from maas.data._sequences import read_sequences
from maas.data._split import Policy, Split, SplitReport, duplicates
from maas.data._table import read_columns, read_table
from maas.data._texts import read_texts
from maas.data._windows import windows

__all__ = [
    "SAMPLES",
    "Policy",
    "Rows",
    "Split",
    "SplitReport",
    "as_rows",
    "duplicates",
    "from_arrays",
    "from_dataset",
    "group_values",
    "read_audio",
    "read_columns",
    "read_corpus",
    "read_images",
    "read_interactions",
    "read_items",
    "read_sequences",
    "read_table",
    "read_texts",
    "windows",
    "write_sample",
]
