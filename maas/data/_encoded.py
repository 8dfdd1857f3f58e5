"""Encoded files that a row points to: their bytes, and whether they can be what they are said to be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from maas.data._cells import Cells
from maas.errors import DataError, RowError, show

LONGEST = 20_000_000
"""Bytes of an image or a sound."""

# The first bytes of each format, and the bytes without which a file is cut off.
_STARTS_AND_ENDS = ((b"\xff\xd8\xff", b"\xff\xd9"), (b"\x89PNG\r\n\x1a\n", b"IEND"), (b"RIFF", None))


def read_image(file: Path) -> bytes:
    """The bytes of an image file, not decoded. What is no image, or cut off, is told here, where its path is known.

    Raises:
        DataError: it is too large, cut off, or of no format that is decoded.
    """
    content = _bytes_of(file, "an image", "make it smaller")
    for start, end in _STARTS_AND_ENDS:
        if content.startswith(start):
            if end is not None and end not in content[len(start) :]:
                raise DataError(f"{file} is cut off: it has {len(content):,} bytes and no end; copy it again")
            return content
    raise DataError(f"{file} is no JPEG, PNG or WebP image: it starts with {show(content[:16])}; remove it")


def read_sound(file: Path) -> bytes:
    """The bytes of a sound file, not decoded. What is no sound, or cut off, is told here, where its path is known.

    Raises:
        DataError: it is too large, cut off, or of no format that is decoded.
    """
    content = _bytes_of(file, "a sound", "cut it, or use FLAC")
    if content[:4] == b"fLaC":
        return content
    if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        raise DataError(f"{file} is no WAV or FLAC file: it starts with {show(content[:16])}; convert or remove it")
    said = int.from_bytes(content[4:8], "little")
    if said > len(content):
        raise DataError(
            f"{file} is cut off, or was written to a pipe: it should have {said:,} bytes by its header, and has "
            f"{len(content):,}; copy or store it again"
        )
    return content


def _bytes_of(file: Path, what: str, remedy: str) -> bytes:
    """The bytes of a file that is not too large: its size is looked at first, and no more is ever read."""
    size = file.stat().st_size
    if size <= LONGEST:
        with file.open("rb") as opened:
            content = opened.read(LONGEST + 1)
        size = len(content)
    if size > LONGEST:
        raise DataError(f"{file} has {size:,} bytes, {what} may have {LONGEST:,}; {remedy}")
    return content


READERS: dict[str, Callable[[Path], bytes]] = {"image": read_image, "audio": read_sound}
"""By the kind of a field, what reads one of its files."""


def read_files_of(name: str, kind: str, cells: Cells, folder: Path) -> tuple[np.ndarray[Any, Any], dict[int, RowError]]:
    """The files that a table's column names, and the errors by row; the cells of such rows are None.

    Args:
        name: of the column.
        kind: a key of `READERS`.
        cells: paths.
        folder: where paths start that are not absolute.
    """
    contents = np.empty(len(cells.values), object)
    errors: dict[int, RowError] = {}
    for row, path in enumerate(cells.strings):
        try:
            if path is None:
                raise DataError("there is no path")
            file = folder / path
            if not file.is_file():
                raise DataError(f"there is no file {show(str(file), 500)}; paths start from {folder.resolve()}")
            contents[row] = READERS[kind](file)
        except (DataError, OSError, ValueError) as error:
            errors[row] = RowError(row, name, f"field {show(name)}: {error}")
    return contents, errors
