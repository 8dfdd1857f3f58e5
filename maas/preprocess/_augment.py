"""Random changes to training images: the same for a row in an epoch, whatever batch the row is in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch
from torch.nn import functional as F

from maas.errors import DataError, show

_Batch = TypeVar("_Batch", bound=Any)  # of maas.task, which stands above this room
_MASK = (1 << 64) - 1
_TRIES = 32
_FLIP, _DOWN, _ACROSS, _ORDER, _METHOD, _CENTRE_DOWN, _CENTRE_ACROSS, _SHARE = range(1, 9)  # streams of numbers


@dataclass(frozen=True)
class AugmentImages:
    """Changes images of a training batch at random: `maas.fit(..., augment=AugmentImages(flip=True, crop=2))`.

    Every number drawn is a function of the seed, the epoch and the row's position alone. Only which row it is mixed
    with depends on the batch. Of rows with other fields beside, each image is flipped and shifted, all of a row
    alike; they cannot be blended, for half of a text, or of a category, is none.

    Args:
        flip: mirror half of the images, left to right. Not for digits or letters.
        crop: shift by up to so many pixels in each direction; what comes in at the border is the image reflected.
        mixup: blend each image with another of the batch, in shares drawn from Beta(mixup, mixup); from 0, which is
            off, to 1. The target is blended alike. Source: Zhang et al. 2018, arXiv:1710.09412.
        cutmix: put a rectangle of another image of the batch into each, its share of the area drawn from
            Beta(cutmix, cutmix). Source: Yun et al. 2019, arXiv:1905.04899. With `mixup` too, each row takes one of
            them.

    Raises:
        DataError: an argument is out of its range.
    """

    flip: bool = True
    crop: int = 0
    mixup: float = 0.0
    cutmix: float = 0.0

    def __post_init__(self) -> None:
        if type(self.flip) is not bool:
            raise DataError(f"`flip` must be True or False, got {show(self.flip)}")
        if type(self.crop) is not int or self.crop < 0:
            raise DataError(f"`crop` must be a number of pixels, 0 or more, got {show(self.crop)}")
        for name, value in (("mixup", self.mixup), ("cutmix", self.cutmix)):
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
                raise DataError(f"`{name}` must be from 0 (off) to 1, got {show(value)}")

    def __call__(self, batch: _Batch, index: torch.Tensor, seed: int, epoch: int) -> _Batch:
        """Change one batch.

        Args:
            batch: its input `image`, or each `NAME__image` of mixed rows, is float of shape (batch, channels, height,
                width).
            index: positions of its rows among the training rows, int64 of shape (batch,), on the CPU.
            seed, epoch: what makes the numbers differ from run to run and from epoch to epoch.

        Returns:
            A new batch. With `mixup` or `cutmix` a target of classes becomes their probabilities, float32 of shape
            (batch, classes up to the last one in the batch).

        Raises:
            DataError: the batch has no images, or smaller ones than `crop` needs, or something beside them that cannot
                be blended.
        """
        names = [name for name in batch.inputs if name == "image" or name.endswith("__image")]
        if not names:
            raise DataError(f"AugmentImages changes an input `image`, the batch has {', '.join(batch.inputs)}")
        if (self.mixup or self.cutmix) and list(batch.inputs) != ["image"]:
            raise DataError(
                f"`mixup` and `cutmix` blend rows that are one image, the batch has {', '.join(batch.inputs)}; leave "
                f"them out: `flip` and `crop` change the images alone"
            )
        draw = _Draw(index, seed, epoch)
        changed = dict(batch.inputs)
        for name in names:
            sides = tuple(changed[name].shape[-2:])
            if self.crop >= min(sides):
                raise DataError(f"`crop` must be less than the image's sides {sides}, got {self.crop}")
            if self.flip or self.crop:
                changed[name] = self._moved(changed[name], draw)
        batch = replace(batch, inputs=changed)
        return self._mixed(batch, draw) if (self.mixup or self.cutmix) and len(index) > 1 else batch

    def _moved(self, image: torch.Tensor, draw: _Draw) -> torch.Tensor:
        """Shifted and mirrored, by picking rows and columns of pixels."""
        height, width = image.shape[-2:]
        span = 2 * self.crop + 1
        down = _reflected(torch.arange(height) + (draw(_DOWN) * span).long()[:, None] - self.crop, height)
        across = _reflected(torch.arange(width) + (draw(_ACROSS) * span).long()[:, None] - self.crop, width)
        if self.flip:
            across = torch.where((draw(_FLIP) < 0.5)[:, None], across.flip(1), across)
        down, across = down.to(image.device), across.to(image.device)  # (batch, height), (batch, width)
        picked = down[:, None, :, None] * width + across[:, None, None, :]  # (batch, 1, height, width)
        flat = image.reshape(*image.shape[:2], height * width)
        return flat.gather(2, picked.reshape(len(image), 1, -1).expand_as(flat)).reshape(image.shape)

    def _mixed(self, batch: _Batch, draw: _Draw) -> _Batch:
        """Each row mixed with the one that comes before it in an order drawn for the batch."""
        image = batch.inputs["image"]
        order = draw(_ORDER).argsort(stable=True)
        partner = torch.empty_like(order)
        partner[order] = order.roll(1)
        cut = draw(_METHOD) < (0.5 if self.mixup and self.cutmix else float(self.cutmix > 0))
        blend = torch.where(cut, draw.beta(self.cutmix), draw.beta(self.mixup))  # the row's own share
        inside = _boxes(draw, torch.where(cut, 1 - blend, 0.0), *image.shape[-2:])  # (batch, height, width)
        kept = torch.where(cut, 1 - inside.double().mean(dim=(1, 2)), blend).to(image.dtype)
        weight = torch.where(cut[:, None, None], (~inside).to(image.dtype), kept[:, None, None])
        partner, weight, kept = (one.to(image.device) for one in (partner, weight[:, None], kept))
        mixed = weight * image + (1 - weight) * image[partner]
        target = batch.target
        if target is not None:
            if not target.is_floating_point():
                target = F.one_hot(target)
            share = kept.reshape(-1, *[1] * (target.dim() - 1))
            target = share * target + (1 - share) * target[partner]
        return replace(batch, inputs={**batch.inputs, "image": mixed}, target=target)


class _Draw:
    """Uniform numbers of rows, float64 of shape (rows,), by stream: SplitMix64 of seed, epoch, stream and row.

    Source: Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators", figure 17.
    """

    def __init__(self, index: torch.Tensor, seed: int, epoch: int) -> None:
        self._index = index.cpu()
        self._key = _mixed_number(_mixed_number(seed & _MASK) ^ epoch & _MASK)

    def __call__(self, stream: int) -> torch.Tensor:
        key = _mixed_number(self._key ^ stream)
        bits = _hashed(self._index + (key - (1 << 64) if key >> 63 else key))
        return _shifted(bits, 11).double() * 2.0**-53

    def beta(self, alpha: float) -> torch.Tensor:
        """Numbers of Beta(alpha, alpha), alpha from 0 to 1; 1 for alpha 0. By the method of Joehnk (1964).

        The first of 32 pairs that is accepted counts; one is with a chance of at least a half.
        """
        if alpha == 0:
            return torch.ones(len(self._index), dtype=torch.float64)
        found = torch.full((len(self._index),), 0.5, dtype=torch.float64)
        unset = torch.ones(len(self._index), dtype=torch.bool)
        for at in range(_TRIES):
            one, other = (self(_SHARE + 2 * at + side).clamp(min=2.0**-53).log() / alpha for side in (0, 1))
            accepted = unset & (torch.logaddexp(one, other) <= 0)
            found = torch.where(accepted, torch.sigmoid(one - other), found)
            unset &= ~accepted
            if not unset.any():
                break
        return found


def _boxes(draw: _Draw, area: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Rectangles of these shares of the area, cut at the border, bool of shape (rows, height, width)."""
    sides = []
    for stream, size in ((_CENTRE_DOWN, height), (_CENTRE_ACROSS, width)):
        centre, half = draw(stream) * size, area.sqrt() * size / 2
        places = torch.arange(size) + 0.5
        sides.append((places - centre[:, None]).abs() < half[:, None])
    return sides[0][:, :, None] & sides[1][:, None, :]


def _reflected(places: torch.Tensor, size: int) -> torch.Tensor:
    """Places beyond the border mirrored at the border's pixel, as padding "reflect" does."""
    return (size - 1) - ((size - 1) - places.abs()).abs()


def _mixed_number(value: int) -> int:
    value = (value + 0x9E3779B97F4A7C15) & _MASK
    value = ((value ^ value >> 30) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ value >> 27) * 0x94D049BB133111EB) & _MASK
    return value ^ value >> 31


def _hashed(value: torch.Tensor) -> torch.Tensor:
    """`_mixed_number` of each int64, which wraps around as unsigned numbers do."""
    value = value + (0x9E3779B97F4A7C15 - (1 << 64))
    value = (value ^ _shifted(value, 30)) * (0xBF58476D1CE4E5B9 - (1 << 64))
    value = (value ^ _shifted(value, 27)) * (0x94D049BB133111EB - (1 << 64))
    return value ^ _shifted(value, 31)


def _shifted(value: torch.Tensor, places: int) -> torch.Tensor:
    """Shifted to the right as unsigned."""
    return (value >> places) & ((1 << (64 - places)) - 1)
