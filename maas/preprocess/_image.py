"""Images: decoded, brought to one size, and standardised channel by channel, into one tensor `image`."""

from __future__ import annotations

import base64
import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch.nn import functional as F

from maas.errors import DataError, FormatError, RowError, show
from maas.preprocess._base import Arrays, preprocess
from maas.preprocess._decode import decode
from maas.preprocess._examples import GOLDEN
from maas.preprocess._header import read_header
from maas.preprocess._published import INTERPOLATIONS, Published, transform_of
from maas.preprocess._standard import check_statistics
from maas.preprocess._threads import each
from maas.schema import Columns, Schema, TensorSpec

DEFAULT_SIDE = 64
_LARGEST_SIDE = 512  # images of one size are kept at that size up to here
_MOST_SIDE = 4096
_MOST_CELLS = 32
_CHUNK_NUMBERS = 1 << 24
_BYTES_WORTH_A_TURN = 1 << 11  # an image of fewer is mostly the interpreter's work, of which there is one at a time
_BYTES_WORTH_THREADS = 1 << 14  # a tiny image is decoded sooner than a thread is woken
_LUMA = torch.tensor([0.299, 0.587, 0.114])[:, None, None]  # red, green, blue: ITU-R BT.601, as in JPEG
_LONGEST = 16  # times its shorter side: a longer strip is cut before it is resized


