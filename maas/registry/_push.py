"""Adding an artifact to a registry: its files first, then the claim of a version, which only one can make."""

from __future__ import annotations

import time
from pathlib import Path

from maas import artifact
from maas.errors import RegistryError
from maas.model import Model
from maas.registry._catalog import Catalog
from maas.registry._content import content_digest, read_content, remove_content, write_content
from maas.registry._history import History
from maas.registry._layout import Layout
from maas.registry._version import Version, version_of

_LATE_SECONDS = 0.02


def push(layout: Layout, catalog: Catalog, path: Path, name: str, wanted: str | None) -> Version:
    """As `Registry.push`.

    Args:
        layout, catalog: of the registry.
        path: the artifact's folder.
        name: of the model, checked.
        wanted: the version, checked; None: the next whole number.
    """
    files = artifact.read_files(path)
    stored = artifact.parse(files)
    Model.from_artifact(stored)
    digest = content_digest(files)
    identity: str | None = None
    kept = False
    try:
        while True:
            # First: what others claim from here on is met at this number, and then looked at.
            number = wanted or _next(catalog, name)
            if found := _same(layout, catalog, name, wanted, digest):
                read_content(layout, found)
                return found
            identity = identity or write_content(layout, files)
            made = version_of(stored, name=name, version=number, digest=digest, artifact=identity)
            if kept := catalog.claim(made):
                return made
            if wanted and catalog.find(name, wanted) is None:
                raise RegistryError(
                    f"{name}@{wanted} is being pushed by another, or its writer died; push it as another version"
                )
            time.sleep(_LATE_SECONDS)  # a share may show the other's claim a little later
    finally:
        # A claim that was interrupted may have been made: what a version names stays.
        if identity and not kept and getattr(catalog.find(name, number), "artifact", None) != identity:
            remove_content(layout.artifact(identity))


def _same(layout: Layout, catalog: Catalog, name: str, wanted: str | None, digest: str) -> Version | None:
    """The version that holds a content already: the one that is wanted, or any."""
    history = History(layout, name)
    if wanted is None:
        same = [one for one in catalog.versions(name) if one.digest == digest]
        return next((one for one in same if not history.deletion(one.version)), None)
    found = catalog.find(name, wanted)
    if found and history.deletion(found.version):
        raise RegistryError(f"{found} was deleted, and its number is not given again; push it as another version")
    if found and found.digest != digest:
        raise RegistryError(
            f"{found} holds another model, pushed by {found.by} on {found.created}, and a version never changes; "
            f"push it as another version, or without one to get the next"
        )
    return found


def _next(catalog: Catalog, name: str) -> str:
    return str(1 + max((int(one.partition(".")[0]) for one in catalog.claimed(name)), default=0))
