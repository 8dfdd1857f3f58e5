"""Files of many images: IDX, as MNIST comes in, and the binary version of CIFAR."""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from maas.data._sources import GZIP
from maas.errors import DataError, show

_UBYTE = b"\0\0\x08"
_PIXELS = 3 * 32 * 32


def is_idx(path: Path) -> bool:
    """Whether a file starts as an IDX file of bytes does, plain or gzip."""
    if not path.is_file():
        return False
    with open(path, "rb") as file:
        start = file.read(3)
    if start[:2] == GZIP:
        try:
            with gzip.open(path) as file:
                start = file.read(3)
        except (OSError, EOFError, zlib.error):
            return False
    return start == _UBYTE


def read_idx(path: Path) -> np.ndarray[Any, Any]:
    """An IDX file of bytes, plain or gzip: uint8 of the shape that its header says.

    Raises:
        DataError: it is missing, no such file, or not as long as its header says.

    Source: LeCun, Cortes and Burges, "The MNIST database", file formats.
    """
    content = _content(path)
    if content[:2] == GZIP:
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{path} is a damaged gzip file: {error}; copy it again") from error
    if content[:3] != _UBYTE or len(content) < 4 + 4 * content[3]:
        raise DataError(f"{path} is no IDX file of bytes: it starts with {show(content[:4])}, not b'\\x00\\x00\\x08'")
    axes = content[3]
    shape = tuple(int(size) for size in np.frombuffer(content, ">u4", axes, 4))
    held = len(content) - 4 - 4 * axes
    if held != math.prod(shape):
        raise DataError(f"{path} should hold {math.prod(shape):,} bytes by its header {shape}, got {held:,}")
    return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape)


def read_cifar(
    source: str | Path | Sequence[str | Path], target: str | None
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Files of CIFAR-10 or CIFAR-100, binary version.

    Args:
        source: their folder, which stands for its training part, one `.bin` file, or several.
        target: of CIFAR-100, "fine" (the default) or "coarse".

    Returns:
        Images, uint8 of shape (rows, 32, 32, 3), and one label a row: its name where the file of names stands beside
        the images, else its number.

    Raises:
        DataError: a file is missing or not of this format.

    Source: Krizhevsky, "The CIFAR-10 and CIFAR-100 datasets", binary version.
    """
    if isinstance(source, (str, Path)):
        folder = Path(source)
        files = [folder]
        if folder.is_dir():
            files = sorted(folder.glob("data_batch_*.bin")) or sorted(folder.glob("train.bin"))
            if not files:
                raise DataError(f"{folder} has neither data_batch_*.bin nor train.bin; name the .bin files to read")
    else:
        files = [Path(one) for one in source]
    parts = [_cifar_records(file) for file in files]
    num_labels = {part.shape[1] - _PIXELS for part in parts}
    if len(num_labels) > 1:
        raise DataError("the .bin files are of CIFAR-10 and of CIFAR-100; read them apart")
    (count,) = num_labels
    if target is not None and (count == 1 or target not in ("fine", "coarse")):
        raise DataError(f"`target` is 'fine' or 'coarse', and for CIFAR-100 only, got {show(target)}; leave it out")
    records = np.concatenate(parts)
    labels = records[:, 0 if target == "coarse" else count - 1]
    images = records[:, count:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    kind = "batches.meta.txt" if count == 1 else f"{target or 'fine'}_label_names.txt"
    return images, _named(labels, files[0].parent / kind)


def _cifar_records(path: Path) -> np.ndarray[Any, Any]:
    """uint8 of shape (rows, labels + 3072): one label a row in CIFAR-10, two in CIFAR-100."""
    content = np.frombuffer(_content(path), np.uint8)
    fits = [count for count in (1, 2) if len(content) % (count + _PIXELS) == 0]
    if not len(content) or not fits:
        raise DataError(
            f"{path} is no CIFAR file: {len(content):,} bytes are no whole number of images of 3,073 or 3,074"
        )
    # The first byte of a record is a label: below 10, or a coarse one below 20. It settles which of two fits.
    for count in fits:
        records = content.reshape(-1, count + _PIXELS)
        if records[:, 0].max() < (10 if count == 1 else 20) and records[:, count - 1].max() < (
            10 if count == 1 else 100
        ):
            return records
    raise DataError(f"{path} is no CIFAR file: it has labels above those of CIFAR-10 and CIFAR-100")


def _named(labels: np.ndarray[Any, Any], names_file: Path) -> np.ndarray[Any, Any]:
    if not names_file.is_file():
        return labels
    names = np.array([line.strip() for line in names_file.read_text().splitlines() if line.strip()])
    if labels.max() >= len(names):
        raise DataError(f"{names_file} has {len(names)} names, the labels go up to {labels.max()}; complete it")
    named: np.ndarray[Any, Any] = names[labels]
    return named


def _content(path: Path) -> bytes:
    if not path.is_file():
        raise DataError(f"there is no file {path}")
    return path.read_bytes()
