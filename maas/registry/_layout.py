"""Where a registry keeps what, and the names that may stand there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from maas.archive import check_name, check_version
from maas.artifact import parse_json
from maas.errors import ArchiveError, FormatError, RegistryError, show

FORMAT = 1
MARK = "maas-registry.json"
_ALIAS = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_ID = re.compile(r"[0-9a-f]{16}-[0-9a-f]{8}")


@dataclass(frozen=True)
class Layout:
    """The paths of a registry.

    Args:
        root: its folder.
    """

    root: Path

    @property
    def models(self) -> Path:
        return self.root / "models"

    @property
    def artifacts(self) -> Path:
        return self.root / "artifacts"

    def artifact(self, identity: str) -> Path:
        """The folder of an artifact.

        Raises:
            RegistryError: no registry writes such a name: a record that holds one was altered.
        """
        if not _ID.fullmatch(identity):
            raise RegistryError(
                f"a record in {self.root} names the artifact {show(identity)}, which is no folder's name"
            )
        return self.artifacts / identity

    def versions(self, name: str) -> Path:
        return self.models / name / "versions"

    def version(self, name: str, version: str) -> Path:
        return self.versions(name) / f"{numbers(version)}.json"

    def history(self, name: str) -> Path:
        return self.models / name / "history"

    def index(self, name: str) -> Path:
        return self.models / name / "index.json"


def folder_of(place: str | Path) -> Path:
    """The folder that a path or a file URL names.

    Raises:
        RegistryError: it is a URL of another kind.
    """
    text = str(place)
    scheme, mark, _ = text.partition("://")
    if not mark:
        return Path(text).expanduser().absolute()
    parts = urlsplit(text)
    if scheme != "file" or parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
        raise RegistryError(
            f"a registry is a folder, or file:///FOLDER, got {show(text)}; mount the share or the bucket (NFS, "
            f"mountpoint-s3, gcsfuse), and give its folder"
        )
    return Path(unquote(parts.path))


def named(name: str) -> str:
    """A model's name, once it is found to be one that can be served.

    Raises:
        RegistryError: it is not.
    """
    try:
        return check_name(name)
    except ArchiveError as error:
        raise RegistryError(str(error)) from None


def versioned(version: str) -> str:
    """A version as it is written, without needless zeros in front.

    Raises:
        RegistryError: it is not one to three numbers.
    """
    try:
        return ".".join(str(int(part)) for part in check_version(version).split("."))
    except ArchiveError as error:
        raise RegistryError(str(error)) from None


def aliased(alias: str) -> str:
    """An alias, once it is found to be a word, which cannot be taken for a version.

    Raises:
        RegistryError: it is not.
    """
    if not isinstance(alias, str) or not _ALIAS.fullmatch(alias):
        raise RegistryError(
            f"an alias is 1 to 64 lower-case letters, digits, '_' and '-', beginning with a letter, such as "
            f"'production', got {show(alias)}"
        )
    return alias


def numbers(version: str) -> str:
    """The three numbers of a version: 1, 1.0 and 1.0.0 are the same."""
    parts = version.split(".")
    return ".".join([*parts, *["0"] * (3 - len(parts))])


def read_record(file: Path) -> dict[str, Any] | None:
    """The JSON object in a file; None where it is not there, or is empty: claimed, and not written yet.

    Raises:
        RegistryError: it holds something else.
    """
    try:
        data = file.read_bytes()
        return parse_json(file.name, data) if data else None
    except FileNotFoundError:
        return None
    except (FormatError, OSError) as error:
        raise RegistryError(f"{file} is damaged: {error}; put it back from a copy") from error
