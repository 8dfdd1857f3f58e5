"""Tables: CSV, Parquet, or any data frame that narwhals knows, to rows with typed fields."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from maas.data._rows import Rows
from maas.errors import DataError, RowError, show
from maas.schema import Columns, Field, Schema, label_text

KINDS = ("numeric", "categorical", "boolean")
TASKS = ("classification", "regression")
_TARGET_NAMES = ("target", "label", "class", "y")
_NULLS = ("", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "null", "NULL", "None")
_DATE = re.compile(r"\d{4}[-/]\d{1,2}[-/]\d{1,2}([ T].*)?|\d{1,2}[-/.]\d{1,2}[-/.]\d{4}([ T].*)?")
_MOST_CLASSES_OF_INTEGERS = 20
_Column = list[Any] | np.ndarray[Any, Any]


def read_table(
    source: Any,
    *,
    target: str | None = None,
    task: str | None = None,
    drop: Sequence[str] = (),
    types: Mapping[str, str] | None = None,
    missing: Sequence[str] = (),
    delimiter: str | None = None,
    encoding: str = "utf8",
) -> Rows:
    """Read a table and find out what its columns are.

    A column of numbers is "numeric", of text "categorical", of true and false "boolean". What would be a guess is
    refused with advice: dates, text among numbers, text that differs in nearly every row.

    Args:
        source: path of a `.csv`, `.tsv` or `.parquet` file, or a data frame (pandas, polars, pyarrow, ...).
        target: name of the column to predict. Found when one is called target, label, class or y.
        task: "classification" or "regression". Found: text, booleans and up to 20 different integers are classes.
        drop: columns to keep from the network. They stay usable in `split(group=..., time=...)`.
        types: kind of a column by name, "numeric", "categorical" or "boolean", where it is not what it looks like.
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
    raw = _columns_of(source, missing=missing, delimiter=delimiter, encoding=encoding)
    name = source if isinstance(source, (str, Path)) else f"a {type(source).__module__.split('.')[0]} frame"
    if task is not None and task not in TASKS:
        raise DataError(f"`task` must be one of {', '.join(TASKS)}, got {show(task)}")
    target = _find_target(target, raw)
    for asked, named in (("drop", drop), ("types", types)):
        for column in named:
            if column not in raw:
                raise DataError(f"`{asked}` names no column: got {show(column)}, there are {_listed(raw)}")
    if target in drop:
        raise DataError(f"{show(target)} is the target and cannot be dropped")

    fields, values, side = [], {}, {}
    for column, cells in raw.items():
        if column in drop:
            side[column] = _as_array(cells)
        elif column != target:
            field, values[column] = _field_of(column, cells, types.get(column))
            fields.append(field)
    schema = Schema(tuple(fields))
    columns, errors = schema.check(values, len(raw[target]))
    if errors:
        raise min(errors.values(), key=lambda error: error.row)
    goal, task = _target_of(target, raw[target], task, types.get(target))
    return Rows(_observed(schema, columns), columns, goal, target, task, side, source=str(name))


def read_columns(
    source: Any,
    schema: Schema,
    *,
    target: str | None = None,
    task: str | None = None,
    missing: Sequence[str] = (),
    delimiter: str | None = None,
    encoding: str = "utf8",
) -> tuple[Rows, dict[int, RowError]]:
    """Read a table as the rows of a schema that is already known: a stored model's, say.

    Args:
        source, missing, delimiter, encoding: as in `read_table`.
        schema: the fields wanted. Other columns are passed over.
        target: name of the target's column, when its values are wanted.
        task: "classification" or "regression"; wanted with `target`.

    Returns:
        The rows, and the errors by row. The cells of a row in error hold placeholders.

    Raises:
        DataError: the file cannot be read, or a column is missing.
    """
    raw = _columns_of(source, missing=missing, delimiter=delimiter, encoding=encoding)
    wanted: dict[str, _Column] = {}
    for field in schema.fields:
        if field.name in raw:
            cells = raw[field.name]
            wanted[field.name] = _cast(field, cells) if isinstance(cells, list) else cells
    length = len(next(iter(raw.values())))
    columns, errors = schema.check(wanted, length)
    if target is None:
        return Rows(schema, columns, source=str(source)), errors
    if target not in raw:
        raise DataError(f"the target {show(target)} names no column, there are {_listed(raw)}")
    goal, task = _target_of(target, raw[target], task, None)
    return Rows(schema, columns, goal, target, task, source=str(source)), errors


