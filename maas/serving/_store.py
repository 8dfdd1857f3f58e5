"""The archives of a model store: `NAME.mar`, and beside it further versions as `NAME@VERSION.mar`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from maas.archive import Archive, read_archive
from maas.errors import ServingError


@dataclass(frozen=True)
class Stored:
    """An archive of a store, whose structure was checked.

    Args:
        path: its file.
        says: what it says of itself.
    """

    path: Path
    says: Archive

    @property
    def newness(self) -> tuple[int, ...]:
        """Larger for a newer version: 2.0 comes after 1.9, and before 10."""
        numbers = [int(part) for part in self.says.version.split(".")]
        return (*numbers, *[0] * (3 - len(numbers)))


def find(store: str | Path, wanted: str) -> Stored:
    """The archive of a model.

    Args:
        store: folder of `.mar` files.
        wanted: "NAME", for its newest version, or "NAME@VERSION".

    Raises:
        ServingError: there is none, or two have that version.
        ArchiveError: an archive of the model is damaged.
    """
    store = Path(store)
    names = _names(store)
    name, _, version = wanted.partition("@")
    if name not in names:
        raise ServingError(f"{store} has no archive {name}.mar, there are {', '.join(names) or 'none'}")
    found = sorted((_read(file) for file in _files(store) if _name(file) == name), key=lambda one: one.newness)
    if version:
        there = ", ".join(one.says.version for one in found)
        found = [one for one in found if one.says.version == version]
        if not found:
            raise ServingError(f"{store} has no version {version} of {name}, there are {there}")
    newest = [one for one in found if one.newness == found[-1].newness]
    if len(newest) > 1:
        files = " and ".join(one.path.name for one in newest)
        raise ServingError(f"{files} in {store} hold the same version {newest[0].says.version}; remove one of them")
    return newest[0]


def choose(store: str | Path, wanted: Sequence[str] | None) -> list[Stored]:
    """The archives to serve: those named, or the newest version of each model.

    Raises:
        ServingError: there is no store, no archive, or a model is named twice; or as in `find`.
        ArchiveError: as in `find`.
    """
    store = Path(store)
    if not store.is_dir():
        raise ServingError(f"there is no model store {store}; write an archive into it with maas package")
    chosen = _names(store) if wanted is None else ([wanted] if isinstance(wanted, str) else list(wanted))
    if not chosen:
        raise ServingError(f"no archive is in {store}; write one with maas package")
    names = [one.partition("@")[0] for one in chosen]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ServingError(f"{twice.pop()} is named twice; a server starts with one version of a model")
    return [find(store, one) for one in chosen]


def _files(store: Path) -> list[Path]:
    return sorted(file for file in store.glob("*.mar") if not file.name.startswith("."))


def _name(file: Path) -> str:
    return file.stem.partition("@")[0]


def _names(store: Path) -> list[str]:
    return sorted({_name(file) for file in _files(store)})


def _read(file: Path) -> Stored:
    name, _, version = file.stem.partition("@")
    says = read_archive(file)
    if says.name != name or (version and says.version != version):
        raise ServingError(
            f"{file} holds the model {says.name!r} {says.version}; rename the file to {says.name}.mar, or "
            f"{says.name}@{says.version}.mar"
        )
    return Stored(file, says)
