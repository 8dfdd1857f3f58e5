"""Versions of models that can be trusted, named, promoted and taken back, in a folder of plain files.

The layout is written down in `docs/registry.md`.
"""

from maas.registry._compatible import breaks
from maas.registry._lineage import Ancestor
from maas.registry._promotion import Promotion
from maas.registry._registry import Registry
from maas.registry._version import Version

__all__ = ["Ancestor", "Promotion", "Registry", "Version", "breaks"]
