"""The files of an artifact in a registry: written so that a reader sees all of them or none, read with their digest."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path

from maas import artifact
from maas.errors import IntegrityError
from maas.registry._layout import Layout
from maas.registry._version import Version
from maas.storage import sha256, sync


def content_digest(files: Mapping[str, bytes]) -> str:
    """The SHA-256 over all files of an artifact: a card that was edited makes another content."""
    lines = "".join(f"{sha256(files[name])}  {name}\n" for name in sorted(files))
    return sha256(lines.encode())


def write_content(layout: Layout, files: Mapping[str, bytes]) -> str:
    """Write an artifact under a name that none has, SHA256SUMS last; gives the name."""
    identity = f"{content_digest(files)[:16]}-{secrets.token_hex(4)}"
    folder = layout.artifact(identity)
    folder.mkdir(parents=True)
    try:
        for name in [*(one for one in files if one != artifact.SUMS), artifact.SUMS]:
            (folder / name).write_bytes(files[name])
            sync(folder / name)
        sync(folder)
        sync(folder.parent)
    except BaseException:
        remove_content(folder)
        raise
    return identity


def read_content(layout: Layout, version: Version) -> dict[str, bytes]:
    """The files of a version.

    Raises:
        IntegrityError: they are not those that were pushed.
    """
    folder = layout.artifact(version.artifact)
    try:
        files = artifact.read_files(folder)
        if content_digest(files) != version.digest:
            raise IntegrityError("its files are others than were pushed")
    except IntegrityError as error:
        raise IntegrityError(
            f"{version} is damaged: {error}; put {folder} back from a copy, or push the model anew and delete this "
            f"version"
        ) from error
    return files


def remove_content(folder: Path) -> None:
    """Remove an artifact, what makes it one first; a reader then sees that there is none."""
    (folder / artifact.SUMS).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def newest_change(folder: Path) -> float:
    """When something in a folder changed last, in seconds since 1970; now, where it is going."""
    try:
        return max(os.stat(one).st_mtime for one in (folder, *folder.iterdir()))
    except OSError:
        return float("inf")