def _columns_of(source: Any, *, missing: Sequence[str], delimiter: str | None, encoding: str) -> dict[str, _Column]:
    """Every column of a table: float64 where it holds numbers, else a list of str, bool or None."""
    import narwhals as nw

    if isinstance(source, (str, Path)):
        frame = nw.from_native(_read_file(Path(source), missing, delimiter, encoding), eager_only=True)
    else:
        try:
            frame = nw.from_native(source, eager_only=True)
        except TypeError as error:
            raise DataError(f"a table is a path or a data frame, got {type(source).__name__}") from error
    names = [str(name) for name in frame.columns]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(f"column names must differ, got {_listed(repeated)} more than once")
    if not all(name.strip() for name in names):
        raise DataError("a column has no name; give every column of the header a name")
    if not len(frame):
        raise DataError("the table has a header and no rows" if names else "the table is empty")
    return {str(name): _cells(str(name), frame[name]) for name in frame.columns}


def _read_file(path: Path, missing: Sequence[str], delimiter: str | None, encoding: str) -> Any:
    import pyarrow
    import pyarrow.csv
    import pyarrow.parquet

    if not path.exists():
        raise DataError(f"there is no file {path}")
    if path.is_dir():
        raise DataError(f"{path} is a folder; give one file")
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty")
    try:
        if path.suffix.lower() in (".parquet", ".pq"):
            return pyarrow.parquet.read_table(path)
        mark = delimiter or ("\t" if path.suffix.lower() == ".tsv" else ",")
        table = pyarrow.csv.read_csv(
            path,
            # One block, so that a column's type is inferred from all of its cells and not from the first megabyte.
            read_options=pyarrow.csv.ReadOptions(
                encoding=encoding, block_size=min(max(path.stat().st_size + 1, 1 << 20), (1 << 31) - 1)
            ),
            parse_options=pyarrow.csv.ParseOptions(delimiter=mark, newlines_in_values=True),
            convert_options=pyarrow.csv.ConvertOptions(
                null_values=[*_NULLS, *missing],
                strings_can_be_null=True,
                timestamp_parsers=[pyarrow.csv.ISO8601],
            ),
        )
    except (pyarrow.ArrowInvalid, pyarrow.ArrowKeyError, LookupError, UnicodeError) as error:
        raise DataError(f"{path} cannot be read as a table: {str(error).splitlines()[0][:200]}") from error
    if table.num_columns == 1 and any(one in table.column_names[0] for one in ";\t|"):
        one = next(one for one in ";\t|" if one in table.column_names[0])
        raise DataError(f"{path} has one column {show(table.column_names[0])}; was `delimiter={one!r}` meant?")
    return table


def _cells(name: str, series: Any) -> _Column:
    import narwhals as nw

    dtype = series.dtype
    if dtype.is_numeric():
        return np.asarray(series.cast(nw.Float64).to_numpy(), np.float64)
    if dtype.is_temporal():
        return np.asarray(series.to_numpy(), "datetime64[us]")
    cells: list[Any] = series.to_list()
    if dtype == nw.Boolean or dtype == nw.String or dtype == nw.Categorical or dtype == nw.Enum:
        return [None if cell is None or cell != cell else cell for cell in cells]
    cells = [None if cell is None or (isinstance(cell, float) and math.isnan(cell)) else cell for cell in cells]
    if all(cell is None for cell in cells):
        return cells
    if all(isinstance(cell, bytes) for cell in cells if cell is not None):
        raise DataError(f"column {show(name)} is not valid text; say `encoding=`, such as 'latin-1' or 'gb18030'")
    kinds = {type(cell) for cell in cells} - {type(None)}
    if kinds <= {int, float}:
        return np.array([math.nan if cell is None else cell for cell in cells], np.float64)
    if kinds <= {str} or kinds <= {bool}:
        return cells
    listed = ", ".join(sorted(kind.__name__ for kind in kinds))
    raise DataError(f"column {show(name)} mixes {listed}; give it one type, or leave it out with drop=[{name!r}]")


