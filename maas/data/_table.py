"""What the columns of a table are: fields with a kind, a target with a task."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from maas.data._encoded import LONGEST, READERS, read_files_of
from maas.data._labels import SEPARATOR, columns_of_labels, label_sets
from maas.data._lists import as_steps, sequence_field
from maas.data._rows import Rows
from maas.data._sources import Cells, as_objects, parse_number, read_source
from maas.errors import DataError, RowError, show
from maas.schema import Columns, Field, Schema, suggestion

KINDS = ("numeric", "categorical", "boolean", "image", "audio", "text", "sequence")
TASKS = ("classification", "regression", "multilabel", "anomaly")
LONGEST_TEXT = 100_000
_TARGET_NAMES = ("target", "label", "class", "y")
_MOST_CLASSES_OF_INTEGERS = 20
_BOOLEANS = {"true": True, "false": False, "yes": True, "no": False, "1": True, "0": False}


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
    name = source if isinstance(source, (str, Path)) else f"a {type(source).__module__.split('.')[0]} frame"
    if task is not None and task not in TASKS:
        raise DataError(f"`task` must be one of {', '.join(TASKS)}, got {show(task)}")
    goals = _find_targets(target, raw)
    for asked, named in (("drop", drop), ("types", types)):
        for column in named:
            if column not in raw:
                raise DataError(f"`{asked}` names no column: got {show(column)}, there are {_listed(raw)}")
    for column, kind in types.items():
        if kind not in KINDS:
            raise DataError(f"`types` says {show(kind)} of column {show(column)}; it must be one of {', '.join(KINDS)}")
    if dropped := [name for name in goals if name in drop]:
        raise DataError(f"{show(dropped[0])} is the target and cannot be dropped")

    features = {column: cells for column, cells in raw.items() if column not in drop and column not in goals}
    schema = Schema(tuple(_field_of(column, cells, types.get(column)) for column, cells in features.items()))
    columns, errors = _checked(schema, features, source)
    if errors:
        raise errors[min(errors)]
    goal, goal_name, task = _targets_of(goals, raw, task, types, separator=separator)
    side = {column: raw[column].values for column in drop}
    return Rows(schema, columns, goal, goal_name, task, side, source=str(name)).observed()


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
    columns, errors = _checked(schema, raw, source)
    kept = {name: raw[name].values for name in side if name in raw and name not in schema.names}
    if target is None:
        return Rows(schema, columns, side=kept, source=str(source)), errors
    names = target.split(",") if target not in raw and task == "multilabel" else [target]
    if missed := [name for name in names if name not in raw]:
        raise DataError(f"the target {show(missed[0])} names no column, there are {_listed(raw)}")
    goal, _, task = _targets_of(names, raw, task, {}, separator=separator, as_text=text_target)
    return Rows(schema, columns, goal, target, task, kept, source=str(source)), errors


def _field_of(name: str, cells: Cells, kind: str | None) -> Field:
    """What a feature column is."""
    if cells.kind == "empty":
        raise DataError(f"column {show(name)} is empty in every row; leave it out with drop=[{name!r}]")
    nullable = bool(cells.missing.any())
    if kind == "sequence":
        return sequence_field(name, cells)
    if kind is not None and kind in ("text", *READERS):
        return _whole_field(name, cells, kind)
    if cells.kind in ("bytes", "lists"):
        one = "image" if cells.kind == "bytes" else "sequence"
        raise DataError(
            f"column {show(name)} holds {cells.kind}; say types={{{name!r}: {one!r}}} where each is one {one}, or "
            f"leave it out with drop=[{name!r}]"
        )
    if kind == "categorical" or (kind is None and cells.kind == "category"):
        return Field(name, "categorical", "label", nullable=nullable)
    if cells.kind == "date":
        by = (
            "in split(time=...)"
            if cells.values.dtype.kind == "M"
            else "in split(group=...), and by time once it is ISO 8601"
        )
        raise DataError(
            f"column {show(name)} holds dates or times, and a date is not a number to learn from: derive what matters "
            f"(hour, weekday, days since ...) or leave it out with drop=[{name!r}]; it stays usable {by}"
        )
    if cells.kind == "number":
        infinite = np.flatnonzero(np.isinf(cells.values))
        if len(infinite):
            row = int(infinite[0])
            raise DataError(
                f"column {show(name)} must be finite, got {cells.values[row]} in row {row}; replace it, or leave it "
                f"empty"
            )
        if cells.holds_identifiers:
            raise DataError(
                f"column {show(name)} holds integers beyond 2**53, which no longer differ as numbers: an identifier? "
                f"Leave it out with drop=[{name!r}], or say types={{{name!r}: 'categorical'}}"
            )
    if kind is None and cells.kind in ("text", "category"):
        return _text_field(name, cells, nullable)
    kind = kind or ("boolean" if cells.kind == "boolean" else "numeric")
    field = Field(name, kind, "boolean" if kind == "boolean" else "number", nullable=nullable)
    accepted = (bool, np.bool_) if kind == "boolean" else (float, np.floating)
    for row, value in enumerate(_cast(field, cells)):
        if value is not None and not isinstance(value, accepted):
            wanted = "true or false" if kind == "boolean" else "numbers"
            raise DataError(f"column {show(name)} cannot be {kind}: row {row} has {show(value)}, which is not {wanted}")
    return field


def _whole_field(name: str, cells: Cells, kind: str) -> Field:
    """An image, a sound or a text a row. None may be missing: there is nothing to put in its place."""
    blank = cells.missing
    if kind == "text":
        blank = np.array([one is None or not one.strip() for one in cells.strings], bool)
    if blank.any():
        rows = np.flatnonzero(blank).tolist()
        shown = ", ".join(map(str, rows[:5])) + (f" and {len(rows) - 5} more" if len(rows) > 5 else "")
        raise DataError(
            f"column {show(name)} has no {kind} in {len(rows)} of {len(blank)} rows: {shown}; remove these rows, or "
            f"leave the column out with drop=[{name!r}]"
        )
    if kind == "text":
        return Field(name, "text", "string", longest=LONGEST_TEXT)
    return Field(name, kind, "bytes", longest=LONGEST)


def _text_field(name: str, cells: Cells, nullable: bool) -> Field:
    present = [(row, label) for row, label in enumerate(cells.labels) if label is not None]
    odd = [(row, label) for row, label in present if parse_number(label) is None]
    if len(odd) <= len(present) // 2:
        if not odd:
            return Field(name, "numeric", "number", nullable=nullable)
        row, label = odd[0]
        raise DataError(
            f"column {show(name)} holds numbers but for {len(odd)} of {len(present)} cells, the first in row {row}: "
            f"{show(label)}. Correct them, name them as missing with missing=[{label!r}], or say "
            f"types={{{name!r}: 'categorical'}}"
        )
    different = len({label for _, label in present})
    if different > 50 and different > len(present) // 2:
        raise DataError(
            f"column {show(name)} has {different:,} different texts in {len(present):,} rows, such as "
            f"{show(present[0][1])}: a name, an identifier or free text is not a category. Leave it out with "
            f"drop=[{name!r}], or say types={{{name!r}: 'categorical'}}, or 'text' to have it read"
        )
    return Field(name, "categorical", "label", nullable=nullable)


def _checked(schema: Schema, raw: Mapping[str, Cells], source: Any) -> tuple[Columns, dict[int, RowError]]:
    """The columns of a schema's fields in canonical form, and the errors by row."""
    folder = Path(source).parent if isinstance(source, (str, Path)) else Path()
    wanted: dict[str, np.ndarray[Any, Any]] = {}
    unread: dict[int, RowError] = {}
    for field in schema.fields:
        if field.name not in raw:
            continue  # optional
        if field.kind in READERS and raw[field.name].kind != "bytes":
            wanted[field.name], errors = read_files_of(field.name, field.kind, raw[field.name], folder)
            unread = {**errors, **unread}
        else:
            wanted[field.name] = _cast(field, raw[field.name])
    columns, errors = schema.check(wanted, len(next(iter(raw.values())).values), unread)
    return columns, {**errors, **unread}


