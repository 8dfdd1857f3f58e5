"""PNG files whose pixels are damaged: torchvision's decoder would end the process on them, so they are told before."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence

import numpy as np
import pytest
from PIL import Image as Pillow

from maas.preprocess._decode import decode
from maas.preprocess._png import _ADAM7, _WHOLE, checked_png

SIDE = 8
ROWS = b"".join(b"\0" + bytes(range(row, row + 3 * SIDE)) for row in range(SIDE))  # a filter, then red, green, blue ...


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(
    parts: Sequence[bytes],
    *,
    size: tuple[int, int] = (SIDE, SIDE),
    depth: int = 8,
    colour: int = 2,
    interlaced: int = 0,
    before: bytes = b"",
) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, interlaced))
    body = b"".join(chunk(b"IDAT", part) for part in parts)
    return b"\x89PNG\r\n\x1a\n" + header + before + body + chunk(b"IEND", b"")


STREAM = zlib.compress(ROWS)
WIDE = b"\0" + np.random.default_rng(0).integers(0, 256, 3 * 128, np.uint8).tobytes()
FINE = png([STREAM])
DAMAGED = {
    "a byte of the stream": (FINE[:60] + bytes([FINE[60] ^ 1]) + FINE[61:], "a checksum is wrong"),
    "its checksum": (FINE[:-13] + b"\0" + FINE[-12:], "a checksum is wrong"),
    "the sum of all rows": (png([STREAM[:-1] + bytes([STREAM[-1] ^ 1])]), "the stream of pixels is damaged"),
    "no stream": (png([b"\0" * 50]), "the stream of pixels is damaged"),
    "a stream that ends amid a row": (png([STREAM[:-20]]), "ends too soon"),
    "a row too few": (png([zlib.compress(ROWS[:-25])]), "ends too soon"),
    "a pixel too few": (png([zlib.compress(ROWS[:-1])]), "ends too soon"),
    "nothing": (png([b""]), "ends too soon"),
    "a gap within": (png([STREAM[:30]]) + chunk(b"IDAT", STREAM[30:]), "ends too soon"),
    "another chunk between": (
        png([STREAM[:30], STREAM[30:]]).replace(chunk(b"IDAT", STREAM[30:]), b"")[:-12],
        "ends t",
    ),
    "an unknown filter": (png([zlib.compress(ROWS[:-25] + b"\x05" + ROWS[-24:])]), "a row has no known filter"),
    "no room for interlacing": (png([zlib.compress(bytes(len(ROWS)))], interlaced=1), "ends too soon"),
    "a cut within a chunk": (FINE[:-30], "a chunk is cut off"),
    "rows without end": (png([zlib.compress(ROWS + bytes(3 << 20))]), "unfolds to more than there are"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_pixels_are_told(name: str) -> None:
    content, message = DAMAGED[name]
    with pytest.raises(ValueError, match=message):
        checked_png(content)
    with pytest.raises(ValueError, match=r"is a PNG image of [0-9,]+ bytes that cannot be decoded"):
        decode(content)


@pytest.mark.parametrize(
    "parts",
    [
        [STREAM],
        [STREAM[:1], b"", STREAM[1:40], STREAM[40:]],
        [zlib.compress(ROWS, 0)],
        [zlib.compress(ROWS + b"more")],  # libpng passes over it
    ],
)
def test_whole_pixels_are_let_through(parts: list[bytes]) -> None:
    """Reference: Pillow's decoder."""
    content = png(parts)
    wanted = np.asarray(Pillow.open(io.BytesIO(png([STREAM]))))
    np.testing.assert_array_equal(decode(content).permute(1, 2, 0).numpy(), wanted)


@pytest.mark.parametrize("interlaced", [0, 1])
@pytest.mark.parametrize(
    ("colour", "depth", "channels"),
    [
        *((0, depth, 1) for depth in (1, 2, 4, 8, 16)),
        *((3, depth, 1) for depth in (1, 2, 4, 8)),
        *((colour, depth, channels) for colour, channels in ((2, 3), (4, 2), (6, 4)) for depth in (8, 16)),
    ],
)
def test_every_kind_of_pixel_has_its_number_of_bytes(colour: int, depth: int, channels: int, interlaced: int) -> None:
    """All are let through at their size, which libpng confirms, and none with a byte less."""
    random = np.random.default_rng(0)
    for width, height in ((1, 1), (3, 5), (9, 2), (8, 8)):
        rows = b""
        for left, top, across, down in _ADAM7 if interlaced else _WHOLE:
            columns = len(range(left, width, across))
            for _ in range(top, height, down) if columns else ():
                size = (columns * depth * channels + 7) // 8
                rows += bytes([random.integers(0, 5)]) + random.integers(0, 256, size, np.uint8).tobytes()
        palette = chunk(b"PLTE", bytes(3 * 2**depth)) if colour == 3 else b""
        options = {"size": (width, height), "depth": depth, "colour": colour, "before": palette}
        whole, less = (png([zlib.compress(one)], interlaced=interlaced, **options) for one in (rows, rows[:-1]))
        assert decode(whole).shape == (3, height, width)
        with pytest.raises(ValueError, match="ends too soon"):
            checked_png(less)


def test_a_flipped_byte_ends_no_process() -> None:
    """Each byte after the signature in turn: an answer or an error, never the end of this test run."""
    told = 0
    for at in range(8, len(FINE)):
        try:
            decode(FINE[:at] + bytes([FINE[at] ^ 0xFF]) + FINE[at + 1 :])
        except ValueError:
            told += 1
    assert told > len(FINE) // 2


@pytest.mark.parametrize("cut", [0, 1, 2, 30])
def test_a_distance_beyond_the_window_that_the_stream_names_is_decoded(cut: int) -> None:
    """libpng ends on it where the window is that of 256 bytes; equal rows of 385 bytes lie farther apart."""
    small = b"\x08\x1d" + zlib.compress(WIDE * 8)[2:]
    pixels = decode(png([small[:cut], small[cut:]], size=(128, 8)))
    wanted = np.frombuffer(WIDE[1:], np.uint8).reshape(1, 128, 3).repeat(8, axis=0)
    np.testing.assert_array_equal(pixels.permute(1, 2, 0).numpy(), wanted)


def test_a_large_image_is_looked_through_in_parts() -> None:
    """Rows across the parts that are inflated at once keep their filters in sight."""
    rows = np.random.default_rng(0).integers(0, 256, (1500, 1 + 3 * 997), np.uint8)
    rows[:, 0] %= 5
    checked_png(png([zlib.compress(rows.tobytes(), 1)], size=(997, 1500)))
    rows[1499, 0] = 5
    with pytest.raises(ValueError, match="a row has no known filter"):
        checked_png(png([zlib.compress(rows.tobytes(), 1)], size=(997, 1500)))
