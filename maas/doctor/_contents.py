"""What a `.mar` holds, whoever wrote it. It is read, never run, and never unpacked to disk."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from maas.doctor._finding import Check, Finding

# `maas.archive` has these too, and imports torch, which may be what is broken; a test holds them equal.
MANIFEST = "MAR-INF/MANIFEST.json"
OURS = ("maas_handler.py", "maas_generate.py")
_MOST_TEXT_BYTES = 4_000_000
_MOST_RATIO = 100


@dataclass(frozen=True)
class Contents:
    """What stands in an archive.

    Args:
        path: of its file.
        infos: its members, by name.
        manifest: what it says of itself; empty where that cannot be read.
        texts: the content of the members that are code or settings.
    """

    path: Path
    infos: Mapping[str, zipfile.ZipInfo]
    manifest: Mapping[str, Any] = field(default_factory=dict)
    texts: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def model(self) -> Mapping[str, Any]:
        """The part of the manifest about the model."""
        found = self.manifest.get("model")
        return found if isinstance(found, dict) else {}

    def said(self, key: str) -> str:
        """A text of that part; empty where it is none."""
        found = self.model.get(key)
        return found if isinstance(found, str) else ""

    @property
    def is_ours(self) -> bool:
        """Whether it is an archive of maas, or means to be one."""
        return "artifact.json" in self.infos and any(name in self.infos for name in OURS)

    @property
    def again(self) -> str:
        """The command that writes an archive of maas anew."""
        return f"maas package DIR --store {self.path.parent}"

    @property
    def config_name(self) -> str:
        """The member that TorchServe reads as its settings of the model; empty where the manifest names none."""
        return self.said("configFile")


def read_contents(path: Path) -> Contents:
    """An archive's contents.

    Raises:
        zipfile.BadZipFile, OSError, ValueError: it is no zip that can be read.
    """
    with zipfile.ZipFile(path) as archive:
        infos = {info.filename: info for info in archive.infolist()}
        wanted = [
            name
            for name, info in infos.items()
            if name == MANIFEST or PurePosixPath(name).suffix in (".py", ".yaml", ".yml", ".txt")
            if info.file_size <= min(_MOST_TEXT_BYTES, _MOST_RATIO * max(info.compress_size, 1024))
        ]
        texts = {name: archive.read(name) for name in wanted}
    try:
        manifest = json.loads(texts.get(MANIFEST, b""))
    except ValueError:
        manifest = {}
    return Contents(path, infos, manifest if isinstance(manifest, dict) else {}, texts)


def whole(path: Path) -> Check:
    """Whether the file is a zip, and every byte in it is what the zip says."""
    remedy = f"copy it again, or maas package DIR --store {path.parent}; `unzip -t {path}` shows more"
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if info.file_size > _MOST_RATIO * max(info.compress_size, 1024):
                    detail = f"{info.filename} would unpack to {info.file_size:,} bytes"
                    yield Finding("error", "archive", detail, "do not unpack it; ask whoever made it")
                    return
            names = [info.filename for info in archive.infolist()]
            bad = archive.testzip()
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError, ValueError) as error:
        detail = f"is not a whole zip: {error}"
        if path.read_bytes()[:2] == b"\x1f\x8b":
            detail = "is a gzip (torch-model-archiver's --archive-format tgz), not the zip that a .mar is"
            remedy = "make it with --archive-format default"
        yield Finding("error", "archive", detail, remedy)
        return
    except Exception as error:  # zlib.error, and what else a spoiled zip causes
        yield Finding("error", "archive", f"cannot be unpacked: {error}", remedy)
        return
    if bad is not None:
        yield Finding("error", "archive", f"{bad} is damaged: its bytes do not have their checksum", remedy)
        return
    outside = [name for name in names if name.startswith("/") or "\\" in name or ".." in PurePosixPath(name).parts]
    if outside:
        detail = f"{outside[0]!r} would be unpacked outside of its folder"
        yield Finding("error", "archive", detail, "do not serve it; ask whoever made it")
    elif len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        yield Finding("error", "archive", f"{twice} stands in it twice; readers differ in which they take", remedy)
    else:
        yield Finding("ok", "archive", f"{len(names)} files, {path.stat().st_size:,} bytes, each with its checksum")