def _cast(field: Field, cells: Cells) -> np.ndarray[Any, Any]:
    """A column's cells as a field wants them, as far as they can be; the rest is left for the check to refuse."""
    if field.dtype in ("bytes", "string"):
        return cells.values if cells.kind == "bytes" else as_objects(_stripped(one) for one in cells.strings)
    if cells.kind == "lists":
        steps = field.shape[:1] == (None,) and field.dtype != "label"
        return as_objects(as_steps(one) if steps else one for one in cells.values)
    if field.dtype == "label":
        return cells.labels
    if field.dtype == "number":
        if cells.kind == "number":
            return cells.values
        return as_objects(_number(value, label) for value, label in zip(cells.values, cells.labels, strict=True))
    if field.dtype == "boolean":
        return as_objects(
            None if label is None else _BOOLEANS.get(label.strip().lower(), label) for label in cells.labels
        )
    return cells.labels


def _stripped(text: str | None) -> str | None:
    return None if text is None else text.strip()


def _number(value: Any, label: str | None) -> float | str | None:
    if label is None:
        return None
    if isinstance(value, bool):
        return float(value)
    number = parse_number(label)
    return label if number is None else number


def _targets_of(
    names: Sequence[str],
    raw: Mapping[str, Cells],
    task: str | None,
    types: Mapping[str, str],
    *,
    separator: str = SEPARATOR,
    as_text: bool = False,
) -> tuple[np.ndarray[Any, Any] | None, str, str | None]:
    """The values of no, one or several target columns in canonical form, their name, and the task they stand for."""
    if not names:
        if task not in (None, "anomaly"):
            raise DataError(f"say which column to predict with `target`; there are {_listed(raw)}")
        return None, "target", None
    if len(names) == 1:
        name = names[0]
        goal, task = _target_of(name, raw[name], task, types.get(name), as_text=as_text, separator=separator)
        return goal, name, task
    if task not in (None, "multilabel"):
        raise DataError(f"several target columns are several labels a row; say task='multilabel', got {show(task)}")
    if odd := [name for name in names if "," in name]:
        raise DataError(f"a label's column must have no comma in its name, got {show(odd[0])}; rename it")
    return columns_of_labels(names, raw), ",".join(names), "multilabel"


