"""Removing what dead writers have left in a registry."""

from __future__ import annotations

import time
from pathlib import Path

from maas.registry._catalog import Catalog
from maas.registry._content import newest_change, remove_content
from maas.registry._history import History
from maas.registry._layout import Layout


def collect(layout: Layout, catalog: Catalog, older_than_seconds: float) -> tuple[Path, ...]:
    """Remove artifacts that no version names, files that were never given their name, and claims that stayed empty."""
    before = time.time() - older_than_seconds
    # First: what is claimed later is seen below.
    artifacts = [one for one in layout.artifacts.glob("*") if one.is_dir()]
    kept: set[str] = set()
    deleted: set[str] = set()
    for name in catalog.names():
        history = History(layout, name)
        for one in catalog.versions(name):
            (deleted if history.deletion(one.version) else kept).add(one.artifact)
    gone = [one for one in artifacts if one.name in deleted or (one.name not in kept and newest_change(one) < before)]
    for folder in gone:
        remove_content(folder)
    files = [
        *layout.root.rglob(".*.tmp-*"),
        *layout.models.glob("*/versions/*.json"),
        *layout.models.glob("*/history/*"),
    ]
    for file in files:
        try:
            found = file.stat()
            if found.st_mtime < before and (found.st_size == 0 or ".tmp-" in file.name):
                file.unlink()
                gone.append(file)
        except FileNotFoundError:
            pass
    return tuple(gone)
