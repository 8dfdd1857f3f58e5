"""Encoded files that a row points to: their bytes, and whether they can be what they are said to be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from maas.data._sources import Cells
from maas.errors import DataError, RowError, show

LONGEST_IMAGE = 20_000_000
# The first bytes of each format, and the bytes without which a file is cut off.
_STARTS_AND_ENDS = ((b"\xff\xd8\xff", b"\xff\xd9"), (b"\x89PNG\r\n\x1a\n", b"IEND"), (b"RIFF", None))


def read_image(file: Path) -> bytes:
    """The bytes of an image file, not decoded. What is no image, or cut off, is told here, where its path is known.

    Raises:
        DataError: it is too large, cut off, or of no format that is decoded.
    """
    content = file.read_bytes()
    if len(content) > LONGEST_IMAGE:
        raise DataError(f"{file} has {len(content):,} bytes, an image may have {LONGEST_IMAGE:,}; make it smaller")
    for start, end in _STARTS_AND_ENDS:
        if content.startswith(start):
            if end is not None and end not in content[len(start) :]:
                raise DataError(f"{file} is cut off: it has {len(content):,} bytes and no end; copy it again")
            return content
    raise DataError(f"{file} is no JPEG, PNG or WebP image: it starts with {show(content[:16])}; remove it")


def read_images_of(name: str, cells: Cells, folder: Path) -> tuple[np.ndarray[Any, Any], dict[int, RowError]]:
    """The image files that a table's column names, and the errors by row; the cells of such rows are None.

    Args:
        name: of the column.
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
            contents[row] = read_image(file)
        except (DataError, OSError, ValueError) as error:
            errors[row] = RowError(row, name, f"field {show(name)}: {error}")
    return contents, errors
