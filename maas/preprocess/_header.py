"""What an encoded image says of itself before it is decoded: its format, its size, whether it is grey."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from maas.errors import show

WANTED = "a JPEG, PNG or WebP image"
_SHOWN_BYTES = 16
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # start of frame, in all its kinds
_BARE = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without a length
_ORIENTATION = 0x0112


@dataclass(frozen=True)
class Header:
    """What stands in front of the pixels.

    Args:
        format: "JPEG", "PNG" or "WebP".
        height, width: in pixels, as stored: before any rotation that EXIF asks for.
        is_grey: whether the file has no colours (an alpha channel does not count).
        orientation: of EXIF, 1 to 8, where the decoder does not apply it by itself: of WebP; else 1.
    """

    format: str
    height: int
    width: int
    is_grey: bool
    orientation: int = 1


def read_header(content: bytes) -> Header:
    """The header of an encoded image.

    Args:
        content: a JPEG, PNG or WebP file.

    Raises:
        ValueError: it is none; the message says what was found, to stand behind "got".

    Source: ITU T.81 annex B (JPEG), RFC 2083 section 11.2.1 (PNG), RFC 9649 section 2 (WebP).
    """
    try:
        if content[:3] == b"\xff\xd8\xff":
            return _jpeg(content)
        if content[:8] == b"\x89PNG\r\n\x1a\n":
            return _png(content)
        if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
            return _webp(content)
    except (struct.error, IndexError) as error:
        raise ValueError(f"{len(content):,} bytes that end within the header of the image") from error
    known = {b"GIF8": "a GIF image", b"BM": "a BMP image", b"II*\0": "a TIFF image", b"MM\0*": "a TIFF image"}
    for start, name in known.items():
        if content.startswith(start):
            raise ValueError(f"{name}; convert it to PNG")
    raise ValueError(f"{len(content):,} bytes that start with {show(content[:_SHOWN_BYTES])}")


def _jpeg(content: bytes) -> Header:
    at = 2
    while True:
        # As libjpeg looks for a marker: past what is no 0xFF, past 0xFF repeated, past an escaped 0xFF.
        at = content.find(b"\xff", at)
        if at < 0:
            raise IndexError
        while content[at] == 0xFF:
            at += 1
        marker = content[at]
        at += 1
        if marker == 0 or marker in _BARE:
            continue
        if marker in (0xD9, 0xDA):
            raise ValueError("a JPEG file without a frame header; it is damaged")
        (length,) = struct.unpack_from(">H", content, at)
        if marker in _FRAMES:
            _, height, width, components = struct.unpack_from(">BHHB", content, at + 2)
            return Header("JPEG", height, width, is_grey=components == 1)
        at += max(length, 2)


def _png(content: bytes) -> Header:
    if content[12:16] != b"IHDR":
        raise ValueError("a PNG file without a header chunk; it is damaged")
    width, height, _, colour = struct.unpack_from(">IIBB", content, 16)
    return Header("PNG", height, width, is_grey=colour in (0, 4))


def _webp(content: bytes) -> Header:
    chunk = content[12:16]
    if chunk == b"VP8 ":
        width, height = struct.unpack_from("<HH", content, 26)
        return Header("WebP", height & 0x3FFF, width & 0x3FFF, is_grey=False)
    if chunk == b"VP8L":
        (bits,) = struct.unpack_from("<I", content, 21)
        return Header("WebP", (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1, is_grey=False)
    if chunk == b"VP8X":
        if content[20] & 2:
            raise ValueError("an animated WebP image; send one of its frames")
        width, height = (int.from_bytes(content[at : at + 3], "little") + 1 for at in (24, 27))
        return Header("WebP", height, width, False, _webp_orientation(content))
    raise ValueError("a WebP file without an image; it is damaged")


def _webp_orientation(content: bytes) -> int:
    """The orientation in the EXIF chunk of a WebP file, 1 where there is none that can be read."""
    at = 12
    while at + 8 <= len(content):
        (length,) = struct.unpack_from("<I", content, at + 4)
        if content[at : at + 4] == b"EXIF":
            return _orientation(content[at + 8 : at + 8 + length].removeprefix(b"Exif\0\0"))
        at += 8 + length + length % 2
    return 1


def _orientation(exif: bytes) -> int:
    """The orientation in a TIFF structure (EXIF 2.32, section 4.6.4): an entry of its first directory."""
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None:
        return 1
    try:
        (first,) = struct.unpack_from(order + "I", exif, 4)
        (count,) = struct.unpack_from(order + "H", exif, first)
        for entry in range(count):
            tag, _, _, value = struct.unpack_from(order + "HHIH", exif, first + 2 + 12 * entry)
            if tag == _ORIENTATION:
                return value if 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1