def _field_of(name: str, cells: _Column, kind: str | None) -> tuple[Field, _Column]:
    """What a feature column is, and its cells in a form that `Schema.check` takes."""
    if kind is not None and kind not in KINDS:
        raise DataError(f"`types` says {show(kind)} of column {show(name)}; it must be one of {', '.join(KINDS)}")
    if isinstance(cells, np.ndarray) and cells.dtype.kind == "M":
        raise DataError(
            f"column {show(name)} holds dates, and a date is not a number to learn from: derive what matters "
            f"(hour, weekday, days since ...) or leave it out with drop=[{name!r}]; it stays usable in "
            f"split(time={name!r})"
        )
    if isinstance(cells, np.ndarray):
        nullable = bool(np.isnan(cells).any())
        if np.isnan(cells).all():
            raise DataError(f"column {show(name)} is empty in every row; leave it out with drop=[{name!r}]")
        if np.isinf(cells).any():
            row = int(np.flatnonzero(np.isinf(cells))[0])
            raise DataError(
                f"column {show(name)} must be finite, got {cells[row]} in row {row}; replace it, or leave it empty"
            )
        if kind == "categorical":
            labels = [None if math.isnan(cell) else label_text(float(cell)) for cell in cells]
            return Field(name, "categorical", "label", nullable=nullable), labels
        if kind == "boolean":
            if not set(np.unique(cells[~np.isnan(cells)]).tolist()) <= {0.0, 1.0}:
                raise DataError(f"column {show(name)} cannot be boolean: it holds numbers other than 0 and 1")
            return Field(name, "boolean", "boolean", nullable=nullable), cells
        return Field(name, "numeric", "number", nullable=nullable), cells
    present = [cell for cell in cells if cell is not None]
    nullable = len(present) < len(cells)
    if not present:
        raise DataError(f"column {show(name)} is empty in every row; leave it out with drop=[{name!r}]")
    if isinstance(present[0], bool):
        if kind == "numeric":
            return Field(name, "numeric", "number", nullable=nullable), [
                None if cell is None else float(cell) for cell in cells
            ]
        if kind == "categorical":
            return Field(name, "categorical", "label", nullable=nullable), cells
        return Field(name, "boolean", "boolean", nullable=nullable), cells
    if kind == "boolean":
        field = Field(name, "boolean", "boolean", nullable=nullable)
        return field, _cast(field, cells)
    if kind == "categorical":
        return Field(name, "categorical", "label", nullable=nullable), cells
    return _text_field(name, cells, present, kind, nullable)


def _text_field(
    name: str, cells: list[Any], present: list[str], kind: str | None, nullable: bool
) -> tuple[Field, _Column]:
    odd = [(row, cell) for row, cell in enumerate(cells) if cell is not None and _parsed(cell) is None]
    if kind == "numeric" or len(odd) <= len(present) // 2:
        if not odd:
            return Field(name, "numeric", "number", nullable=nullable), [
                None if cell is None else _parsed(cell) for cell in cells
            ]
        row, cell = odd[0]
        raise DataError(
            f"column {show(name)} holds numbers but for {len(odd)} of {len(present)} cells, the first in row {row}: "
            f"{show(cell)}. Correct them, name them as missing with missing=({cell!r},), or say "
            f"types={{{name!r}: 'categorical'}}"
        )
    if sum(bool(_DATE.fullmatch(cell)) for cell in present) > len(present) // 2:
        return _field_of(name, np.array([0], "datetime64[us]"), kind)
    different = len(set(present))
    if different > 50 and different > len(present) // 2:
        raise DataError(
            f"column {show(name)} has {different:,} different texts in {len(present):,} rows, such as "
            f"{show(present[0])}: a name, an identifier or free text is not a category. Leave it out with "
            f"drop=[{name!r}], or say types={{{name!r}: 'categorical'}}"
        )
    return Field(name, "categorical", "label", nullable=nullable), cells


