"""Sequences of numbers, one a row, from `.ts` files, long tables, wide tables and arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from maas.data._arrays import as_array, target_cells
from maas.data._cells import Cells, as_objects, plain_column
from maas.data._lists import ROOM
from maas.data._rows import Rows
from maas.data._sources import origin_of, read_source
from maas.data._targets import check_task, listed, number_of, target_of
from maas.data._ts import read_ts
from maas.errors import DataError, show
from maas.schema import Field, Schema

FIELD = "sequence"


def read_sequences(
    source: Any,
    *,
    target: Any = None,
    task: str | None = None,
    id: str | None = None,
    time: str | None = None,
    channels: Sequence[str] | None = None,
    side: Sequence[str] = (),
    missing: Sequence[str] = (),
    delimiter: str | None = None,
    encoding: str = "utf8",
) -> Rows:
    """Read sequences, one a row, of one step or more and of any lengths.

    - A `.ts` file of the UCR and UEA archives: the header says whether there are labels.
    - A long table (`id` and `time` are given): one step a line, put in order by time; what is no id, time, target or
      `side` is a channel. The target and the side columns must be the same in all steps of a series.
    - A wide table: one series a line, one step a column, one channel. Missing cells at a line's end end the series.
    - Arrays: a list of arrays of shape (steps, channels), or one array of shape (rows, steps, channels). Arrays of
      one axis less have one channel.

    A missing step is NaN (in a `.ts` file `?`); the preprocessing fills it.

    Args:
        source: path of a `.ts`, `.csv`, `.tsv` or `.parquet` file, a data frame, or arrays or tensors.
        target: name of the target's column; for arrays the targets themselves, one a sequence; for a `.ts` file
            what to call its labels.
        task: as in `read_table`, or as a `.ts` file says.
        id: name of the column that says which series a line belongs to; kept in `side`.
        time: name of the column to put the steps of a series in order by: numbers, or ISO 8601 dates.
        channels: names of the channels' columns; in a wide table of the steps'. By default all that are left.
        side: columns kept from the network that stay usable in `split(group=..., time=...)`.
        missing, delimiter, encoding: as in `read_table`.

    Returns:
        Rows with one field, `sequence` of shape (None, channels): a client sends `{"sequence": [[...], ...]}`, at
        most twice as long as the longest here.

    Raises:
        DataError: the source, a column or a series cannot be used; the message says which and what to do.

    >>> read_sequences([[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0]]], target=["up", "down"])
    Rows(2 x 1 fields -> target (classification))
    """
    check_task(task)
    for name, value in (("channels", channels), ("side", side)):
        if isinstance(value, str):
            raise DataError(f"`{name}` is a list of column names, got {show(value)}; write {name}=[{value!r}]")
    if isinstance(source, (str, Path)) and Path(source).suffix.lower() == ".ts":
        return _from_ts(Path(source), target, task, encoding)
    if isinstance(source, (list, tuple, np.ndarray)) or hasattr(source, "detach"):
        return _from_arrays(source, target, task)
    raw = read_source(source, missing=missing, delimiter=delimiter, encoding=encoding)
    if id is None and time is not None:
        raise DataError(f"a long table needs `id`, the column that tells its series apart; there are {listed(raw)}")
    check_columns(raw, target=target, id=id, time=time, channels=channels, side=side)
    aside = [one for one in (id, time, target, *side) if one is not None]
    chosen = [one for one in raw if one not in aside] if channels is None else list(channels)
    if id is not None and time is not None:
        return _from_long(raw, id, time, chosen, target, task, side, origin_of(source))
    return _from_wide(raw, id, chosen, target, task, side, origin_of(source))


def check_columns(raw: Mapping[str, Cells], **named: Any) -> None:
    """Whether each argument names a column, or a list of them, that is there."""
    for argument, value in named.items():
        for one in [value] if isinstance(value, str) else value or ():
            if not isinstance(one, str) or one not in raw:
                raise DataError(f"`{argument}` names no column: got {show(one)}, there are {listed(raw)}")


def numbers(raw: Mapping[str, Cells], names: Sequence[str]) -> np.ndarray[Any, Any]:
    """Columns of numbers side by side: float64 of shape (lines, columns), NaN where a cell is missing."""
    if not names:
        raise DataError("no column is left that could be a channel; name some with `channels`")
    parts = []
    for name in names:
        cells = raw[name]
        values: Any = cells.values
        if cells.kind not in ("number", "boolean", "empty"):
            values = [number_of(value, label) for value, label in zip(cells.values, cells.labels, strict=True)]
            if odd := [row for row, one in enumerate(values) if isinstance(one, str)]:
                raise DataError(
                    f"column {show(name)} must be numbers to be a channel, got {show(values[odd[0]])} in row {odd[0]}; "
                    f"name the channels with `channels`, or such a text as missing with `missing`"
                )
        parts.append(np.array(values, np.float64))  # None becomes NaN
    return np.stack(parts, axis=1)


def series_of(raw: Mapping[str, Cells], id: str | None, time: str | None) -> dict[str, np.ndarray[Any, Any]]:
    """The lines of each series, in order of time, by id in order of appearance; without an id there is one series."""
    length = len(next(iter(raw.values())).values)
    codes, names = np.zeros(length, np.int64), [""]
    if id is not None:
        labels = raw[id].labels
        if raw[id].missing.any():
            raise DataError(f"column {show(id)} is missing in row {int(np.flatnonzero(raw[id].missing)[0])}")
        places = {label: place for place, label in enumerate(dict.fromkeys(labels))}
        codes, names = np.array([places[label] for label in labels]), list(places)
    order = np.argsort(codes, kind="stable")
    if time is not None:
        moments = raw[time].values
        if raw[time].missing.any() or moments.dtype.kind not in "fM":
            raise DataError(
                f"column {show(time)} must be numbers or ISO 8601 dates without gaps to put the steps in order by"
            )
        order = np.lexsort((moments, codes))
        same = (codes[order][1:] == codes[order][:-1]) & (moments[order][1:] == moments[order][:-1])
        if same.any():
            row = int(order[1:][same][0])
            which = f"series {show(names[codes[row]])} has" if id is not None else "there are"
            raise DataError(f"{which} two steps at {raw[time].labels[row]} in column {show(time)}; keep one of them")
    cuts = np.flatnonzero(np.diff(codes[order])) + 1
    return dict(zip(names, np.split(order, cuts), strict=True))


def _from_long(
    raw: Mapping[str, Cells],
    id: str,
    time: str,
    channels: Sequence[str],
    target: str | None,
    task: str | None,
    side: Sequence[str],
    source: str,
) -> Rows:
    values = numbers(raw, channels)
    series = series_of(raw, id, time)
    first = np.array([lines[0] for lines in series.values()])
    for name in [*side, *([target] if target is not None else [])]:
        labels = raw[name].labels
        for one, lines in series.items():
            if len(found := list(dict.fromkeys(labels[lines]))) > 1:
                role = "target" if name == target else "side column"
                raise DataError(
                    f"the {role} {show(name)} must be the same in all steps of a series: series {show(one)} has "
                    f"{show(found[0])} and {show(found[1])}; to predict a value at each step use maas.data.windows"
                )
    kept = {name: raw[name].values[first] for name in side}
    kept[id] = as_objects(series)
    goal = None if target is None else _taken(raw[target], first)
    names = [f"series {show(one)}" for one in series]
    return _rows([values[lines] for lines in series.values()], names, goal, target, task, kept, source)


def _from_wide(
    raw: Mapping[str, Cells],
    id: str | None,
    steps: Sequence[str],
    target: str | None,
    task: str | None,
    side: Sequence[str],
    source: str,
) -> Rows:
    values = numbers(raw, steps)  # (rows, steps)
    present = ~np.isnan(values)
    ends = np.where(present.any(axis=1), values.shape[1] - present[:, ::-1].argmax(axis=1), 0)
    series = [row[:end, None] for row, end in zip(values, ends, strict=True)]
    kept = {name: raw[name].values for name in (*side, *([id] if id is not None else []))}
    goal = None if target is None else raw[target]
    return _rows(series, [f"row {row}" for row in range(len(series))], goal, target, task, kept, source)


def _from_ts(path: Path, target: Any, task: str | None, encoding: str) -> Rows:
    found = read_ts(path, encoding)
    names = [f"{path}, line {line}:" for line in found.lines]
    name = target or "target"
    if not isinstance(name, str):
        raise DataError(f"`target` is what to call the labels of a .ts file, got {show(target)}")
    if found.task is None:
        if target is not None or task is not None:
            raise DataError(f"{path} has neither @classLabel nor @targetLabel; it has no target {show(name)}")
        return _rows(found.values, names, None, None, None, {}, str(path))
    goal = plain_column(name, found.labels)
    return _rows(found.values, names, goal, name, task or found.task, {}, str(path), as_text=True)


def _from_arrays(source: Any, target: Any, task: str | None) -> Rows:
    series = []
    for index, one in enumerate(source):
        array = as_array(one, f"series {index}")
        if array.ndim == 1:
            array = array[:, None]
        if array.ndim != 2 or array.dtype.kind not in "fiub":
            raise DataError(
                f"series {index} must be numbers of shape (steps, channels), got dtype {array.dtype}, "
                f"shape {array.shape}"
            )
        series.append(array.astype(np.float64))
    names = [f"series {index}" for index in range(len(series))]
    if target is None:
        return _rows(series, names, None, None, None, {}, "arrays")
    goal = target_cells(target, len(series), "series", name="`target`")
    return _rows(series, names, goal, "target", task, {}, "arrays")


def _rows(
    series: Sequence[np.ndarray[Any, Any]],
    names: Sequence[str],
    target: Cells | None,
    target_name: str | None,
    task: str | None,
    side: Mapping[str, np.ndarray[Any, Any]],
    source: str,
    *,
    as_text: bool = False,
) -> Rows:
    """Checked series as rows; `names` says what to call each in a message."""
    if not series:
        raise DataError("there is no series")
    width = series[0].shape[1]
    for name, one in zip(names, series, strict=True):
        if not one.size:
            raise DataError(f"{name} has no step; leave it out")
        if one.shape[1] != width:
            raise DataError(f"{name} has {one.shape[1]} channels, the first series has {width}")
        if np.isinf(one).any():
            step, channel = np.argwhere(np.isinf(one))[0].tolist()
            raise DataError(f"{name} must be finite, got {one[step, channel]} at step {step} of channel {channel}")
    low, high, nullable = observed(series)
    longest = ROOM * max(map(len, series))
    field = Field(FIELD, "sequence", "number", (None, width), nullable, (low, high), longest=longest)
    column = np.empty(len(series), object)
    for row, one in enumerate(series):  # an assignment in one go would stack series of one length
        column[row] = one
    columns = {FIELD: column}
    if target is None:
        return Rows(Schema((field,)), columns, side=side, source=source)
    goal, task = target_of(str(target_name), target, task, None, as_text=as_text)
    return Rows(Schema((field,)), columns, goal, str(target_name), task, side, source=source)


def observed(series: Sequence[np.ndarray[Any, Any]]) -> tuple[float, float, bool]:
    """Least and greatest value of all series, and whether one is missing."""
    present = np.any([~np.isnan(one).all(axis=0) for one in series], axis=0)
    if not present.all():
        channel = int(np.flatnonzero(~present)[0])
        raise DataError(f"channel {channel} (counted from 0) is missing in every step; leave it out")
    least = min(float(np.nanmin(one)) for one in series if not np.isnan(one).all())
    most = max(float(np.nanmax(one)) for one in series if not np.isnan(one).all())
    return least, most, any(bool(np.isnan(one).any()) for one in series)


def _taken(cells: Cells, index: np.ndarray[Any, Any]) -> Cells:
    """The cells of a column at these positions."""
    return Cells(cells.kind, cells.values[index], lambda: cells.labels[index])
