"""Texts with a label each: from a table, a folder, files of lines, or lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from maas.data._cells import Cells, as_objects, plain_column
from maas.data._fields import LONGEST_TEXT
from maas.data._labels import SEPARATOR
from maas.data._rows import Rows
from maas.data._sources import origin_of, read_source, read_text
from maas.data._targets import check_task, find_targets, listed, target_of, targets_of
from maas.errors import DataError, show
from maas.schema import Field, Schema

_NAMES = ("text", "texts", "review", "sentence", "content", "comment", "message", "tweet")


def read_texts(
    source: Any,
    *,
    text: str | None = None,
    target: str | Sequence[str] | None = None,
    task: str | None = None,
    separator: str = SEPARATOR,
    longest: int = LONGEST_TEXT,
    empty: str = "refuse",
    missing: Sequence[str] = (),
    delimiter: str | None = None,
    encoding: str = "utf8",
) -> Rows:
    """Read texts and what is to be predicted from them.

    A text loses the white space at its ends and nothing else: case, links, handles and width of letters are matters of
    the preprocessing, so that a served text is treated the same. Two texts that it makes alike are found by
    `rows.drop_duplicates(alike=maas.preprocess.Text.with_options(...).normalised)`.

    Args:
        source: one of
            a table (`.csv`, `.tsv`, `.parquet`, a data frame), with a column of texts and one of targets;
            a folder that holds one folder a class, with a `.txt` file a text;
            a mapping of label to the path of a file, plain or gzip, with one text a line;
            a pair `(texts, labels)` of lists, with one label a text or a list of labels; or a list of texts, which have
            no target.
        text: name of the column of texts, and of the field that clients send. Found in a table when it is the only
            column beside the target, or is called text, review, sentence, ...; otherwise "text".
        target: name of a table's target, or several; as in `maas.data.read_table`.
        task, separator: as in `maas.data.read_table`.
        longest: most characters of a text, here and when it is served.
        empty: "refuse" or "drop" texts of nothing but white space.
        missing, delimiter: of a CSV, as in `maas.data.read_table`.
        encoding: of files.

    Returns:
        Rows with one field of text. A table's other columns can be used in `split(group=..., time=...)`.

    Raises:
        DataError: the source cannot be read, or a text or a target cannot be used; the message says which.

    >>> read_texts((["good", "bad", "fine"], ["+", "-", "+"]))
    Rows(3 x 1 fields -> target (classification))
    """
    if empty not in ("refuse", "drop"):
        raise DataError(f"`empty` must be 'refuse' or 'drop', got {show(empty)}")
    if type(longest) is not int or longest < 1:
        raise DataError(f"`longest` must be a positive integer, got {show(longest)}")
    check_task(task)
    name, goal = text or "text", target if isinstance(target, str) else "target"
    found: np.ndarray[Any, Any] | None = None
    side: dict[str, np.ndarray[Any, Any]] = {}
    labels: Cells | None
    if isinstance(source, Mapping):
        texts, labels = _from_lines(source, encoding)
    elif isinstance(source, (str, Path)) and Path(source).is_dir():
        texts, labels = _from_folder(Path(source), encoding)
    elif isinstance(source, (list, tuple)):
        texts, labels = _from_lists(source)
    else:
        raw = read_source(source, missing=missing, delimiter=delimiter, encoding=encoding)
        goals = find_targets(target, raw)
        name = _find_text(text, goals, raw)
        texts, labels = list(raw[name].strings), None
        found, goal, task = targets_of(goals, raw, task, {}, separator=separator)
        side = {column: cells.values for column, cells in raw.items() if column not in (name, *goals)}
    cleaned = [one.strip() if isinstance(one, str) else one for one in texts]
    column = as_objects("" if one is None else one for one in cleaned)
    schema = Schema((Field(name, "text", "string", longest=longest),))
    columns, errors = schema.check({name: column}, len(column))
    if errors:
        raise errors[min(errors)]
    if labels is not None:
        found, task = target_of(goal, labels, task, None, separator=separator)
    task = None if found is None else task
    rows = Rows(schema, columns, found, goal, task, side, source=origin_of(source, "texts"))
    blank = np.array([not one for one in columns[name]], bool)
    if blank.any() and empty == "refuse":
        raise DataError(
            f"{int(blank.sum())} of {len(rows)} texts are empty, the first is row {int(np.flatnonzero(blank)[0])}; "
            f"leave them out with empty='drop'"
        )
    if blank.all():
        raise DataError("there is no text in the source")
    return rows.take(np.flatnonzero(~blank)) if blank.any() else rows


def _from_lines(files: Mapping[Any, Any], encoding: str) -> tuple[list[Any], Cells]:
    texts: list[str] = []
    labels: list[Any] = []
    for label, path in files.items():
        lines = read_text(Path(path), encoding).split("\n")
        lines = lines[:-1] if not lines[-1] else lines  # the end of the last line begins no other
        texts += lines
        labels += [label] * len(lines)
    if not texts:
        raise DataError("a mapping of label to file names no file with a line")
    return texts, plain_column("target", labels)


def _from_folder(folder: Path, encoding: str) -> tuple[list[Any], Cells]:
    paths = sorted(path for path in folder.glob("*/*.txt") if path.is_file())
    if not paths:
        raise DataError(f"{folder} must hold one folder a class with .txt files in it, got none")
    return [read_text(path, encoding) for path in paths], plain_column("target", [path.parent.name for path in paths])


def _from_lists(source: Sequence[Any]) -> tuple[list[Any], Cells | None]:
    if isinstance(source, list):
        return list(source), None
    if len(source) != 2 or any(isinstance(part, (str, bytes)) or not hasattr(part, "__len__") for part in source):
        raise DataError("texts in memory are a pair (texts, labels) of lists, or one list of texts")
    texts, labels = list(source[0]), list(source[1])
    if len(texts) != len(labels):
        raise DataError(f"there must be a label for each text, got {len(texts)} texts and {len(labels)} labels")
    plain = [label.item() if isinstance(label, np.generic) else label for label in labels]
    return texts, plain_column("target", plain)


def _find_text(text: str | None, targets: Sequence[str], raw: Mapping[str, Cells]) -> str:
    if text is not None:
        if text not in raw or text in targets:
            raise DataError(f"`text` names no column beside the target: got {show(text)}, there are {listed(raw)}")
        return text
    others = [name for name in raw if name not in targets]
    named = [name for name in others if name.lower() in _NAMES]
    found = others if len(others) == 1 else named
    if len(found) != 1:
        raise DataError(f"say which column holds the texts with `text`; there are {listed(raw)}")
    return found[0]
