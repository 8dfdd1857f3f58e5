"""What there is to recommend: items and what is known of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from maas.data._fields import cast
from maas.data._rows import Rows
from maas.data._sources import Cells, read_source
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
    if isinstance(source, (str, Path)) and Path(source).suffix.lower() == ".item":
        delimiter = delimiter or "\t"
    raw = read_source(source, missing=missing, delimiter=delimiter, encoding=encoding)
    raw = {(typed[1] if (typed := _TYPED.fullmatch(one)) else one): cells for one, cells in raw.items()}
    for asked, named in (("texts", texts), ("drop", drop), ("item", [] if item is None else [item])):
        for column in named:
            if column not in raw:
                raise DataError(f"`{asked}` names no column: got {show(column)}, there are {listed(raw)}")
    found = [item] if item is not None else [one for one in raw if one.lower() in _NAMES]
    if len(found) != 1:
        raise DataError(f"say which column identifies an item with `item`; there are {listed(raw)}")
    if raw[found[0]].missing.any():
        gap = int(np.flatnonzero(raw[found[0]].missing)[0])
        raise DataError(f"column {show(found[0])} is missing in row {gap}; remove such rows")
    known = raw[found[0]].labels.tolist()
    if len(set(known)) < len(known):
        repeated = Counter(known).most_common(1)[0][0]
        raise DataError(f"column {show(found[0])} names {show(repeated)} more than once; give one row an item")
    fields = [Field(found[0], "item", "label")]
    for name, cells in raw.items():
        if name != found[0] and name not in drop and cells.kind != "empty":
            fields.append(_field(name, cells, name in texts))
    schema = Schema(tuple(fields))
    columns, errors = schema.check({one.name: cast(one, raw[one.name]) for one in fields}, len(known))
    if errors:
        raise errors[min(errors)]
    where = str(source) if isinstance(source, (str, Path)) else "items"
    return Rows(schema, columns, source=where).observed()


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
        listed = [one.item() if isinstance(one, np.generic) else one for one in items]
        for place, one in enumerate(listed):
            if not isinstance(one, (str, int, float)) or one != one:
                raise DataError(f"`items` must be identifiers, texts or numbers, got {show(one)} at place {place}")
        known = tuple(map(label_text, listed))
    if not known or len(set(known)) < len(known):
        raise DataError(f"`items` must be different identifiers, got {len(known)}, {len(set(known))} of them different")
    return known


def item_order(labels: Iterable[str]) -> tuple[str, ...]:
    """Different identifiers, integers by their size and before the others, those by their letters."""
    return tuple(sorted(set(labels), key=lambda one: (not one.isdecimal(), len(one) if one.isdecimal() else 0, one)))


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
