"""Published preprocessing, against torchvision's own transforms on the same decoded pixels."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from torchvision import models

from maas.errors import DataError, FormatError
from maas.nn import Backbone
from maas.preprocess import Image, from_state
from maas.preprocess._decode import decode
from maas.preprocess._published import transform_of
from maas.schema import Columns, Field, Schema

SCHEMA = Schema((Field("image", "image", "bytes"),))


def png(height: int, width: int, *, mode: str = "RGB", seed: int = 0) -> bytes:
    values = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Pillow.fromarray(values).convert(mode).save(buffer, "PNG")
    return buffer.getvalue()


def columns(*contents: bytes) -> Columns:
    column = np.empty(len(contents), object)
    column[:] = contents
    return {"image": column}


def every_weights() -> list[tuple[str, str]]:
    return [(name, entry.name) for name in Backbone.names for entry in models.get_model_weights(name)]


@pytest.mark.parametrize(("name", "weights"), every_weights())
def test_sizes_and_statistics_are_those_published(name: str, weights: str) -> None:
    theirs, ours = models.get_model_weights(name)[weights].transforms(), transform_of(name, weights)
    assert ([ours.resize], [ours.size], ours.interpolation) == (
        theirs.resize_size, theirs.crop_size, theirs.interpolation.value,
    )  # fmt: skip
    assert (list(ours.mean), list(ours.scale)) == (theirs.mean, theirs.std)
    assert theirs.antialias is True


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("resnet18", "DEFAULT"),
        ("resnet50", "IMAGENET1K_V2"),
        ("efficientnet_b1", "IMAGENET1K_V1"),
        ("efficientnet_b1", "IMAGENET1K_V2"),
        ("vit_b_16", "IMAGENET1K_SWAG_LINEAR_V1"),
    ],
)
@pytest.mark.parametrize("size", [(300, 400), (333, 250), (20, 30), (256, 256), (255, 700), (8, 8)])
def test_tensors_are_those_of_torchvision_on_a_pillow_image(name: str, weights: str, size: tuple[int, int]) -> None:
    """As published weights were trained, and nearer to it than torchvision itself is on tensors."""
    contents = [png(*size), png(*size, mode="L"), png(*size, mode="RGBA", seed=1)]
    transform = models.get_model_weights(name)[weights].transforms()
    got, errors = Image.published(name, weights=weights).learn(SCHEMA, columns(*contents)).apply(columns(*contents))
    assert not errors
    wanted = torch.stack([transform(Pillow.open(io.BytesIO(content)).convert("RGB")) for content in contents])
    levels = (got["image"] - wanted) * torch.tensor(transform.std)[:, None, None] * 255
    assert levels.abs().max() < 2.01
    differ = (levels.abs() > 0.01).double().mean()
    assert differ < 0.02
    on_tensors = torch.stack([transform(decode(content)) for content in contents])
    theirs = ((on_tensors - wanted).abs() > 1e-4).double().mean()
    assert differ < theirs / 10 or theirs == 0


def test_a_smaller_size_keeps_the_statistics_and_the_whole_shorter_side() -> None:
    """Reference: torchvision's preset told to resize and to cut to the same size."""
    content = png(60, 90)
    transform = models.ResNet18_Weights.DEFAULT.transforms(resize_size=32, crop_size=32)
    got = Image.published("resnet18", size=32).learn(SCHEMA, columns(content)).apply(columns(content))[0]["image"]
    levels = (got[0] - transform(Pillow.open(io.BytesIO(content)))) * torch.tensor(transform.std)[:, None, None] * 255
    assert levels.abs().max() < 1.01


def test_nothing_is_learned() -> None:
    one, other = (Image.published("resnet18").learn(SCHEMA, columns(png(9, 9, seed=seed))) for seed in (0, 1))
    assert one.state()[0] == other.state()[0] == {
        "height": 224, "width": 224, "resize": 256, "interpolation": "bilinear",
    }  # fmt: skip
    assert one.mean.tolist() == other.mean.tolist() == [0.485, 0.456, 0.406]


@pytest.mark.parametrize(("height", "width"), [(1, 50_000), (50_000, 1), (4000, 100)])
def test_a_strip_takes_no_memory_to_resize(height: int, width: int) -> None:
    content = io.BytesIO()
    Pillow.new("L", (width, height), 255).save(content, "PNG")
    image = Image(SCHEMA, 224, 224, np.zeros(3), np.ones(3), 256, "bicubic")
    tensors, errors = image.apply(columns(content.getvalue()))
    assert not errors
    assert torch.equal(tensors["image"], torch.ones(1, 3, 224, 224))


def test_state_and_back() -> None:
    image = Image.published("efficientnet_b0").learn(SCHEMA, columns(png(9, 9)))
    state, arrays = image.state()
    again = from_state("image", SCHEMA, state, arrays)
    row = columns(png(30, 40))
    assert torch.equal(again.apply(row)[0]["image"], image.apply(row)[0]["image"])


def test_a_state_from_before_there_was_a_published_one() -> None:
    """What format 1 stored at first: height and width, no more; and a learned one is still written so."""
    arrays = {"mean": np.zeros(3), "scale": np.ones(3)}
    image = from_state("image", SCHEMA, {"height": 8, "width": 9}, arrays)
    assert image.state()[0] == {"height": 8, "width": 9}


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"resize": None}, "an image's resize must be an integer from 8 to 4096, got None"),
        ({"resize": 7}, "an image's resize must be an integer from 8 to 4096, got 7"),
        ({"resize": 10**9}, "an image's resize must be an integer from 8 to 4096, got 1000000000"),
        ({"resize": True}, "an image's resize must be an integer from 8 to 4096, got True"),
        ({"interpolation": "nearest"}, "an image's interpolation must be one of bilinear, bicubic"),
        ({"interpolation": 3}, "an image's interpolation must be one of bilinear, bicubic"),
        ({"more": 3}, "an image's height and width must be integers"),
    ],
)
def test_a_foreign_state_is_refused(state: dict[str, Any], message: str) -> None:
    whole = {"height": 8, "width": 8, "resize": 8, "interpolation": "bicubic", **state}
    with pytest.raises(FormatError, match=message):
        Image.from_state(SCHEMA, whole, {"mean": np.zeros(3), "scale": np.ones(3)})


def test_interpolation_goes_with_resize_only() -> None:
    with pytest.raises(FormatError, match="an image's height and width must be integers"):
        Image.from_state(
            SCHEMA, {"height": 8, "width": 8, "interpolation": "bicubic"}, {"mean": np.zeros(3), "scale": np.ones(3)}
        )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"name": "resnet19"},
            "`name` must be a network for images of torchvision, such as 'resnet18', got 'resnet19'",
        ),
        ({"name": 18}, "`name` must be a network for images of torchvision, .* got 18"),
        ({"weights": "IMAGENET22K"}, "`weights` of resnet18 must be one of DEFAULT, IMAGENET1K_V1, got 'IMAGENET22K'"),
        ({"size": 0}, "`size` must be a number of pixels from 1 to 4096, or None, got 0"),
        ({"size": (32, 32)}, "`size` must be a number of pixels .* got tuple of 2"),
    ],
)
def test_a_bad_option_is_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Image.published(**{"name": "resnet18", **arguments})
