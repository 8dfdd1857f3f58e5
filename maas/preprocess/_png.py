"""Whether the pixels of a PNG file are all there, before a decoder that would not survive it otherwise sees them."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
_WHOLE = ((0, 0, 1, 1),)
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_MOST_FILTER = 4
_LARGEST_WINDOW = b"\x78\x01"  # a zlib header of 32 KiB, the check bits right
_INPUT_BYTES = 1 << 16
_OUTPUT_BYTES = 1 << 20
_SPARE_BYTES = 1 << 20  # libpng passes over what comes after the last row; a file may not unfold without end, though


def checked_png(content: bytes) -> bytes:
    """Inflate the pixels once, in parts that are thrown away, and look for all that ends libpng while it reads rows.

    torchvision 0.29 bears an error in a PNG file's header; one within the rows ends the whole process.

    Args:
        content: a PNG file, up to its header known to be one.

    Returns:
        The same file, the stream of pixels naming the largest window: a distance beyond the window that it named
        would be such an error, and one that zlib does not tell of.

    Raises:
        ValueError: a checksum is wrong, the stream is damaged or ends too soon, or a row has no known filter.

    Source: RFC 2083, sections 2.6 (interlacing), 3.4 (checksums), 5 (compression) and 6 (filters); RFC 1950.
    """
    spans = _spans(content)
    content = _with_largest_window(content, spans)
    width, height, depth, colour, _, _, interlaced = struct.unpack_from(">IIBBBBB", content, 16)
    rows = []  # of each pass: where its rows begin, how many there are, bytes of each
    total = 0
    for left, top, across, down in _ADAM7 if interlaced else _WHOLE:
        wide, tall = -(-(width - left) // across), -(-(height - top) // down)
        if wide > 0 and tall > 0:
            size = 1 + -(-wide * depth * _CHANNELS.get(colour, 1) // 8)
            rows.append((total, tall, size))
            total += tall * size
    inflater = zlib.decompressobj()
    at = 0
    for piece in _pieces(content, spans):
        while not inflater.eof:
            try:
                part = inflater.decompress(piece, _OUTPUT_BYTES)
            except zlib.error as error:
                raise ValueError("the stream of pixels is damaged") from error
            piece = inflater.unconsumed_tail
            for start, tall, size in rows:
                first = start + -(-max(0, at - start) // size) * size
                end = min(at + len(part), start + tall * size)
                if first < end and max(part[first - at : end - at : size]) > _MOST_FILTER:
                    raise ValueError("a row has no known filter")
            at += len(part)
            if at > total + _SPARE_BYTES:
                raise ValueError("the stream of pixels unfolds to more than there are")
            if not piece and len(part) < _OUTPUT_BYTES:
                break
    if not inflater.eof or at < total:
        raise ValueError("the stream of pixels ends too soon")
    return content


def _spans(content: bytes) -> list[tuple[int, int]]:
    """Where the data of the first run of IDAT chunks begins and ends, their checksums being right."""
    view = memoryview(content)
    spans: list[tuple[int, int]] = []
    at = 8
    while at + 12 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, at)
        if kind != b"IDAT" and spans:
            break
        start, end = at + 8, at + 8 + length
        if end + 4 > len(content):
            raise ValueError("a chunk is cut off")
        if kind == b"IDAT":
            if zlib.crc32(view[start - 4 : end]) != struct.unpack_from(">I", content, end)[0]:
                raise ValueError("a checksum is wrong")
            spans.append((start, end))
        at = end + 4
    return spans


def _pieces(content: bytes, spans: list[tuple[int, int]]) -> Iterator[memoryview | bytes]:
    view = memoryview(content)
    for start, end in spans:
        for at in range(start, end, _INPUT_BYTES):
            yield view[at : min(end, at + _INPUT_BYTES)]


def _with_largest_window(content: bytes, spans: list[tuple[int, int]]) -> bytes:
    header = b"".join(content[start : min(end, start + 2)] for start, end in spans)[:2]
    number = int.from_bytes(header, "big")
    if len(header) < 2 or number % 31 or header[0] & 15 != 8 or header[0] >> 4 >= 7 or header[1] & 32:
        return content  # it has it, or is damaged and zlib tells
    changed, left = bytearray(content), _LARGEST_WINDOW
    for start, end in spans:
        part, left = left[: end - start], left[end - start :]
        changed[start : start + len(part)] = part
        struct.pack_into(">I", changed, end, zlib.crc32(memoryview(changed)[start - 4 : end]))
        if not left:
            break
    return bytes(changed)
