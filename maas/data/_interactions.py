"""Who touched what: interactions of users with items, as one row a user, or as one rating a row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from maas.data._cells import Cells, as_objects, dates_of, plain_column
from maas.data._items import catalogue_of, column_called, item_order, read_typed
from maas.data._rows import Rows
from maas.data._sources import origin_of
from maas.errors import DataError, show
from maas.schema import Field, Schema, suggestion

_USERS = ("user", "user_id", "userid", "uid", "customer", "customer_id", "customerid")
_ITEMS = ("item", "item_id", "itemid", "iid", "movie_id", "movieid", "product_id", "productid", "article_id")
_RATINGS = ("rating", "ratings", "score", "stars")
_LONGEST = 1000
_MOST_ITEMS = 1 << 24
_Codes = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]  # the numbers of each line's user and item


def read_interactions(
    source: Any,
    *,
    user: str | None = None,
    item: str | None = None,
    rating: str | None = None,
    time: str | None = None,
    items: Rows | Iterable[Any] | None = None,
    min_rating: float | None = None,
    task: str = "ranking",
    missing: Sequence[str] = (),
    delimiter: str | None = None,
    encoding: str = "utf8",
) -> Rows:
    """Read which users touched which items.

    For a ranking there is one row a user, and its target are the items they touched. A row, here and from a client, has
    up to three fields, of which at least one is given:

    - `user`: a known user, or one who comes with `items`;
    - `items`: what a user touched or likes. Beside `user` it stands in for what is known of them;
    - `similar_to`: an item, to be answered with those like it; alone.

    For a regression there is one row a rating, with the fields `user` and `item`.

    Identifiers are texts: 7 and "7" are the same, and so are "1.1" and "1.10", as numbers are. Where a user touched an
    item several times, the latest line counts (by `time`, else by its place) and the others are passed over.

    Args:
        source: path of a `.csv`, `.tsv`, `.parquet` or `.inter` file (RecBole's, tab separated, with typed names such
            as `user_id:token`, of which the type is cut off), a data frame, or a mapping of name to values.
        user, item: names of the columns of identifiers. Found when they are called user_id, item_id or the like.
        rating: name of a column of numbers. For a ranking it is kept in `side` and wanted with `min_rating` only.
        time: name of a column of numbers or ISO 8601 dates; kept in `side` for `split(time=...)`.
        items: all items there are, also those that nobody has touched: identifiers, or a table of them as `read_items`
            gives. Their order is that of the item numbers, by which ties are broken. By default those of the source.
        min_rating: for a ranking, the least rating at which an item counts as touched.
        task: "ranking" or "regression".
        missing, delimiter, encoding: as in `maas.data.read_table`.

    Returns:
        The rows. The schema holds all items and no user.

    Raises:
        DataError: the source or a column cannot be used; the message says which and what to do.

    >>> read_interactions({"user": ["ann", "ann", "bob"], "item": ["tea", "milk", "tea"]})
    Rows(2 x 3 fields -> items (ranking))
    """
    if task not in ("ranking", "regression"):
        raise DataError(f"`task` must be one of ranking, regression, got {show(task)}")
    if isinstance(source, Mapping):
        raw = _of_values(source)
    else:
        raw = read_typed(source, ".inter", missing, delimiter, encoding)
    origin = origin_of(source, "interactions")
    user = column_called("user", "holds the user", user, raw, _USERS)
    item = column_called("item", "holds the item", item, raw, _ITEMS)
    if rating is not None or task == "regression" or min_rating is not None:
        rating = column_called("rating", "holds the rating", rating, raw, _RATINGS)
    if time is not None:
        time = column_called("time", "holds the time", time, raw, ())
    users = list(dict.fromkeys(raw[user].labels))
    known = item_order(raw[item].labels) if items is None else catalogue_of(items)
    if len(known) > _MOST_ITEMS:
        raise DataError(f"there may be {_MOST_ITEMS:,} items at the most, got {len(known):,}")
    if min_rating is not None:
        _check_number(min_rating)
    codes = _numbers(raw[user].labels, users, ""), _numbers(raw[item].labels, known, item)
    side = {one: _ordered(one, raw[one]) for one in (rating, time) if one is not None}
    lines = _latest(codes, None if time is None else side[time])
    if min_rating is not None and task == "ranking":
        lines = lines[side[str(rating)][lines] >= min_rating]
        if not len(lines):
            raise DataError(f"no interaction has a rating of {min_rating:g} or more")
    codes, side = (codes[0][lines], codes[1][lines]), {one: column[lines] for one, column in side.items()}
    if task == "regression":
        return _ratings(users, known, codes, side, str(rating), origin)
    return _users(users, known, codes, side, origin)


def _users(
    users: list[str],
    known: tuple[str, ...],
    codes: _Codes,
    side: dict[str, np.ndarray[Any, Any]],
    source: str,
) -> Rows:
    """One row a user who touched something."""
    order = np.argsort(codes[0], kind="stable")
    counts = np.bincount(codes[0], minlength=len(users))
    present = np.flatnonzero(counts)
    ends = np.cumsum(counts[present])[:-1]
    touched = as_objects(known)[codes[1][order]]
    target = as_objects(map(tuple, np.split(touched, ends)))
    aside = {one: as_objects(np.split(column[order], ends)) for one, column in side.items()}
    longest = max(_LONGEST, int(counts.max()))
    schema = Schema(
        (
            Field("user", "user", "label", nullable=True, optional=True),
            Field("items", "items", "label", (None,), True, values=known, longest=longest, optional=True),
            Field("similar_to", "item", "label", nullable=True, optional=True),
        )
    )
    columns = {
        "user": as_objects(users)[present],
        "items": target,
        "similar_to": np.empty(len(present), object),
    }
    return Rows(schema, columns, target, "items", "ranking", aside, source=source)


def _ratings(
    users: list[str],
    known: tuple[str, ...],
    codes: _Codes,
    side: dict[str, np.ndarray[Any, Any]],
    rating: str,
    source: str,
) -> Rows:
    """One row a rating."""
    schema = Schema((Field("user", "user", "label"), Field("item", "item", "label")))
    columns = {"user": as_objects(users)[codes[0]], "item": as_objects(known)[codes[1]]}
    target = side[rating]
    aside = {one: column for one, column in side.items() if one != rating}
    return Rows(schema, columns, target, rating, "regression", aside, source=source)


def _of_values(source: Mapping[Any, Any]) -> dict[str, Cells]:
    """Columns out of a mapping of name to values."""
    found = {}
    for name, values in source.items():
        plain = values.tolist() if hasattr(values, "tolist") else values
        if isinstance(plain, (str, bytes)) or not isinstance(plain, Iterable):
            raise DataError(f"column {show(name)} must be a list of values, got {show(plain)}")
        plain = [cell.item() if isinstance(cell, np.generic) else cell for cell in plain]
        found[str(name)] = plain_column(str(name), plain)
    if len({len(cells.values) for cells in found.values()}) != 1:
        raise DataError(f"columns must be of one length, got {[len(one.values) for one in found.values()]}")
    if not len(next(iter(found.values())).values):
        raise DataError("there is no interaction: every column is empty")
    return found


def _numbers(labels: np.ndarray[Any, Any], known: Sequence[str], item: str) -> np.ndarray[Any, Any]:
    places = {label: place for place, label in enumerate(known)}
    try:
        return np.array([places[label] for label in labels], np.int64)
    except KeyError:
        row = next(row for row, label in enumerate(labels) if label not in places)
        raise DataError(
            f"column {show(item)} has {show(labels[row])} in row {row}, which is not among `items`"
            + suggestion(labels[row], places)
        ) from None


def _check_number(min_rating: Any) -> None:
    real = isinstance(min_rating, (int, float, np.integer, np.floating)) and not isinstance(min_rating, bool)
    if not real or not np.isfinite(min_rating):
        raise DataError(f"`min_rating` must be a finite number, got {show(min_rating)}")


def _ordered(name: str, cells: Cells) -> np.ndarray[Any, Any]:
    """A column of numbers or moments."""
    values = dates_of(cells.values) if cells.kind == "text" else cells.values
    if values.dtype.kind not in "fM":
        raise DataError(f"column {show(name)} must be numbers or ISO 8601 dates, got {show(cells.labels[0])} in row 0")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values))[0])
        raise DataError(f"column {show(name)} must be finite, got {values[row]} in row {row}")
    return values


def _latest(codes: _Codes, times: np.ndarray[Any, Any] | None) -> np.ndarray[Any, Any]:
    """The lines that count, one for each pair of user and item, in order of time, else of place."""
    order = np.arange(len(codes[0])) if times is None else np.argsort(times, kind="stable")
    by_pair = order[np.lexsort((codes[1][order], codes[0][order]))]
    pairs = np.stack([codes[0][by_pair], codes[1][by_pair]])
    last = np.append((pairs[:, 1:] != pairs[:, :-1]).any(axis=0), True)
    counts = np.zeros(len(order), bool)
    counts[by_pair[last]] = True
    return order[counts[order]]
