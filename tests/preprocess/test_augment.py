"""Augmentation is a function of seed, epoch and row, and does what it says."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import maas
from maas.errors import DataError
from maas.preprocess import AugmentImages
from maas.preprocess._augment import _Draw
from maas.task import Batch


def _batch(rows: int = 12, side: int = 8, classes: int = 3) -> Batch:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(rows, 2, side, side, generator=generator)
    return Batch({"image": images}, torch.arange(rows) % classes)


def test_numbers_are_those_of_splitmix64() -> None:
    """Reference: the published SplitMix64 in Python's integers."""
    mask = (1 << 64) - 1

    def mix(value: int) -> int:
        value = (value + 0x9E3779B97F4A7C15) & mask
        value = ((value ^ value >> 30) * 0xBF58476D1CE4E5B9) & mask
        value = ((value ^ value >> 27) * 0x94D049BB133111EB) & mask
        return value ^ value >> 31

    assert mix(0) == 0xE220A8397B1DCDAF  # the first number of the published generator seeded with 0
    index = torch.tensor([0, 1, 59_999, 2**40])
    for seed, epoch, stream in ((0, 1, 1), (123, 7, 5), (2**62, 300, 70)):
        key = mix(mix(mix(seed) ^ epoch) ^ stream)
        wanted = [(mix((key + row) & mask) >> 11) / 2**53 for row in index.tolist()]
        assert _Draw(index, seed, epoch)(stream).tolist() == wanted


@pytest.mark.parametrize("alpha", [0.05, 0.2, 1.0])
def test_shares_follow_the_beta_distribution(alpha: float) -> None:
    """Mean 1/2, variance 1 / (4 (2 alpha + 1))."""
    shares = _Draw(torch.arange(10_000), 0, 1).beta(alpha).numpy()
    assert ((shares >= 0) & (shares <= 1)).all()
    assert shares.mean() == pytest.approx(0.5, abs=0.015)
    assert shares.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), abs=0.005)


def test_a_row_is_changed_alike_in_whatever_batch() -> None:
    augment, batch = AugmentImages(flip=True, crop=2), _batch()
    index = torch.arange(100, 112)
    whole = augment(batch, index, 3, 4).inputs["image"]
    chosen = torch.tensor([7, 2, 11])
    assert torch.equal(augment(batch[chosen], index[chosen], 3, 4).inputs["image"], whole[chosen])
    assert torch.equal(augment(batch, index, 3, 4).inputs["image"], whole)
    assert not torch.equal(augment(batch, index, 3, 5).inputs["image"], whole)
    assert not torch.equal(augment(batch, index, 4, 4).inputs["image"], whole)


def test_flipping_mirrors_half_of_the_images_left_to_right() -> None:
    batch = _batch(400)
    got = AugmentImages(flip=True)(batch, torch.arange(400), 0, 1).inputs["image"]
    same = (got == batch.inputs["image"]).flatten(1).all(1)
    mirrored = (got == batch.inputs["image"].flip(3)).flatten(1).all(1)
    assert (same ^ mirrored).all()
    assert 160 < int(mirrored.sum()) < 240


def test_cropping_is_reflected_padding_and_a_window() -> None:
    """Reference: torch's own reflected padding; every one of the 25 windows turns up."""
    batch = _batch(600)
    image = batch.inputs["image"]
    got = AugmentImages(flip=False, crop=2)(batch, torch.arange(600), 0, 1).inputs["image"]
    padded = F.pad(image, (2, 2, 2, 2), mode="reflect")
    windows: Counter[tuple[int, int]] = Counter()
    for down in range(5):
        for across in range(5):
            window = padded[:, :, down : down + 8, across : across + 8]
            windows[down, across] = int((window == got).flatten(1).all(1).sum())
    assert sum(windows.values()) == 600
    assert min(windows.values()) > 8


def test_mixup_blends_images_and_targets_by_one_share() -> None:
    batch = _batch(9)
    got = AugmentImages(flip=False, mixup=0.5)(batch, torch.arange(9), 0, 1)
    assert got.target is not None
    assert got.target.shape == (9, 3)
    assert torch.allclose(got.target.sum(1), torch.ones(9))
    images, mixed = batch.inputs["image"], got.inputs["image"]
    one_hot = F.one_hot(batch.target).float()
    for row in range(9):
        fits = []
        for partner in set(range(9)) - {row}:
            apart = (images[row] - images[partner]).flatten()
            share = float(((mixed[row] - images[partner]).flatten() @ apart) / (apart @ apart))
            blend = share * images[row] + (1 - share) * images[partner]
            target = share * one_hot[row] + (1 - share) * one_hot[partner]
            fits.append(
                torch.allclose(blend, mixed[row], atol=1e-5) and torch.allclose(target, got.target[row], atol=1e-5)
            )
        assert any(fits)


def test_cutmix_puts_in_a_rectangle_and_weighs_the_target_by_its_area() -> None:
    batch = Batch({"image": torch.arange(8.0)[:, None, None, None].expand(8, 1, 10, 10)}, torch.arange(8))
    got = AugmentImages(flip=False, cutmix=1.0)(batch, torch.arange(8), 0, 1)
    assert got.target is not None
    seen = 0
    for row in range(8):
        image = got.inputs["image"][row, 0]
        inside = image != row
        if inside.any():
            seen += 1
            (other,) = set(image[inside].tolist())
            down, across = np.nonzero(inside.any(1).numpy())[0], np.nonzero(inside.any(0).numpy())[0]
            assert int(inside.sum()) == (down[-1] - down[0] + 1) * (across[-1] - across[0] + 1)
            assert float(got.target[row, int(other)]) == pytest.approx(float(inside.float().mean()), abs=1e-6)
        assert float(got.target[row, row]) == pytest.approx(1 - float(inside.float().mean()), abs=1e-6)
    assert seen >= 4


