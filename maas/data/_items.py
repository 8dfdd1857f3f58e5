"""What there is to recommend: items and what is known of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from maas.data._cells import Cells
from maas.data._fields import cast
from maas.data._rows import Rows
from maas.data._sources import origin_of, read_source
from maas.data._targets import listed
from maas.errors import DataError, show
from maas.schema import Field, Schema, label_text

_NAMES = ("item", "item_id", "itemid", "iid", "id", "movie_id", "movieid", "product_id", "productid", "article_id")
_TYPED = re.compile(r"(.+):(token|token_seq|float|float_seq)")
_MOST_CATEGORIES = 50


def read_items(
    source: Any,
    *,
    item: str | None = None,
    texts: Sequence[str] = (),
    drop: Sequence[str] = (),
    missing: Sequence[str] = (),
    delimiter: str | None = None,
    encoding: str = "utf8",
) -> Rows:
    """Read a table of items: an identifier, and texts, categories or numbers that describe it.

    For `read_interactions(..., items=...)`, so that items nobody has touched are known too, and for
    `maas.preprocess.Interactions.with_options(items=...)`, so that they can be recommended by what they are.

    Args:
        source: path of a `.csv`, `.tsv`, `.parquet` or `.item` file (RecBole's, with typed names), or a data frame.
        item: name of the column of identifiers. Found when it is called item_id or the like.
        texts: columns to be read as words. By default those of text with white space in it, or of more than 50
            different texts; other texts are categories.
        drop: columns to leave out.
        missing, delimiter, encoding: as in `maas.data.read_table`.

    Returns:
        Rows without a target, one an item, the identifier first.

    Raises:
        DataError: the source cannot be used, or an identifier stands there twice.
    """
    for name, value in (("texts", texts), ("drop", drop)):
        if isinstance(value, str):
            raise DataError(f"`{name}` is a list of column names, got {show(value)}; write {name}=[{value!r}]")
    raw = read_typed(source, ".item", missing, delimiter, encoding)
    for asked, named in (("texts", texts), ("drop", drop)):
        for column in named:
            if column not in raw:
                raise DataError(f"`{asked}` names no column: got {show(column)}, there are {listed(raw)}")
    item = column_called("item", "identifies an item", item, raw, _NAMES)
    known = raw[item].labels.tolist()
    if len(set(known)) < len(known):
        repeated = Counter(known).most_common(1)[0][0]
        raise DataError(f"column {show(item)} names {show(repeated)} more than once; give one row an item")
    fields = [Field(item, "item", "label")]
    for name, cells in raw.items():
        if name != item and name not in drop and cells.kind != "empty":
            fields.append(_field(name, cells, name in texts))
    schema = Schema(tuple(fields))
    columns, errors = schema.check({one.name: cast(one, raw[one.name]) for one in fields}, len(known))
    if errors:
        raise errors[min(errors)]
    return Rows(schema, columns, source=origin_of(source, "items")).observed()


def catalogue_of(items: Rows | Iterable[Any]) -> tuple[str, ...]:
    """The identifiers of a table of items, or of a plain list of them, as texts.

    Raises:
        DataError: there is none, or one stands there twice.
    """
    if isinstance(items, Rows):
        named = [field.name for field in items.schema.fields if field.kind == "item"]
        if len(named) != 1:
            raise DataError("`items` must be a table that maas.data.read_items gives, or a list of identifiers")
        known = tuple(items.columns[named[0]].tolist())
    else:
        if isinstance(items, (str, bytes)) or not isinstance(items, Iterable) or hasattr(items, "columns"):
            raise DataError(
                f"`items` must be identifiers, or a table that maas.data.read_items gives, got {type(items).__name__}"
            )
        plain = [one.item() if isinstance(one, np.generic) else one for one in items]
        for place, one in enumerate(plain):
            if not isinstance(one, (str, int, float)) or one != one:
                raise DataError(f"`items` must be identifiers, texts or numbers, got {show(one)} at place {place}")
        known = tuple(map(label_text, plain))
    if not known or len(set(known)) < len(known):
        raise DataError(f"`items` must be different identifiers, got {len(known)}, {len(set(known))} of them different")
    return known


def item_order(labels: Iterable[str]) -> tuple[str, ...]:
    """Different identifiers, integers by their size and before the others, those by their letters."""
    return tuple(sorted(set(labels), key=lambda one: (not one.isdecimal(), len(one) if one.isdecimal() else 0, one)))


def read_typed(
    source: Any, suffix: str, missing: Sequence[str], delimiter: str | None, encoding: str
) -> dict[str, Cells]:
    """Every column of a table by name. A file with this suffix is RecBole's, tab separated; types of names go."""
    if isinstance(source, (str, Path)) and Path(source).suffix.lower() == suffix:
        delimiter = delimiter or "\t"
    raw = read_source(source, missing=missing, delimiter=delimiter, encoding=encoding)
    return {(typed[1] if (typed := _TYPED.fullmatch(one)) else one): cells for one, cells in raw.items()}


def column_called(argument: str, what: str, asked: str | None, raw: Mapping[str, Cells], usual: Collection[str]) -> str:
    """The column that is asked for, or else the only one with a usual name.

    Args:
        argument: that asks for it.
        what: the column does, for a message.
        asked: its name.
        raw: all columns.
        usual: lower-case names that such columns have.

    Raises:
        DataError: there is none, or a cell of it is missing.
    """
    if asked is not None and asked not in raw:
        raise DataError(f"`{argument}` names no column: got {show(asked)}, there are {listed(raw)}")
    found = [one for one in raw if one.lower() in usual] if asked is None else [asked]
    if len(found) != 1:
        raise DataError(f"say which column {what} with `{argument}`; there are {listed(raw)}")
    if raw[found[0]].missing.any():
        gap = int(np.flatnonzero(raw[found[0]].missing)[0])
        raise DataError(f"column {show(found[0])} is missing in row {gap}; remove such rows")
    return found[0]


def _field(name: str, cells: Cells, is_text: bool) -> Field:
    present = [label for label in cells.labels if label is not None]
    nullable = len(present) < len(cells.labels)
    if not is_text and cells.kind == "number":
        return Field(name, "numeric", "number", nullable=nullable)
    if not is_text and cells.kind == "boolean":
        return Field(name, "boolean", "boolean", nullable=nullable)
    many = len(set(present)) > _MOST_CATEGORIES or any(" " in label.strip() for label in present)
    if is_text or (many and cells.kind != "category"):
        return Field(name, "text", "string", nullable=nullable)
    return Field(name, "categorical", "label", nullable=nullable)