def _target_of(
    name: str,
    cells: Cells,
    task: str | None,
    kind: str | None,
    *,
    as_text: bool = False,
    separator: str = SEPARATOR,
) -> tuple[np.ndarray[Any, Any], str]:
    """The target's values in canonical form, and the task they stand for."""
    if task == "multilabel" or (task is None and cells.kind == "lists"):
        return label_sets(name, cells, separator), "multilabel"
    if cells.kind == "lists":
        raise DataError(f"the target {show(name)} holds lists: several labels a row? Say task='multilabel'")
    gaps = np.flatnonzero(cells.missing)
    if len(gaps):
        raise DataError(
            f"the target {show(name)} is missing in {len(gaps)} of {len(cells.missing)} rows, the first is row "
            f"{gaps[0]}; remove such rows"
        )
    if cells.kind == "date":
        raise DataError(f"the target {show(name)} holds dates; predict a number of days or hours instead")
    if cells.kind in ("bytes", "lists"):
        raise DataError(f"the target {show(name)} holds {cells.kind}, and one number or label a row is wanted")
    if cells.kind == "number":
        _check_finite(name, cells.values)
        whole = bool((cells.values == np.round(cells.values)).all())
        if task != "regression" and cells.holds_identifiers:
            raise DataError(
                f"the target {show(name)} holds integers beyond 2**53, which no longer differ as numbers; write "
                f"classes as text, or say task='regression'"
            )
        few = whole and len(np.unique(cells.values)) <= _MOST_CLASSES_OF_INTEGERS
        task = task or ("classification" if kind == "categorical" or (few and kind != "numeric") else "regression")
        if task == "regression":
            return cells.values, task
        if as_text:
            return cells.labels, task
        if not whole:
            row = int(np.flatnonzero(cells.values != np.round(cells.values))[0])
            raise DataError(
                f"the target {show(name)} holds fractions ({cells.values[row]:g} in row {row}), which are no classes; "
                f"say task='regression'"
            )
        return as_objects(int(value) for value in cells.values), task
    if task == "regression":
        numbers = [_number(value, label) for value, label in zip(cells.values, cells.labels, strict=True)]
        odd = [row for row, number in enumerate(numbers) if not isinstance(number, float)]
        if odd:
            raise DataError(
                f"the target {show(name)} of a regression must be numbers, got {show(numbers[odd[0]])} in row {odd[0]}"
            )
        values = np.array(numbers, np.float64)
        _check_finite(name, values)
        return values, task
    return (cells.labels if as_text else cells.values), task or "classification"


def _check_finite(name: str, values: np.ndarray[Any, Any]) -> None:
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values))[0])
        raise DataError(f"the target {show(name)} must be finite, got {values[row]} in row {row}")


def _find_targets(target: str | Sequence[str] | None, raw: Mapping[str, Cells]) -> list[str]:
    """The columns to predict: none where none is named and none is called as a target is."""
    if target is None:
        found = [name for name in raw if name.lower() in _TARGET_NAMES]
        if len(found) > 1:
            raise DataError(f"say which column to predict with `target`; there are {_listed(raw)}")
        return found
    names = [target] if isinstance(target, str) else list(target)
    for name in names:
        if name not in raw:
            raise DataError(f"`target` names no column: got {show(name)}, there are {_listed(raw)}")
    if not isinstance(target, str) and (len(names) < 2 or len(set(names)) < len(names)):
        raise DataError(f"several labels a row need two different columns or more in `target`, got {names}")
    return names


def _listed(names: Iterable[Any]) -> str:
    shown = [show(name) for name in names]
    return ", ".join(shown[:20]) + (f" and {len(shown) - 20} more" if len(shown) > 20 else "")
