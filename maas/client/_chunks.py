"""What a caller wants answered, as requests of bounded size."""

from __future__ import annotations

import base64
import json
import mimetypes
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from maas.errors import ClientError, RequestRefused, show

JSON = "application/json"
ROWS_A_REQUEST = 500
ARRAY_ROWS_A_REQUEST = 5_000
BYTES_A_REQUEST = 4_000_000
"""TorchServe takes 6.5 MB; less, so that the answer has room too."""

_Bare = (str, bytes, bytearray, memoryview, Path)


@dataclass(frozen=True)
class Chunk:
    """Some of the rows: the body of one request.

    Args:
        start: position of its first row.
        items: has a length and can be sliced: encoded rows, or an array.
        media: the body's media type.
        write: makes the body of `items`.
        unsent: why its only row cannot be sent.
    """

    start: int
    items: Any
    media: str
    write: Callable[[Any], bytes]
    unsent: str | None = None

    def __len__(self) -> int:
        return len(self.items)

    def halves(self) -> tuple[Chunk, Chunk]:
        half = len(self) // 2
        return replace(self, items=self.items[:half]), replace(self, start=self.start + half, items=self.items[half:])


@dataclass(frozen=True)
class Job:
    """What `predict` was given.

    Args:
        chunks: the requests, made one by one as they are sent.
        total: rows in all, where that is known.
        single: one row was given, and one answer is wanted.
        backend: of frames made of the answers.
    """

    chunks: Iterator[Chunk]
    total: int | None
    single: bool = False
    backend: str = "pyarrow"


def job_of(rows: Any) -> Job:
    """Rows in any of the forms that a caller may have.

    Raises:
        ClientError: it is none of them.
        RequestRefused: the only row cannot be written as JSON.
    """
    if isinstance(rows, Mapping):
        try:
            return Job(iter([Chunk(0, [_encode(dict(rows))], JSON, b"".join)]), 1, single=True)
        except (TypeError, ValueError, RecursionError) as error:
            raise _unsent(f"a row cannot be written as JSON: {error}") from error
    if isinstance(rows, _Bare):
        return Job(_bare([rows]), 1, single=True)
    if hasattr(rows, "__array_interface__"):
        from maas.client._arrays import checked

        array = checked(rows)
        return Job(array_chunks(array), len(array))
    if isinstance(rows, Sequence):
        if rows and all(isinstance(row, _Bare) for row in rows):
            return Job(_bare(rows), len(rows))
        return Job(_rows(rows), len(rows))
    if isinstance(rows, Iterator):
        return Job(_rows(rows), None)
    return _frame(rows)


def array_chunks(array: Any) -> Iterator[Chunk]:
    """The rows of a checked array, as .npy bodies."""
    from maas.client._arrays import NPY, write_npy

    size = max(1, min(ARRAY_ROWS_A_REQUEST, BYTES_A_REQUEST * len(array) // max(1, array.nbytes)))
    for start in range(0, len(array), size):
        yield Chunk(start, array[start : start + size], NPY, write_npy)


def _encode(row: Any) -> bytes:
    """A row as JSON.

    Raises:
        TypeError, ValueError: a value is none that JSON has.
    """
    found = orjson.dumps(row, default=_plain)
    if b"null" in found:  # which orjson also makes of NaN and infinity: they are not to be taken for a missing value
        json.dumps(row, allow_nan=False, default=lambda value: getattr(value, "tolist", str)())
    return found


def _plain(value: Any) -> Any:
    """Bytes as base64; numpy's scalars and arrays, without importing numpy."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return base64.b64encode(value).decode("ascii")
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is not JSON")


def _unsent(detail: str) -> RequestRefused:
    return RequestRefused(400, {"title": "Not sent", "detail": detail})


def _rows(rows: Iterable[Any]) -> Iterator[Chunk]:
    start, size = 0, 0
    parts: list[bytes] = []
    for number, row in enumerate(rows):
        try:
            part = _encode(row)
        except (TypeError, ValueError, RecursionError) as error:
            if parts:
                yield Chunk(start, parts, JSON, _instances)
            yield Chunk(number, [b""], JSON, _instances, unsent=f"it cannot be written as JSON: {error}")
            start, parts, size = number + 1, [], 0
            continue
        if parts and (len(parts) == ROWS_A_REQUEST or size + len(part) > BYTES_A_REQUEST):
            yield Chunk(start, parts, JSON, _instances)
            start, parts, size = number, [], 0
        parts.append(part)
        size += len(part) + 1
    if parts:
        yield Chunk(start, parts, JSON, _instances)


def _instances(parts: Sequence[bytes]) -> bytes:
    return b'{"instances":[' + b",".join(parts) + b"]}"


def _bare(values: Iterable[Any]) -> Iterator[Chunk]:
    for number, value in enumerate(values):
        if isinstance(value, str):
            body, media = value.encode(errors="surrogatepass"), "text/plain; charset=utf-8"
        elif isinstance(value, Path):
            body, media = value.read_bytes(), _media(value)
        else:
            body, media = bytes(value), "application/octet-stream"
        yield Chunk(number, [body], media, b"".join)


def _media(path: Path) -> str:
    if path.suffix.lower() == ".txt":
        return "text/plain; charset=utf-8"
    found = mimetypes.guess_type(path.name)[0] or ""
    return found if found.startswith(("image/", "audio/")) else "application/octet-stream"


def _frame(rows: Any) -> Job:
    import narwhals as nw

    try:
        frame = nw.from_native(rows, eager_only=True)
    except TypeError as error:
        raise ClientError(
            "`rows` must be a row as a mapping, a sequence of them, a data frame, a numpy array, or for a model with "
            f"one field of bytes or text its value or file (pathlib.Path), got {show(type(rows).__name__)}"
        ) from error
    backend = frame.implementation.value
    named = frame.iter_rows(named=True)
    rows = ({name: None if _is_missing(value) else value for name, value in row.items()} for row in named)
    return Job(_rows(rows), len(frame), backend=backend)


def _is_missing(value: Any) -> bool:
    """Whether a frame says by a value that there is none: by NaN or NaT, which are not themselves, or by pandas' NA."""
    if hasattr(value, "__len__"):  # arrays compare element by element
        return False
    try:
        return bool(value != value)
    except TypeError:  # whether NA is NA, it does not know
        return True
