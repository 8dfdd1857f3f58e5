"""What the columns of a table are: fields with a kind, and their cells in canonical form."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from maas.data._cells import Cells, as_objects, parse_number, parse_truth
from maas.data._encoded import LONGEST, READERS, read_files_of
from maas.data._lists import as_steps, sequence_field
from maas.data._targets import number_of
from maas.errors import DataError, RowError, show
from maas.schema import Columns, Field, Schema

KINDS = ("numeric", "categorical", "boolean", "image", "audio", "text", "sequence")
LONGEST_TEXT = 100_000


def field_of(name: str, cells: Cells, kind: str | None) -> Field:
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
    for row, value in enumerate(cast(field, cells)):
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


def checked(schema: Schema, raw: Mapping[str, Cells], source: Any) -> tuple[Columns, dict[int, RowError]]:
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
            wanted[field.name] = cast(field, raw[field.name])
    columns, errors = schema.check(wanted, len(next(iter(raw.values())).values), unread)
    return columns, {**errors, **unread}


def cast(field: Field, cells: Cells) -> np.ndarray[Any, Any]:
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
        return as_objects(number_of(value, label) for value, label in zip(cells.values, cells.labels, strict=True))
    if field.dtype == "boolean":
        truths = [None if label is None else parse_truth(label) for label in cells.labels]
        return as_objects(label if truth is None else truth for truth, label in zip(truths, cells.labels, strict=True))
    return cells.labels


def _stripped(text: str | None) -> str | None:
    return None if text is None else text.strip()
