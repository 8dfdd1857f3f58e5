"""The zip that a `.mar` is: written in one way, and read only as it was written."""

from __future__ import annotations

import contextlib
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from maas import artifact
from maas.errors import ArchiveError, show
from maas.storage import atomic_file

_EPOCH = (1980, 1, 1, 0, 0, 0)


def write_archive(path: Path, members: Mapping[str, bytes]) -> None:
    """Write the deterministic archive of some files, whole or not at all.

    Raises:
        OSError: the disk is full, or the folder cannot be written; `path` is as it was.
    """
    with atomic_file(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for one in sorted(members):
            info = zipfile.ZipInfo(one, _EPOCH)
            info.create_system = 3
            info.external_attr = 0o100644 << 16
            archive.writestr(info, members[one])


@contextlib.contextmanager
def opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """An archive, to read.

    Raises:
        ArchiveError: it is not there, or what is read of it in the block is damaged.
    """
    if not path.is_file():
        raise ArchiveError(f"there is no archive {path}")
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (
        zipfile.BadZipFile,
        zlib.error,
        struct.error,
        NotImplementedError,
        UnicodeError,
        EOFError,
        OSError,
    ) as error:
        raise ArchiveError(f"{path} is not a whole archive: {error}") from error


def member(archive: zipfile.ZipFile, name: str) -> bytes:
    """The bytes of a member, never more than its header says."""
    size = archive.getinfo(name).file_size
    with archive.open(name) as file:
        data = artifact.read_whole(file, size) if name.endswith(".safetensors") else file.read(size)
        more = file.read(1)
    if len(data) != size or more:
        raise ArchiveError(f"{name} is longer or shorter than the archive says")
    return data


def check_whole(path: Path, archive: zipfile.ZipFile) -> None:
    """Whether the members, as each says of itself, fill the file from its first byte to its last, in one way.

    Python reads the directory at the end of a zip, TorchServe's Java the members from its beginning: what only one of
    them sees must not be there.
    """
    with open(path, "rb") as file:
        at = 0
        for info in sorted(archive.infolist(), key=lambda info: info.header_offset):
            file.seek(at)
            header = file.read(30)
            if info.header_offset != at or len(header) < 30 or header[:4] != b"PK\x03\x04":
                raise ArchiveError(f"{path} is not a whole archive: bytes stand before, between or after its members")
            _, flags, method, _, _, crc, packed, size, name, extra = struct.unpack("<5H3I2H", header[4:])
            said = (file.read(name), flags & ~0x800, method, crc, packed, size)
            if said != (info.filename.encode(), 0, info.compress_type, info.CRC, info.compress_size, info.file_size):
                raise ArchiveError(f"{path} is not a whole archive: it describes {show(info.filename)} in two ways")
            at += 30 + name + extra + packed
        file.seek(at)
        rest = file.read()
    count = len(archive.infolist())
    end = _end(at, len(rest) - 22, count)
    if at > zipfile.ZIP64_LIMIT:
        end = _large_end(at, len(rest) - 22 - 76, count)
    if at != archive.start_dir or archive.comment or not rest.endswith(end):
        raise ArchiveError(f"{path} is not a whole archive: bytes stand before, between or after its members")


def _end(at: int, size: int, count: int) -> bytes:
    """What ends an archive whose directory, of `size` bytes, begins at `at`."""
    most = 0xFFFFFFFF
    return struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, count, count, min(max(size, 0), most), min(at, most), 0)


def _large_end(at: int, size: int, count: int) -> bytes:
    """The same for one that Python's zipfile takes for large: the places stand in 64 bits before it."""
    record = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, max(size, 0), at)
    return record + struct.pack("<4sIQI", b"PK\6\7", 0, at + max(size, 0), 1) + _end(at, size, count)