@preprocess("image")
@dataclass(frozen=True)
class Image:
    """One float32 tensor `image` of shape (batch, channels, height, width) out of one field of encoded images.

    Each image is decoded, cut to the proportions of the wanted size around its centre, resized to it (bilinear,
    antialiased), made grey where one channel is wanted, and mean and deviation of the training rows' channels are
    taken out.

    Use `Image.learn`, or `Image.with_options(size=32)` as `maas.fit(..., preprocess=...)`. By default the size is that
    of the training images where they all have the same, up to 512 x 512, else 64 x 64; one channel where all of them
    are grey, else three. `Image.published("resnet18")` learns nothing: it does what that network's published weights
    were trained with.

    Args:
        schema: one field of the kind "image" and dtype "bytes".
        height, width: of the result, in pixels.
        mean, scale: float64 of shape (channels,), of pixels from 0 to 1; one channel (grey) or three (red, green,
            blue).
        resize: pixels that the shorter side is brought to, after which (height, width) are cut out around the centre,
            pixels being rounded in between, as torchvision's `ImageClassification` does; None: cut, then resized.
        interpolation: "bilinear" or "bicubic"; the latter goes with `resize` only.
    """

    kind: ClassVar[str] = "image"
    wanted_size: ClassVar[tuple[int, int] | None] = None
    wanted_channels: ClassVar[int | None] = None
    wanted_published: ClassVar[Published | None] = None

    schema: Schema
    height: int
    width: int
    mean: np.ndarray[Any, Any]
    scale: np.ndarray[Any, Any]
    resize: int | None = None
    interpolation: str = "bilinear"

    @classmethod
    def with_options(cls, *, size: int | tuple[int, int] | None = None, channels: int | None = None) -> type[Image]:
        """This preprocessing with some of it decided beforehand: for `maas.fit(..., preprocess=...)`.

        Args:
            size: height and width in pixels, or one number for both; None: found from the training rows.
            channels: 1 for grey, 3 for colours; None: found from the training rows.

        Raises:
            DataError: an option is out of its range.
        """
        sides = (size, size) if type(size) is int else size
        if sides is not None and not (
            isinstance(sides, (tuple, list))
            and len(sides) == 2
            and all(type(side) is int and 1 <= side <= _MOST_SIDE for side in sides)
        ):
            raise DataError(
                f"`size` must be one or two numbers of pixels (height, width) from 1 to {_MOST_SIDE}, got {size!r}"
            )
        if channels not in (None, 1, 3):
            raise DataError(f"`channels` must be 1 (grey), 3 (colours) or None (as the data), got {show(channels)}")
        wanted = None if sides is None else tuple(sides)
        return type("Image", (cls,), {"wanted_size": wanted, "wanted_channels": channels, "__module__": __name__})

    @classmethod
    def published(cls, name: str, *, weights: str = "DEFAULT", size: int | None = None) -> type[Image]:
        """What published weights of torchvision were trained with: for `maas.fit(..., preprocess=...)`.

        Grey images become three equal channels.

        Args:
            name: of the network, such as "resnet18".
            weights: which of its weights, such as "IMAGENET1K_V1"; "DEFAULT": the ones torchvision recommends.
            size: another side of the square, in pixels, to save time; the shorter side is then brought to just that,
                and nothing is cut off it. Mean, deviation and interpolation stay the published ones.

        Raises:
            DataError: there is no such network, it has no such weights, or the size is out of its range.
        """
        found = transform_of(name, weights)
        if size is not None:
            if type(size) is not int or not 1 <= size <= _MOST_SIDE:
                raise DataError(f"`size` must be a number of pixels from 1 to {_MOST_SIDE}, or None, got {show(size)}")
            found = replace(found, resize=size, size=size)
        return type("Image", (cls,), {"wanted_published": found, "__module__": __name__})

    @classmethod
    def takes(cls, schema: Schema) -> bool:
        return [(field.kind, field.dtype) for field in schema.fields] == [("image", "bytes")]

    @classmethod
    def learn(cls, schema: Schema, columns: Columns) -> Image:
        """Learn size, channels, mean and deviation.

        Raises:
            DataError: a row cannot be decoded.
        """
        if (known := cls.wanted_published) is not None:
            mean, scale = np.array(known.mean), np.array(known.scale)
            return Image(schema, known.size, known.size, mean, scale, known.resize, known.interpolation)
        contents = columns[schema.names[0]]
        size, channels = cls.wanted_size, cls.wanted_channels
        if size is None or channels is None:
            found = _sizes(schema, contents)
            size, channels = size or found[0], channels or found[1]
        plain = Image(schema, *size, np.zeros(channels), np.ones(channels))
        total, squares = np.zeros(channels), np.zeros(channels)
        rows = max(1, _CHUNK_NUMBERS // (channels * size[0] * size[1]))
        for start in range(0, len(contents), rows):
            tensors, errors = plain.apply({schema.names[0]: contents[start : start + rows]})
            for row in sorted(errors):
                raise errors[row].at(start + row)
            values = tensors["image"].double()
            total += values.sum(dim=(0, 2, 3)).numpy()
            squares += values.square().sum(dim=(0, 2, 3)).numpy()
        count = len(contents) * size[0] * size[1]
        mean = total / count
        deviation = np.sqrt(np.maximum(squares / count - mean**2, 0.0))
        return Image(schema, *size, mean, np.where(deviation > 1e-6, deviation, 1.0))

    @property
    def outputs(self) -> Mapping[str, TensorSpec]:
        return {"image": TensorSpec((len(self.mean), self.height, self.width), "float32")}

    def apply(self, columns: Columns) -> tuple[dict[str, torch.Tensor], dict[int, RowError]]:
        name = self.schema.names[0]
        contents = columns[name]
        mean, scale = self._statistics
        images = torch.empty(len(contents), len(mean), self.height, self.width)
        errors: dict[int, RowError] = {}

        def fill(row: int) -> None:
            image = images[row]
            try:
                pixels = self._sized(decode(contents[row]))
            except ValueError as problem:
                errors[row] = RowError(row, name, f"field {show(name)} {problem}")
                image.zero_()
                return
            if len(mean) == 3:
                torch.div(pixels, 255, out=image)
            else:
                image.copy_(_grey(pixels / 255))
            image.sub_(mean).div_(scale)  # while it is in the cache

        size = sum(map(len, contents))
        if size > max(_BYTES_WORTH_THREADS, len(contents) * _BYTES_WORTH_A_TURN):
            each(fill, len(contents))  # decoding releases the interpreter's lock
        else:
            for row in range(len(contents)):
                fill(row)
        return {"image": images}, errors

    def baselines(self) -> Mapping[str, torch.Tensor]:
        """An image of the training rows' mean colour all over."""
        return {"image": torch.zeros(1)}

    def attribute(self, columns: Columns, parts: Mapping[str, np.ndarray[Any, Any]]) -> list[dict[str, Any]]:
        """A map of at most 32 x 32 cells over what the network is shown of the image, what their pixels add summed up:
        lists of rows, from the top."""
        maps = parts["image"].sum(axis=1, dtype=np.float64)  # (rows, height, width)
        for axis, side in ((1, self.height), (2, self.width)):
            cells = min(_MOST_CELLS, side)
            maps = np.add.reduceat(maps, np.arange(cells) * side // cells, axis=axis)
        return [{self.schema.names[0]: one.tolist()} for one in maps]

    def examples(self, count: int) -> list[dict[str, Any]]:
        from torchvision.io import encode_png

        down, across = torch.arange(self.height)[:, None] / self.height, torch.arange(self.width) / self.width
        rows = []
        for index in range(count):  # slanted ramps, steeper from row to row, each channel shifted
            ramps = [(across + index * down + (index + place) * GOLDEN) % 1 for place in range(len(self.mean))]
            encoded = encode_png((torch.stack(ramps) * 255).to(torch.uint8))
            rows.append({self.schema.names[0]: base64.b64encode(encoded.numpy().tobytes()).decode("ascii")})
        return rows

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray[Any, Any]]]:
        state: dict[str, Any] = {"height": self.height, "width": self.width}
        if self.resize is not None:  # left out where there is none, as before there could be one
            state |= {"resize": self.resize, "interpolation": self.interpolation}
        return state, {"mean": self.mean, "scale": self.scale}

    @classmethod
    def from_state(cls, schema: Schema, state: Mapping[str, Any], arrays: Arrays) -> Image:
        if not cls.takes(schema) or schema.fields[0].nullable:
            raise FormatError(
                "an image preprocessing takes one field of the kind 'image' and dtype 'bytes', never null"
            )
        sides = state["height"], state["width"]
        names = set(state) - {"resize", "interpolation"} if "resize" in state else set(state)
        if names != {"height", "width"} or not all(type(one) is int and 1 <= one <= _MOST_SIDE for one in sides):
            raise FormatError(f"an image's height and width must be integers from 1 to {_MOST_SIDE}, got {sides!r}")
        resize, interpolation = state.get("resize"), state["interpolation"] if "resize" in state else INTERPOLATIONS[0]
        if "resize" in state and (type(resize) is not int or not max(sides) <= resize <= _MOST_SIDE):
            raise FormatError(f"an image's resize must be an integer from {max(sides)} to {_MOST_SIDE}, got {resize!r}")
        if type(interpolation) is not str or interpolation not in INTERPOLATIONS:
            raise FormatError(f"an image's interpolation must be one of {', '.join(INTERPOLATIONS)}")
        if set(arrays) != {"mean", "scale"}:
            raise FormatError(f"an image's arrays are mean and scale, got {', '.join(sorted(arrays))}")
        mean = arrays["mean"]
        if mean.shape not in ((1,), (3,)):
            raise FormatError(
                f"preprocessing array 'mean' must be float64 of shape (1,) or (3,), got {mean.dtype} of shape "
                f"{mean.shape}"
            )
        check_statistics(arrays, mean.shape)
        return Image(schema, *sides, mean, arrays["scale"], resize, interpolation)

    @functools.cached_property
    def _statistics(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and scale of each channel, float32 of shape (channels, 1, 1)."""
        mean, scale = (torch.from_numpy(one).float()[:, None, None] for one in (self.mean, self.scale))
        return mean, scale

    def _sized(self, pixels: torch.Tensor) -> torch.Tensor:
        if self.resize is None:
            return _fit(pixels, self.height, self.width)
        resized = _shorter_side(pixels, self.resize, self.interpolation)
        # As torchvision rounds them: half a pixel goes to the even number.
        top, left = round((resized.shape[1] - self.height) / 2), round((resized.shape[2] - self.width) / 2)
        return resized[:, top : top + self.height, left : left + self.width]


def _sizes(schema: Schema, contents: np.ndarray[Any, Any]) -> tuple[tuple[int, int], int]:
    """Size and channels that suit these images, by their headers."""
    name = schema.names[0]
    sizes, grey = set(), True
    for row, content in enumerate(contents):
        try:
            header = read_header(content)
        except ValueError as problem:
            raise RowError(row, name, f"field {show(name)} must be a JPEG, PNG or WebP image, got {problem}") from None
        sizes.add((header.height, header.width))
        grey &= header.is_grey
    same = next(iter(sizes)) if len(sizes) == 1 else None
    if same is None or not 0 < min(same) <= max(same) <= _LARGEST_SIDE:
        same = DEFAULT_SIDE, DEFAULT_SIDE
    return same, 1 if grey else 3


def _fit(pixels: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Cut to the proportions of (height, width) around the centre, then resized: uint8 (3, ...) to (3, height, width).

    It is cut before it is resized: a strip of 1 x 50,000,000 pixels would else grow without bound.
    """
    _, tall, wide = pixels.shape
    if (tall, wide) == (height, width):
        return pixels
    cut_tall = min(tall, max(1, round(wide * height / width)))
    cut_wide = min(wide, max(1, round(tall * width / height)))
    top, left = (tall - cut_tall) // 2, (wide - cut_wide) // 2
    cut = pixels[None, :, top : top + cut_tall, left : left + cut_wide]
    resized: torch.Tensor = F.interpolate(cut, (height, width), mode="bilinear", antialias=True)[0]
    return resized


def _shorter_side(pixels: torch.Tensor, side: int, interpolation: str) -> torch.Tensor:
    """Resized until the shorter side has so many pixels, antialiased: uint8 (3, ...) to uint8 (3, ...).

    A strip is first cut around its centre to 16 times its shorter side: its longer one would else grow without bound.
    """
    _, tall, wide = pixels.shape
    if max(tall, wide) > _LONGEST * min(tall, wide):
        cut_tall, cut_wide = min(tall, _LONGEST * wide), min(wide, _LONGEST * tall)
        top, left = (tall - cut_tall) // 2, (wide - cut_wide) // 2
        pixels, tall, wide = pixels[:, top : top + cut_tall, left : left + cut_wide], cut_tall, cut_wide
    size = (side, int(side * wide / tall)) if tall <= wide else (int(side * tall / wide), side)
    if (tall, wide) == size:
        return pixels
    # On integers, which is what Pillow does, whose pictures published weights were trained with; as floats more pixels
    # differ from its own.
    resized: torch.Tensor = F.interpolate(pixels[None], size, mode=interpolation, antialias=True)[0]
    return resized


def _grey(pixels: torch.Tensor) -> torch.Tensor:
    """Brightness, (3, height, width) to (1, height, width); the pixels are used up."""
    red, green, blue = pixels.mul_(_LUMA).unbind()
    grey: torch.Tensor = red.add_(green).add_(blue)
    return grey[None]
