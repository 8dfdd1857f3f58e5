"""The `.ts` text format of the UCR and UEA archives and of sktime: one series a line, channels divided by colons."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from maas.data._cells import parse_number
from maas.data._sources import check_file, read_text
from maas.errors import DataError, show


@dataclass(frozen=True)
class Series:
    """What a `.ts` file holds.

    Args:
        values: one float64 array of shape (steps, channels) a series, NaN where a step is missing.
        lines: the line of the file that each series stands in, counted from 1.
        labels: the text after each series, None where it is missing; empty when the file has no labels.
        task: "classification" or "regression", as the header says; None without labels.
    """

    values: list[np.ndarray[Any, Any]]
    lines: list[int]
    labels: list[str | None]
    task: str | None


def read_ts(path: Path, encoding: str) -> Series:
    """Read a `.ts` file.

    Raises:
        DataError: it cannot be read; the message names the line.

    Source: the format's description in sktime, "Loading data into sktime", and Bagnall et al. 2018 (arXiv 1811.00075).
    """
    check_file(path)
    lines = enumerate(read_text(path, encoding).splitlines(), start=1)
    header = _header(path, lines)
    if header.get("timestamps", "false").split()[0] == "true":
        raise DataError(f"{path} holds time stamps; write the steps as plain values, evenly spaced in time")
    words = header.get("classlabel", "false").split() or ["false"]
    task = "classification" if words[0] == "true" else None
    known = set(words[1:]) if task else set()
    if (header.get("targetlabel", "false").split() or ["false"])[0] == "true":
        task = "regression"
    found = Series([], [], [], task)
    for number, line in lines:
        if not line.strip() or line.startswith(("#", "%")):
            continue
        channels = line.strip().split(":")
        label = channels.pop().strip() if task else None
        if known and label not in known and label != "?":
            raise DataError(f"{path}, line {number}: label {show(label)} is none of those that the header names")
        found.values.append(_series(f"{path}, line {number}", channels))
        found.lines.append(number)
        if task:
            found.labels.append(None if label == "?" else label)
    if not found.values:
        raise DataError(f"{path} has a header and no series")
    wanted = header.get("dimensions", "")
    if wanted.isdecimal() and int(wanted) != found.values[0].shape[1]:
        raise DataError(f"{path} says {wanted} dimensions, and its first series has {found.values[0].shape[1]}")
    return found


def _header(path: Path, lines: Iterator[tuple[int, str]]) -> dict[str, str]:
    """What stands before `@data`, names in lower case; label values keep theirs."""
    header: dict[str, str] = {}
    for number, line in lines:
        if not line.strip() or line.startswith(("#", "%")):
            continue
        if not line.startswith("@"):
            raise DataError(
                f"{path}, line {number}: a .ts file has lines that begin with @ before @data, got {show(line)}"
            )
        name, _, value = line[1:].strip().partition(" ")
        if name.lower() == "data":
            return header
        first, space, rest = value.strip().partition(" ")
        header[name.lower()] = first.lower() + space + rest or "false"
    raise DataError(f"{path} is no .ts file: there is no line @data")


def _series(where: str, channels: Iterable[str]) -> np.ndarray[Any, Any]:
    """One line's channels as float64 of shape (steps, channels)."""
    columns = [[_value(where, text.strip()) for text in channel.split(",")] for channel in channels]
    if not columns:
        raise DataError(f"{where} has a label and no series")
    if len(lengths := {len(column) for column in columns}) > 1:
        raise DataError(f"{where} has channels of different lengths, {min(lengths)} to {max(lengths)} steps")
    return np.array(columns, np.float64).T


def _value(where: str, text: str) -> float:
    if text in ("?", "NaN", "nan"):
        return np.nan
    number = parse_number(text)
    if number is None:
        raise DataError(f"{where} has {show(text)} among its numbers; a missing step is written ?")
    return number
