"""Windows over series: so many steps in, so many steps to be forecast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from maas.data._arrays import as_array
from maas.data._cells import as_objects
from maas.data._rows import Rows
from maas.data._sequences import FIELD, check_columns, numbers, observed, series_of
from maas.data._sources import origin_of, read_source
from maas.data._targets import listed
from maas.errors import DataError, show
from maas.schema import Field, Schema

_BEGIN, _END, _SERIES = "begin", "end", "series"


def windows(
    source: Any,
    *,
    window: int,
    horizon: int,
    step: int = 1,
    target: Any = None,
    id: str | None = None,
    time: str | None = None,
    channels: Sequence[str] | None = None,
    missing: Sequence[str] = (),
    delimiter: str | None = None,
    encoding: str = "utf8",
) -> Rows:
    """Cut series into rows for a forecast: `window` steps in, the `horizon` steps after them to be predicted.

    `split` divides such rows by time, and so does the validation part of `fit`: the second part holds the rows whose
    forecast begins last. A row of the first part is one whose whole forecast was over before the second part's first
    forecast step; rows between, whose horizon reaches over the boundary, are in neither. So nothing that is to be
    forecast in the second part was seen in the first. The windows of the second part do reach back before the
    boundary, as they will in use: by then those steps are known. With several series the boundary is one moment for
    all, so that one series does not tell the future of another.

    Steps are taken as evenly spaced in time. A row with a missing value in its horizon is left out; one in its window
    is filled by the preprocessing.

    Args:
        source: an array of shape (steps,) or (steps, channels), a list of such arrays (several series), or a table:
            a path or a data frame with one step a line.
        window: steps in.
        horizon: steps to forecast.
        step: steps from one row to the next.
        target: what to forecast: the name of a column (for arrays the position of a channel), or a list of them;
            by default every channel.
        id: name of the column that tells the series of a table apart; by default there is one series.
        time: name of the column to put the steps in order by: numbers, or ISO 8601 dates. By default they are in
            order, and series begin at the same moment.
        channels: names of the columns to see; by default all that are left.
        missing, delimiter, encoding: as in `read_table`.

    Returns:
        Rows with one field, `sequence` of shape (window, channels), a float64 target of shape (rows, horizon), or
        (rows, horizon, channels) where several channels are forecast, and the side columns `begin` and `end`: the
        moments of the first and of the last step to forecast. With several series `series` says which.

    Raises:
        DataError: an argument or the source cannot be used, or no series is long enough.

    >>> rows = windows(range(10), window=4, horizon=2)
    >>> len(rows), rows.columns["sequence"].shape, rows.target.shape
    (5, (5, 4, 1), (5, 2))
    """
    for name, value in (("window", window), ("horizon", horizon), ("step", step)):
        if type(value) is not int or value < 1:
            raise DataError(f"`{name}` must be a positive integer, got {show(value)}")
    if isinstance(source, (list, tuple, range, np.ndarray)) or hasattr(source, "detach"):
        if id is not None or time is not None or channels is not None:
            raise DataError("`id`, `time` and `channels` name columns of a table; arrays have none")
        series, moments, names = _arrays(source)
        known: list[Any] = list(range(series[0].shape[1]))
        origin = "arrays"
    else:
        raw = read_source(source, missing=missing, delimiter=delimiter, encoding=encoding)
        if isinstance(channels, str):
            raise DataError(f"`channels` is a list of column names, write channels=[{channels!r}]")
        check_columns(raw, id=id, time=time, channels=channels)
        known = [one for one in raw if one not in (id, time)] if channels is None else list(channels)
        values = numbers(raw, known)
        lines = series_of(raw, id, time)
        names = list(lines)
        series = [values[index] for index in lines.values()]
        moments = [
            np.arange(len(index), dtype=np.float64) if time is None else raw[time].values[index]
            for index in lines.values()
        ]
        origin = origin_of(source)
    places, alone = _places(target, known)
    for one in series:
        if np.isinf(one).any():
            at, channel = np.argwhere(np.isinf(one))[0].tolist()
            raise DataError(f"values must be finite, got {one[at, channel]} at step {at} of channel {known[channel]}")

    inputs, targets, begins, ends, owners = [], [], [], [], []
    for name, one, clock in zip(names, series, moments, strict=True):
        starts = np.arange(0, len(one) - window - horizon + 1, step)
        ahead = one[starts[:, None] + window + np.arange(horizon)][:, :, places]  # (rows, horizon, targets)
        whole = ~np.isnan(ahead).any(axis=(1, 2))
        starts, ahead = starts[whole], ahead[whole]
        inputs.append(one[starts[:, None] + np.arange(window)])  # (rows, window, channels)
        targets.append(ahead[:, :, 0] if alone else ahead)
        begins.append(clock[starts + window])
        ends.append(clock[starts + window + horizon - 1])
        owners += [name] * len(starts)
    if not owners:
        longest = max(map(len, series))
        raise DataError(
            f"no series has {window} + {horizon} steps with a horizon without gaps: the longest has {longest} steps; "
            f"choose a shorter `window` or `horizon`"
        )
    column = np.concatenate(inputs)
    low, high, _ = observed(series)
    nullable = bool(np.isnan(column).any())
    field = Field(FIELD, "sequence", "number", (window, len(known)), nullable, (low, high))
    side = {_BEGIN: np.concatenate(begins), _END: np.concatenate(ends)}
    if len(series) > 1:
        side[_SERIES] = as_objects(owners)
    named = " ".join(str(known[place]) for place in places) if target is not None else "values"
    goal = np.concatenate(targets)
    schema = Schema((field,))
    return Rows(schema, {FIELD: column}, goal, named, "forecast", side, source=origin, span=(_BEGIN, _END))


def _arrays(source: Any) -> tuple[list[np.ndarray[Any, Any]], list[np.ndarray[Any, Any]], list[str]]:
    """Series of shape (steps, channels), the moment of each step, and their names."""
    several = isinstance(source, (list, tuple)) and len(source) and np.ndim(source[0]) > 0
    series: list[np.ndarray[Any, Any]] = []
    for index, one in enumerate(source if several else [source]):
        array = as_array(one, f"series {index}")
        array = array[:, None] if array.ndim == 1 else array
        if array.ndim != 2 or array.dtype.kind not in "fiub" or not array.size:
            raise DataError(
                f"series {index} must be numbers of shape (steps,) or (steps, channels), got dtype {array.dtype}, "
                f"shape {array.shape}; several series go in a list"
            )
        if series and array.shape[1] != series[0].shape[1]:
            raise DataError(f"series {index} has {array.shape[1]} channels, the first series has {series[0].shape[1]}")
        series.append(array.astype(np.float64))
    moments = [np.arange(len(one), dtype=np.float64) for one in series]
    return series, moments, [str(index) for index in range(len(series))]


def _places(target: Any, known: Sequence[Any]) -> tuple[list[int], bool]:
    """The positions of the channels to forecast, and whether it is one that has no axis of its own."""
    if target is None:
        return list(range(len(known))), len(known) == 1
    wanted = list(target) if isinstance(target, (list, tuple)) else [target]
    for one in wanted:
        if isinstance(one, bool) or one not in known:
            raise DataError(f"`target` names no channel: got {show(one)}, there are {listed(known)}")
    if not wanted or len(set(wanted)) < len(wanted):
        raise DataError(f"`target` must name different channels, at least one, got {wanted!r}")
    return [list(known).index(one) for one in wanted], not isinstance(target, (list, tuple))
