"""The versions that stand in a registry, read from their records; and the index made of them."""

from __future__ import annotations

import json
from typing import Any

from maas.errors import RegistryError
from maas.registry._history import History
from maas.registry._layout import Layout, numbers, read_record
from maas.registry._version import Version
from maas.storage import create_whole, write_atomic


class Catalog:
    """The records of versions. One that was read once is not read again, since it never changes.

    Args:
        layout: of the registry.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._read: dict[tuple[str, str], Version] = {}

    def names(self) -> list[str]:
        """Of models, whether or not a version of them is left."""
        folder = self._layout.models
        return sorted(one.name for one in folder.iterdir() if (one / "versions").is_dir()) if folder.is_dir() else []

    def claimed(self, name: str) -> list[str]:
        """The three numbers of each version that was ever claimed."""
        folder = self._layout.versions(name)
        files = (one.name for one in folder.iterdir()) if folder.is_dir() else ()
        return [one.removesuffix(".json") for one in files if one.endswith(".json") and not one.startswith(".")]

    def versions(self, name: str) -> list[Version]:
        """All of a model that were pushed, those deleted too, the oldest first.

        Raises:
            RegistryError: a record is damaged.
        """
        found = [self.find(name, claimed) for claimed in self.claimed(name)]
        return sorted((one for one in found if one is not None), key=lambda one: one.newness)

    def find(self, name: str, version: str) -> Version | None:
        """One version; None where there is no such.

        Raises:
            RegistryError: its record is damaged.
        """
        key = name, numbers(version)
        if key not in self._read:
            file = self._layout.version(name, version)
            if (state := read_record(file)) is None:
                return None
            found = Version.from_json(state)
            if (found.name, numbers(found.version)) != key:
                raise RegistryError(f"{file} is damaged: it is the record of {found}; put it back from a copy")
            self._read[key] = found
        return self._read[key]

    def claim(self, version: Version) -> bool:
        """Make a version known, unless another has its number; gives whether it was made."""
        text = json.dumps(version.to_json(), indent=1, ensure_ascii=False)
        return create_whole(self._layout.version(version.name, version.version), text.encode() + b"\n")

    def scan(self, name: str) -> dict[str, Any]:
        """What the index of a model says, read from its records."""
        history = History(self._layout, name)
        return {
            "aliases": history.aliases(),
            "versions": {
                one.version: {
                    "digest": one.digest,
                    "created": one.created,
                    "by": one.by,
                    "score": one.score and one.score.value,
                    "deleted": history.deletion(one.version) is not None,
                }
                for one in self.versions(name)
            },
        }

    def write_index(self, name: str) -> None:
        """Write the index. What others add meanwhile is seen, or they write it after this."""
        written = None
        while (found := self.scan(name)) != written:
            text = json.dumps(found, indent=1, ensure_ascii=False)
            write_atomic(self._layout.index(name), text.encode() + b"\n")
            written = found
