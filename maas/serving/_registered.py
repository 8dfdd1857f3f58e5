"""Serving from a registry: archives made of its versions, in a store that lasts as long as what serves them."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from maas.archive import package
from maas.client import folder_of_servers
from maas.errors import ServingError
from maas.registry import Registry, Version
from maas.storage import write_atomic

FILE = "registry.json"
_PRODUCTION = "production"


@dataclass(frozen=True)
class Source:
    """What a server or a front serves from; it lies in its folder, for `maas promote` to find.

    Args:
        registry: the registry's folder.
        store: folder of the archives made of it.
        wanted: for each model the alias or version that was asked for.
    """

    registry: str
    store: str
    wanted: Mapping[str, str]

    def add(self, version: Version) -> None:
        """Make an archive of a version, in the store.

        Raises:
            RegistryError, ArtifactError: it was deleted, or does not verify.
        """
        with tempfile.TemporaryDirectory() as folder:
            found = Registry(self.registry).pull(version.name, version.version, Path(folder) / "artifact")
            package(Path(folder) / "artifact", store=self.store, name=found.name, version=found.version)

    def write(self, folder: Path) -> None:
        write_atomic(folder / FILE, json.dumps(asdict(self)).encode())

    @classmethod
    def read(cls, folder: Path) -> Source | None:
        """The source of what lives in a folder; None where it serves from a store."""
        try:
            return cls(**json.loads((folder / FILE).read_text()))
        except (OSError, ValueError, TypeError):
            return None


@contextlib.contextmanager
def from_registry(place: str | Path, models: Sequence[str]) -> Iterator[tuple[Source, list[str]]]:
    """Archives of models, for the length of the block, and "NAME@VERSION" of each.

    Args:
        place: of the registry.
        models: "NAME@ALIAS", "NAME@VERSION", or "NAME", which is "NAME@production".

    Raises:
        ServingError: no model is named, or one twice.
        RegistryError, ArtifactError: there is no such version, or it does not verify.
    """
    registry = Registry(place)
    wanted = {name: which or _PRODUCTION for name, _, which in (one.partition("@") for one in models)}
    if not models or len(wanted) < len(models):
        raise ServingError(
            f"--registry wants each model once, as NAME@{_PRODUCTION}, got {', '.join(models) or 'none'}"
        )
    store = folder_of_servers() / f"{os.getpid()}-{secrets.token_hex(4)}"  # swept as a server's is, after kill -9
    store.mkdir(mode=0o700)
    try:
        source = Source(str(registry.path.resolve()), str(store), wanted)
        found = [registry.show(name, which) for name, which in wanted.items()]
        for version in found:
            source.add(version)
        yield source, [str(version) for version in found]
    finally:
        shutil.rmtree(store, ignore_errors=True)
