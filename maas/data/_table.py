"""Tables to rows: files and data frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from maas.data._fields import KINDS, checked, field_of
from maas.data._labels import SEPARATOR
from maas.data._rows import Rows
from maas.data._sources import origin_of, read_source
from maas.data._targets import check_task, find_targets, listed, targets_of
from maas.errors import DataError, RowError, show
from maas.schema import Schema, suggestion


def read_table(
    source: Any,
    *,
    target: str | Sequence[str] | None = None,
    task: str | None = None,
    separator: str = SEPARATOR,
    drop: Sequence[str] = (),
    types: Mapping[str, str] | None = None,
    missing: Sequence[str] = (),
    delimiter: str | None = None,
    encoding: str = "utf8",
) -> Rows:
    """Read a table and find out what its columns are.

    A column of numbers is "numeric", of text "categorical", of true and false "boolean". What would be a guess is
    refused with advice: dates, text among numbers, text that differs in nearly every row. A column of images, sounds
    or free text is one where `types` says so; beside other columns it makes mixed rows, which `maas.nn.Fusion` takes.

    Args:
        source: path of a `.csv`, `.tsv` or `.parquet` file, or a data frame (pandas, polars, pyarrow, ...).
        target: name of the column to predict, or for several labels a row the names of columns that say true or false,
            one a label. Found when one is called target, label, class or y; without one the rows have no target.
        task: "classification", "regression", "multilabel" or "anomaly". Found: text, booleans and up to 20 different
            integers are classes; lists, and several columns, are several labels a row.
        separator: what stands between the labels of a row where one column of text holds them: "red|blue".
        drop: columns to keep from the network. They stay usable in `split(group=..., time=...)`.
        types: kind of a column by name, where it is not what it looks like: "numeric", "categorical", "boolean",
            "text", "image" or "audio": the paths of JPEG, PNG or WebP, of WAV or FLAC files, which start from the
            table's folder (of a data frame: from the current one), or, in a data frame or a Parquet file, their bytes;
            or "sequence", of which those hold numbers of shape (steps,) or (steps, channels) in each cell.
        missing: further spellings of a missing value in a CSV, such as "?". Known already: an empty cell, NA, N/A,
            #N/A, NaN, null, None.
        delimiter: of a CSV; by default a comma, in a `.tsv` a tab.
        encoding: of a CSV.

    Returns:
        The rows, ready for `split`.

    Raises:
        DataError: the file, a column or a value cannot be used; the message says which and what to do.

    >>> import pandas
    >>> read_table(pandas.DataFrame({"size": [1.0, 2.5], "colour": ["red", "blue"], "y": [0, 1]}))
    Rows(2 x 2 fields -> y (classification))
    """
    types = dict(types or {})
    if isinstance(drop, str):
        raise DataError(f"`drop` is a list of column names, got {show(drop)}; write drop=[{drop!r}]")
    raw = read_source(source, missing=missing, delimiter=delimiter, encoding=encoding)
    check_task(task)
    goals = find_targets(target, raw)
    for asked, named in (("drop", drop), ("types", types)):
        for column in named:
            if column not in raw:
                raise DataError(f"`{asked}` names no column: got {show(column)}, there are {listed(raw)}")
    for column, kind in types.items():
        if kind not in KINDS:
            raise DataError(f"`types` says {show(kind)} of column {show(column)}; it must be one of {', '.join(KINDS)}")
    if dropped := [name for name in goals if name in drop]:
        raise DataError(f"{show(dropped[0])} is the target and cannot be dropped")

    features = {column: cells for column, cells in raw.items() if column not in drop and column not in goals}
    schema = Schema(tuple(field_of(column, cells, types.get(column)) for column, cells in features.items()))
    columns, errors = checked(schema, features, source)
    if errors:
        raise errors[min(errors)]
    goal, goal_name, task = targets_of(goals, raw, task, types, separator=separator)
    side = {column: raw[column].values for column in drop}
    return Rows(schema, columns, goal, goal_name, task, side, source=origin_of(source)).observed()


def read_columns(
    source: Any,
    schema: Schema,
    *,
    target: str | None = None,
    task: str | None = None,
    text_target: bool = False,
    separator: str = SEPARATOR,
    side: Sequence[str] = (),
    missing: Sequence[str] = (),
    delimiter: str | None = None,
    encoding: str = "utf8",
) -> tuple[Rows, dict[int, RowError]]:
    """Read a table as the rows of a schema that is already known: a stored model's, say.

    Args:
        source, missing, delimiter, encoding: as in `read_table`.
        schema: the fields wanted. Other columns are passed over.
        target: name of the target's column, when its values are wanted; of several labels' columns "a,b,c".
        task, separator: as in `read_table`; the task is wanted with `target`.
        text_target: the classes are texts, so "01" is not the number 1.
        side: further columns to keep, where the table has them: to tell scores apart by.

    Returns:
        The rows, and the errors by row. The cells of a row in error hold placeholders.

    Raises:
        DataError: the file cannot be read, or a column is missing.
    """
    raw = read_source(source, missing=missing, delimiter=delimiter, encoding=encoding)
    present = [name for name in schema.names if name in raw]
    for field in schema.fields:
        if field.name not in raw and not (field.optional and present):
            raise DataError(f"column {show(field.name)} is missing" + suggestion(field.name, raw))
    columns, errors = checked(schema, raw, source)
    kept = {name: raw[name].values for name in side if name in raw and name not in schema.names}
    if target is None:
        return Rows(schema, columns, side=kept, source=str(source)), errors
    names = target.split(",") if target not in raw and task == "multilabel" else [target]
    if missed := [name for name in names if name not in raw]:
        raise DataError(f"the target {show(missed[0])} names no column, there are {listed(raw)}")
    goal, _, task = targets_of(names, raw, task, {}, separator=separator, as_text=text_target)
    return Rows(schema, columns, goal, target, task, kept, source=str(source)), errors
