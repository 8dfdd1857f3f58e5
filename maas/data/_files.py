"""Files that are a row each, of images or sounds: in a folder for each class, or in a table of paths."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from maas.data._cells import as_objects, plain_column
from maas.data._rows import Rows
from maas.data._sources import origin_of, read_source
from maas.data._targets import find_targets, listed, target_of, targets_of
from maas.errors import DataError, show
from maas.schema import Field, Schema

TABLES = (".csv", ".tsv", ".parquet", ".pq")
_PATH_NAMES = ("path", "file", "filename", "file_name")


@dataclass(frozen=True)
class Medium:
    """What kind of files they are.

    Args:
        field: that the files become.
        things: what to call several of them in a message.
        suffixes: of files in a folder, lower case; others are passed over.
        read: the bytes of a file. What is not of this medium, or cut off, is told here, where its path is known.
    """

    field: Field
    things: str
    suffixes: tuple[str, ...]
    read: Callable[[Path], bytes]


def from_folder(folder: Path, task: str | None, medium: Medium) -> Rows:
    """Rows of a folder with one folder of files for each class, or of files without a target, sorted by path."""
    classes = sorted(one for one in folder.iterdir() if one.is_dir() and not one.name.startswith("."))
    if not classes:
        files = sorted(one for one in folder.iterdir() if one.suffix.lower() in medium.suffixes and one.is_file())
        if not files:
            raise DataError(f"{folder} has no folders; give it one folder of {medium.things} for each class")
        side = {"path": as_objects(map(str, files))}
        columns = {medium.field.name: as_objects(map(medium.read, files))}
        return Rows(Schema((medium.field,)), columns, side=side, source=str(folder))
    files = []
    labels: list[str] = []
    for place in classes:
        found = sorted(one for one in place.rglob("*") if one.suffix.lower() in medium.suffixes and one.is_file())
        if not found:
            raise DataError(
                f"the class folder {place} has no {medium.things} ({', '.join(medium.suffixes)}); fill it or remove it"
            )
        files += found
        labels += [place.name] * len(found)
    goal, task = target_of("class", plain_column("class", labels), task, None)
    side = {"path": as_objects(map(str, files))}
    columns = {medium.field.name: as_objects(map(medium.read, files))}
    return Rows(Schema((medium.field,)), columns, goal, "class", task, side, source=str(folder))


def from_table(
    source: Any,
    target: str | Sequence[str] | None,
    task: str | None,
    separator: str,
    path: str | None,
    root: str | Path | None,
    medium: Medium,
) -> Rows:
    """Rows of a table with a column of paths."""
    raw = read_source(source, missing=(), delimiter=None, encoding="utf8")
    goals = find_targets(target, raw)
    if path is None:
        names = (*_PATH_NAMES, medium.field.name)
        found = [name for name in raw if name.lower() in names and name not in goals]
        if len(found) != 1:
            raise DataError(f"say which column has the paths with `path`; there are {listed(raw)}")
        path = found[0]
    elif path not in raw or path in goals:
        raise DataError(f"`path` names no column, or the target: got {show(path)}, there are {listed(raw)}")
    folder = Path(root) if root is not None else Path(source).parent if isinstance(source, (str, Path)) else Path()
    if not folder.is_dir():
        raise DataError(f"`root` must be a folder, got {show(str(folder))}")
    cells = raw[path].labels
    if raw[path].missing.any():
        raise DataError(
            f"column {show(path)} has no path in row {int(np.flatnonzero(raw[path].missing)[0])}; remove it"
        )
    files = [folder / cell for cell in cells]
    for row, file in enumerate(files):
        if not file.is_file():
            raise DataError(f"row {row}: there is no file {file}; paths start from {folder}, say `root=` for another")
    goal, goal_name, task = targets_of(goals, raw, task, {}, separator=separator)
    side = {name: column.values for name, column in raw.items() if name not in (path, *goals)}
    side["path"] = cells
    columns = {medium.field.name: as_objects(map(medium.read, files))}
    return Rows(Schema((medium.field,)), columns, goal, goal_name, task, side, source=origin_of(source))