def _cast(field: Field, cells: _Column) -> _Column:
    """Text cells of a CSV as a known field wants them, as far as they can be; the rest is left for the check."""
    if isinstance(cells, np.ndarray):
        return cells
    if field.dtype == "number":
        return [_parsed(cell) if isinstance(cell, str) and _parsed(cell) is not None else cell for cell in cells]
    if field.dtype == "boolean":
        known = {"true": True, "false": False, "yes": True, "no": False, "1": True, "0": False}
        return [known.get(cell.strip().lower(), cell) if isinstance(cell, str) else cell for cell in cells]
    return cells


def _target_of(name: str, cells: _Column, task: str | None, kind: str | None) -> tuple[np.ndarray[Any, Any], str]:
    """The target's values in canonical form, and the task they stand for."""
    if isinstance(cells, np.ndarray) and cells.dtype.kind == "M":
        raise DataError(f"the target {show(name)} holds dates; predict a number of days or hours instead")
    gaps = [
        row
        for row, cell in enumerate(cells)
        if cell is None or (isinstance(cell, (float, np.floating)) and math.isnan(cell))
    ]
    if gaps:
        raise DataError(
            f"the target {show(name)} is missing in {len(gaps)} rows, the first is row {gaps[0]}; remove these rows"
        )
    if isinstance(cells, np.ndarray):
        if not np.isfinite(cells).all():
            row = int(np.flatnonzero(~np.isfinite(cells))[0])
            raise DataError(f"the target {show(name)} must be finite, got {cells[row]} in row {row}")
        whole = bool((cells == np.round(cells)).all())
        if kind == "categorical" or (
            task is None and whole and len(np.unique(cells)) <= _MOST_CLASSES_OF_INTEGERS and kind != "numeric"
        ):
            task = task or "classification"
        if task == "classification":
            if not whole:
                row = int(np.flatnonzero(cells != np.round(cells))[0])
                raise DataError(
                    f"the target {show(name)} holds fractions ({cells[row]:g} in row {row}), which are no classes; "
                    f"say task='regression'"
                )
            return _as_array([int(cell) for cell in cells]), "classification"
        return cells, "regression"
    if task == "regression":
        parsed = [_parsed(str(cell)) for cell in cells]
        odd = [row for row, number in enumerate(parsed) if number is None]
        if odd:
            raise DataError(
                f"the target {show(name)} of a regression must be numbers, got {show(cells[odd[0]])} in row {odd[0]}"
            )
        return np.array(parsed, np.float64), task
    return _as_array(cells), "classification"


def _find_target(target: str | None, raw: Mapping[str, _Column]) -> str:
    if target is not None:
        if target not in raw:
            raise DataError(f"`target` names no column: got {show(target)}, there are {_listed(raw)}")
        return target
    found = [name for name in raw if name.lower() in _TARGET_NAMES]
    if len(found) != 1:
        raise DataError(f"say which column to predict with `target`; there are {_listed(raw)}")
    return found[0]


def _observed(schema: Schema, columns: Columns) -> Schema:
    """The schema with what these rows show of each field: range, or categories."""
    from dataclasses import replace

    fields = []
    for field in schema.fields:
        column = columns[field.name]
        if field.dtype == "number":
            fields.append(replace(field, range=(float(np.nanmin(column)), float(np.nanmax(column)))))
        elif field.dtype == "label":
            values = sorted({cell for cell in column if cell is not None})
            fields.append(replace(field, values=tuple(values[:100])))
        else:
            fields.append(field)
    return Schema(tuple(fields))


def _as_array(cells: _Column) -> np.ndarray[Any, Any]:
    if isinstance(cells, np.ndarray):
        return cells
    array = np.empty(len(cells), object)
    array[:] = cells
    return array


def _parsed(cell: str) -> float | None:
    try:
        return float(cell) if "_" not in cell else None
    except ValueError:
        return None


def _listed(names: Any) -> str:
    shown = [show(name) for name in names]
    return ", ".join(shown[:20]) + (f" and {len(shown) - 20} more" if len(shown) > 20 else "")
