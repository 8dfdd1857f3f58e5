"""Encoded images to pixels: the only decoder there is, for training and serving alike."""

from __future__ import annotations

import struct

import torch

from maas.preprocess._header import WANTED, Header, read_header
from maas.preprocess._png import checked_png

MOST_PIXELS = 50_000_000
_MOST_SCANS = 500
_START_OF_SCAN = b"\xff\xda"


def decode(content: bytes, *, most_pixels: int = MOST_PIXELS) -> torch.Tensor:
    """The pixels of an encoded image, as a person sees them: rotated as EXIF asks.

    Grey becomes three equal channels, a palette and CMYK become red, green and blue, alpha is dropped, and of 16 bits
    the upper 8 are kept.

    Args:
        content: a JPEG, PNG or WebP file.
        most_pixels: a larger image is refused by its header, before memory is taken for it.

    Returns:
        uint8 of shape (3, height, width), from 0 to 255.

    Raises:
        ValueError: it cannot be decoded; the message is what follows the name of the field.
    """
    # Imported here: it takes a second, and a worker that serves tables has no use for it.
    from torchvision.io import decode_image

    try:
        header = read_header(content)
    except ValueError as error:
        raise ValueError(f"must be {WANTED}, got {error}") from error
    if not 0 < header.height * header.width <= most_pixels:
        raise ValueError(
            f"has {header.width:,} x {header.height:,} pixels; it must have 1 to {most_pixels:,} in all: make it "
            f"smaller first"
        )
    # Each scan of a progressive JPEG passes over the whole image: thousands of empty ones would take minutes.
    if header.format == "JPEG" and content.count(_START_OF_SCAN) > _MOST_SCANS:
        raise ValueError(f"is a JPEG image of more than {_MOST_SCANS} scans; store it again with fewer")
    try:
        if header.format == "PNG":
            content = checked_png(content)
        # WebP has no grey mode: ask for colours of all, and make them grey in one place.
        pixels = decode_image(
            torch.frombuffer(bytearray(content), dtype=torch.uint8), "RGB", apply_exif_orientation=True
        )
    except (RuntimeError, ValueError, struct.error) as error:
        raise ValueError(
            f"is a {header.format} image of {len(content):,} bytes that cannot be decoded: it is truncated or "
            f"damaged, or of a kind that is not supported; store it again"
        ) from error
    if pixels.dtype == torch.uint16:
        pixels = torch.from_numpy((pixels.numpy() >> 8).astype("uint8"))
    return _upright(pixels, header)


def _upright(pixels: torch.Tensor, header: Header) -> torch.Tensor:
    """Rotate and mirror by the EXIF orientation that the decoder does not know of."""
    if header.orientation >= 5:
        pixels = pixels.transpose(1, 2)
    flips = {2: (2,), 3: (1, 2), 4: (1,), 6: (2,), 7: (1, 2), 8: (1,)}.get(header.orientation)
    return pixels.flip(flips) if flips else pixels
