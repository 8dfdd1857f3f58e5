"""Images to rows with one field, `image`: from folders, arrays, tables of paths, IDX files and CIFAR's binary files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from maas.data._arrays import as_array, target_cells
from maas.data._cells import as_objects
from maas.data._encoded import LONGEST, read_image
from maas.data._files import TABLES, Medium, from_folder, from_table
from maas.data._image_files import is_idx, read_cifar, read_idx
from maas.data._labels import SEPARATOR
from maas.data._rows import Rows
from maas.data._targets import check_task, target_of
from maas.errors import DataError, show
from maas.schema import Field, Schema

FIELD = Field("image", "image", "bytes", longest=LONGEST)
_IMAGES = Medium(FIELD, "images", (".jpg", ".jpeg", ".png", ".webp"), read_image)


def read_images(
    source: Any,
    *,
    target: str | Sequence[str] | None = None,
    task: str | None = None,
    separator: str = SEPARATOR,
    path: str | None = None,
    root: str | Path | None = None,
) -> Rows:
    """Read images with their targets.

    Args:
        source: one of
            - a folder with one folder of JPEG, PNG or WebP files for each class, `cats/1.jpg`, `dogs/2.png`; or with
              such files and no folder, which have no target;
            - a pair of arrays or tensors `(X, y)`: X uint8 of shape (rows, height, width), or with channels last, 1 or
              3 of them;
            - a pair of paths `(images, labels)` of IDX files, as MNIST comes in, plain or gzip;
            - CIFAR's binary version: its folder (the training part), or the path of one `.bin` file, or a list of them;
            - a table of paths: a `.csv`, `.tsv` or `.parquet` file, or a data frame.
        target: of a table, the column to predict, or several; as in `maas.data.read_table`. Of CIFAR-100, "fine" (the
            default) or "coarse".
        task, separator: as in `maas.data.read_table`.
        path: of a table, the column of paths; found when one is called path, file, filename, file_name or image.
        root: of a table, the folder that its paths start from; by default that of the file.

    Returns:
        Rows with one field `image`, encoded, in the order of the source (of a folder: sorted by path). A table's other
        columns, and the path of each file as `path`, stay usable in `split(group=..., time=...)`.

    Raises:
        DataError: a file is missing or no image, a folder is empty, sizes do not match, or an argument does not suit
            the source; the message says which and what to do. A damaged image is found when it is decoded.
    """
    check_task(task)
    form = _form(source)
    for name, value, forms in (
        ("target", target, ("a table", "CIFAR files")),
        ("path", path, ("a table",)),
        ("root", root, ("a table",)),
    ):
        if value is not None and form not in forms:
            raise DataError(f"`{name}` is for {' and '.join(forms)}, the source is {form}; leave it out")
    if form == "a table":
        return from_table(source, target, task, separator, path, root, _IMAGES)
    if form == "CIFAR files":
        if not isinstance(target, (str, type(None))):
            raise DataError(f"`target` of CIFAR-100 is 'fine' or 'coarse', got {show(target)}")
        images, labels = read_cifar(source, target)
        return _from_arrays(images, labels, task, form, target or "y")
    if form == "IDX files":
        return _from_idx(source, task)
    if form == "a folder":
        return from_folder(Path(source), task, _IMAGES)
    x, y = source
    return _from_arrays(x, y, task, form, "y")


def _form(source: Any) -> str:
    """What a source is."""
    if isinstance(source, (str, Path)):
        folder = Path(source)
        if not folder.exists():
            raise DataError(f"there is no file or folder {folder}")
        if folder.suffix.lower() == ".bin" or (folder.is_dir() and any(folder.glob("*.bin"))):
            return "CIFAR files"
        if folder.is_dir():
            return "a folder"
        if folder.suffix.lower() in TABLES:
            return "a table"
        if is_idx(folder):
            raise DataError(f"{folder} is one IDX file; give the pair (images, labels)")
        raise DataError(
            f"{folder} is no folder, no table of paths ({', '.join(TABLES)}) and no CIFAR file (.bin); a single image "
            f"is no training set"
        )
    if isinstance(source, (tuple, list)) and source and all(isinstance(one, (str, Path)) for one in source):
        if all(Path(one).suffix.lower() == ".bin" for one in source):
            return "CIFAR files"
        if len(source) == 2:
            return "IDX files"
    if isinstance(source, tuple) and len(source) == 2:
        return "a pair of arrays"
    if hasattr(source, "columns") or hasattr(source, "column_names"):
        return "a table"
    raise DataError(
        f"images come from a folder, a pair (X, y) of arrays, a pair (images, labels) of IDX files, CIFAR's .bin files "
        f"or a table of paths, got {show(source)}"
    )


def _from_idx(source: Sequence[str | Path], task: str | None) -> Rows:
    images, labels = (read_idx(Path(one)) for one in source)
    if images.ndim != 3 or labels.ndim != 1:
        raise DataError(
            f"the pair of IDX files must be images (3 axes), then labels (1 axis), got {images.ndim} and {labels.ndim} "
            f"axes; is their order right?"
        )
    return _from_arrays(images, labels, task, str(source[0]), "y")


def _from_arrays(x: Any, y: Any, task: str | None, source: str, name: str) -> Rows:
    images = as_array(x, "X")
    if images.dtype != np.uint8:
        raise DataError(
            f"X must be uint8, from 0 to 255, got {images.dtype}; scale it first: (X * 255).round().astype('uint8') "
            f"where X is from 0 to 1"
        )
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or images.shape[3] not in (1, 3) or not images.size:
        raise DataError(
            f"X must be images of shape (rows, height, width), (rows, height, width, 1) or (rows, height, width, 3), "
            f"got {np.shape(x)}; channels come last"
        )
    goal, task = target_of(name, target_cells(y, len(images), "images of X"), task, None)
    return Rows(Schema((FIELD,)), {"image": as_objects(_encoded(images))}, goal, name, task, source=source)


def _encoded(images: np.ndarray[Any, Any]) -> Iterable[bytes]:
    """uint8 of shape (rows, height, width, channels) as PNG files, which lose nothing and are decoded as in serving."""
    import torch
    from torchvision.io import encode_png

    for image in images:
        yield encode_png(torch.from_numpy(image.transpose(2, 0, 1).copy())).numpy().tobytes()
