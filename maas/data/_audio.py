"""Sounds to rows with one field, `audio`: from folders, tables of paths and arrays."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from maas.data._arrays import as_array, target_cells
from maas.data._cells import as_objects
from maas.data._encoded import LONGEST, read_sound
from maas.data._files import TABLES, Medium, from_folder, from_table
from maas.data._labels import SEPARATOR
from maas.data._rows import Rows
from maas.data._targets import check_task, target_of
from maas.errors import DataError, show
from maas.schema import Field, Schema

FIELD = Field("audio", "audio", "bytes", longest=LONGEST)
_SOUNDS = Medium(FIELD, "sounds", (".wav", ".flac"), read_sound)
_MOST_CHANNELS = 32
_MOST_RATE = 384_000
_LOUDEST = 8.0  # a float beyond is no sound, but integers that someone turned into floats
_PCM, _FLOAT = 1, 3  # how a WAV file is coded


def read_audio(
    source: Any,
    *,
    sample_rate: int | None = None,
    target: str | Sequence[str] | None = None,
    task: str | None = None,
    separator: str = SEPARATOR,
    path: str | None = None,
    root: str | Path | None = None,
) -> Rows:
    """Read sounds with their targets.

    Args:
        source: one of
            - a folder with one folder of WAV or FLAC files for each class, `dog/1.wav`, `cat/2.flac`; or with such
              files and no folder, which have no target;
            - a table of paths: a `.csv`, `.tsv` or `.parquet` file, or a data frame;
            - a pair `(waveforms, y)`: a list of arrays or tensors of shape (samples,) or (samples, channels), each of
              its own length, or one array of shape (rows, samples); int16, or floats from -1 to 1.
        sample_rate: of waveforms, in Hz; needed there, and for nothing else.
        target: of a table, the column to predict, or several; as in `maas.data.read_table`.
        task, separator: as in `maas.data.read_table`.
        path: of a table, the column of paths; found when one is called path, file, filename, file_name or audio.
        root: of a table, the folder that its paths start from; by default that of the file.

    Returns:
        Rows with one field `audio`, encoded, in the order of the source (of a folder: sorted by path). A table's other
        columns, and the path of each file as `path`, stay usable in `split(group=..., time=...)`. Waveforms become WAV
        files in memory, which lose nothing but what float64 has beyond float32.

    Raises:
        DataError: a file is missing or no sound, a folder is empty, sizes do not match, or an argument does not suit
            the source; the message says which and what to do. A damaged sound is found when it is decoded.
    """
    check_task(task)
    form = _form(source)
    for name, value, wanted in (
        ("target", target, "a table"),
        ("path", path, "a table"),
        ("root", root, "a table"),
        ("sample_rate", sample_rate, "a pair of waveforms and targets"),
    ):
        if value is not None and form != wanted:
            raise DataError(f"`{name}` is for {wanted}, the source is {form}; leave it out")
    if form == "a table":
        return from_table(source, target, task, separator, path, root, _SOUNDS)
    if form == "a folder":
        return from_folder(Path(source), task, _SOUNDS)
    waveforms, y = source
    return _from_arrays(waveforms, y, sample_rate, task)


def _form(source: Any) -> str:
    """What a source is."""
    if isinstance(source, (str, Path)):
        place = Path(source)
        if not place.exists():
            raise DataError(f"there is no file or folder {place}")
        if place.is_dir():
            return "a folder"
        if place.suffix.lower() in TABLES:
            return "a table"
        raise DataError(
            f"{place} is no folder and no table of paths ({', '.join(TABLES)}); a single sound is no training set"
        )
    if isinstance(source, tuple) and len(source) == 2:
        return "a pair of waveforms and targets"
    if hasattr(source, "columns") or hasattr(source, "column_names"):
        return "a table"
    raise DataError(
        f"sounds come from a folder, a table of paths or a pair (waveforms, y) with its `sample_rate`, got "
        f"{show(source)}"
    )


def _from_arrays(waveforms: Any, y: Any, sample_rate: int | None, task: str | None) -> Rows:
    if type(sample_rate) is not int or not 1_000 <= sample_rate <= _MOST_RATE:
        raise DataError(
            f"`sample_rate` must say how many samples a second the waveforms have, an integer from 1,000 to "
            f"{_MOST_RATE:,}, got {show(sample_rate)}"
        )
    if not hasattr(waveforms, "__len__") or isinstance(waveforms, (str, bytes)) or not len(waveforms):
        raise DataError(
            f"waveforms must be a list of arrays, or an array of shape (rows, samples), got {show(waveforms)}"
        )
    goal, task = target_of("y", target_cells(y, len(waveforms), "waveforms"), task, None)
    columns = {"audio": as_objects(_encoded(waveforms, sample_rate))}
    return Rows(Schema((FIELD,)), columns, goal, "y", task, source="waveforms")


def _encoded(waveforms: Iterable[Any], sample_rate: int) -> Iterable[bytes]:
    """Waveforms as WAV files, 16-bit where they are int16, else float32: decoded as in serving."""
    for row, one in enumerate(waveforms):
        samples = as_array(one, f"waveform {row}")
        if samples.ndim == 1:
            samples = samples[:, None]
        if samples.dtype != np.int16 and samples.dtype.kind != "f":
            raise DataError(
                f"waveform {row} must be int16, or floats from -1 to 1, got {samples.dtype}; scale it first: "
                f"(x / 2**31).astype('float32') where x is int32"
            )
        if samples.ndim != 2 or not samples.size or samples.shape[1] > _MOST_CHANNELS:
            raise DataError(
                f"waveform {row} must have the shape (samples,) or (samples, channels), 1 to {_MOST_CHANNELS} "
                f"channels, got {np.shape(one)}; channels come last"
            )
        if samples.dtype.kind == "f":
            samples = samples.astype(np.float32)
            if not np.abs(samples).max() <= _LOUDEST:  # NaN is not less than anything
                raise DataError(
                    f"waveform {row} must be floats from -1 to 1, got {np.abs(samples).max()}; divide by what full "
                    f"scale is, 32768 where they were int16"
                )
        content = _wav(samples, sample_rate)
        if len(content) > FIELD.longest:
            raise DataError(f"waveform {row} has {len(content):,} bytes, a sound may have {FIELD.longest:,}; cut it")
        yield content


def _wav(samples: np.ndarray[Any, Any], sample_rate: int) -> bytes:
    """A WAV file of int16 or float32 samples of shape (samples, channels): equal bytes for equal samples.

    The library would put the time of day into those of floats.
    """
    width, channels = samples.dtype.itemsize, samples.shape[1]
    coding = _PCM if width == 2 else _FLOAT
    body = samples.astype(samples.dtype.newbyteorder("<")).tobytes()
    layout = struct.pack(
        "<HHIIHH", coding, channels, sample_rate, sample_rate * channels * width, channels * width, 8 * width
    )
    parts = b"WAVEfmt " + struct.pack("<I", len(layout)) + layout + b"data" + struct.pack("<I", len(body)) + body
    return b"RIFF" + struct.pack("<I", len(parts)) + parts