def test_with_both_each_row_takes_one() -> None:
    batch = Batch({"image": torch.arange(64.0)[:, None, None, None].expand(64, 1, 10, 10)}, torch.arange(64))
    image = AugmentImages(flip=False, mixup=1.0, cutmix=1.0)(batch, torch.arange(64), 0, 1).inputs["image"]
    blended = (image != image.round()).flatten(1).any(1)
    assert 16 < int(blended.sum()) < 48


def test_numbers_are_mixed_too() -> None:
    batch = Batch({"image": torch.zeros(4, 1, 3, 3)}, torch.tensor([0.0, 1.0, 2.0, 3.0]))
    got = AugmentImages(flip=False, mixup=1.0)(batch, torch.arange(4), 0, 1).target
    assert got is not None
    assert got.shape == (4,)
    assert float(got.min()) > 0
    assert float(got.max()) < 3


def test_the_batch_given_is_left_as_it_was() -> None:
    batch = _batch()
    before = batch.inputs["image"].clone()
    AugmentImages(crop=1, mixup=0.3, cutmix=1.0)(batch, torch.arange(12), 0, 1)
    assert torch.equal(batch.inputs["image"], before)
    assert batch.target is not None
    assert batch.target.dtype == torch.int64


def test_a_row_alone_is_not_mixed() -> None:
    got = AugmentImages(mixup=1.0)(_batch(1), torch.arange(1), 0, 1)
    assert got.target is not None
    assert got.target.tolist() == [0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"flip": 1}, "`flip` must be True or False, got 1"),
        ({"crop": -1}, "`crop` must be a number of pixels, 0 or more, got -1"),
        ({"crop": 1.5}, r"`crop` must be a number of pixels, 0 or more, got 1\.5"),
        ({"mixup": 1.5}, r"`mixup` must be from 0 \(off\) to 1, got 1\.5"),
        ({"cutmix": float("nan")}, r"`cutmix` must be from 0 \(off\) to 1, got nan"),
    ],
)
def test_a_bad_argument_is_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        AugmentImages(**arguments)


def test_a_batch_that_does_not_suit_is_refused() -> None:
    with pytest.raises(DataError, match=r"`crop` must be less than the image's sides .*8, 8.*, got 8"):
        AugmentImages(crop=8)(_batch(), torch.arange(12), 0, 1)
    with pytest.raises(DataError, match="AugmentImages changes an input `image`, the batch has x"):
        AugmentImages()(Batch({"x": torch.zeros(2, 3)}), torch.arange(2), 0, 1)


@pytest.mark.parametrize("classes", [2, 3])
def test_fit_augments_training_batches_only(classes: int) -> None:
    x = np.random.default_rng(0).integers(0, 256, (60, 6, 6), dtype=np.uint8)
    rows = maas.data.read_images((x, np.arange(60) % classes))
    recipe = maas.recipe(maas.nn.CNN, filters=(2,))
    augment = AugmentImages(crop=1, mixup=0.5, cutmix=1.0)

    def fit(augment: AugmentImages | None) -> maas.Model:
        return maas.fit(recipe, rows, augment=augment, epochs=2, device="cpu", progress=False)

    first, again, plain = fit(augment), fit(augment), fit(None)
    losses = [[one["train_loss"] for one in model.card["training"]["history"]] for model in (first, again, plain)]
    assert losses[0] == losses[1] != losses[2]
    assert first.card["training"]["augment"] == "AugmentImages(flip=True, crop=1, mixup=0.5, cutmix=1.0)"
    assert torch.equal(first.prepare(rows).batch.inputs["image"], plain.prepare(rows).batch.inputs["image"])


def test_of_mixed_rows_every_image_is_changed_and_nothing_else() -> None:
    """Reference: the same images alone."""
    plain, index = _batch(), torch.arange(100, 112)
    wanted = AugmentImages(flip=True, crop=2)(plain, index, 3, 4).inputs["image"]
    small = plain.inputs["image"][:, :, :5, :5]
    inputs = {"photo__image": plain.inputs["image"], "table__x": torch.rand(12, 2), "other__image": small}
    changed = AugmentImages(flip=True, crop=2)(Batch(inputs, plain.target), index, 3, 4)
    assert torch.equal(changed.inputs["photo__image"], wanted)
    assert torch.equal(changed.inputs["table__x"], inputs["table__x"])
    alone = AugmentImages(flip=True, crop=2)(Batch({"image": small}), index, 3, 4).inputs["image"]
    assert torch.equal(changed.inputs["other__image"], alone)
    assert changed.target is plain.target
    with pytest.raises(DataError, match=r"`crop` must be less than the image's sides \(5, 5\), got 5"):
        AugmentImages(crop=5)(Batch(inputs), index, 3, 4)


@pytest.mark.parametrize("options", [{"mixup": 0.2}, {"cutmix": 1.0}])
def test_mixed_rows_are_not_blended(options: dict[str, Any]) -> None:
    batch = Batch({"photo__image": torch.rand(4, 1, 8, 8), "table__x": torch.rand(4, 2)}, torch.arange(4))
    with pytest.raises(DataError, match="blend rows that are one image, the batch has photo__image, table__x; leave"):
        AugmentImages(**options)(batch, torch.arange(4), 0, 1)
