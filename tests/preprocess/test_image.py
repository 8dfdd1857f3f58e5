"""Encoded images to tensors, against Pillow's decoder and formulas written out."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from PIL import ImageOps

from maas.errors import DataError, FormatError, RowError
from maas.preprocess import Image, for_schema, from_state
from maas.preprocess._decode import decode
from maas.preprocess._header import read_header
from maas.schema import Columns, Field, Schema

Pixels = np.ndarray[Any, Any]
SCHEMA = Schema((Field("image", "image", "bytes"),))


def picture(height: int = 24, width: int = 40) -> Pixels:
    """Slow ramps, another in each channel: no rotation or mirroring leaves it as it is."""
    down, across = np.mgrid[:height, :width]
    ramps = [across * 255 // width, down * 255 // height, (across + down) * 255 // (height + width)]
    return np.stack(ramps, axis=2).astype(np.uint8)


def save(image: Pillow.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def columns(*contents: bytes) -> Columns:
    column = np.empty(len(contents), object)
    column[:] = contents
    return {"image": column}


def pillow(content: bytes) -> Pixels:
    return np.asarray(ImageOps.exif_transpose(Pillow.open(io.BytesIO(content))).convert("RGB"))


def encodings() -> dict[str, bytes]:
    colour = Pillow.fromarray(picture())
    grey = colour.convert("L")
    return {
        "JPEG": save(colour, "JPEG"),
        "progressive JPEG": save(colour, "JPEG", progressive=True),
        "grey JPEG": save(grey, "JPEG"),
        "CMYK JPEG": save(colour.convert("CMYK"), "JPEG"),
        "PNG": save(colour, "PNG"),
        "grey PNG": save(grey, "PNG"),
        "grey PNG with alpha": save(grey.convert("LA"), "PNG"),
        "PNG with alpha": save(colour.convert("RGBA"), "PNG"),
        "palette PNG": save(colour.convert("P"), "PNG"),
        "PNG of one bit": save(colour.convert("1"), "PNG"),
        "WebP": save(colour, "WEBP"),
        "lossless WebP": save(colour, "WEBP", lossless=True),
        "WebP with alpha": save(colour.convert("RGBA"), "WEBP", lossless=True),
    }


@pytest.mark.parametrize("name", encodings())
def test_every_encoding_is_decoded_as_pillow_decodes_it(name: str) -> None:
    content = encodings()[name]
    header = read_header(content)
    assert (header.height, header.width) == (24, 40)
    assert header.is_grey == ("grey" in name or "one bit" in name)
    difference = decode(content).permute(1, 2, 0).numpy().astype(int) - pillow(content)
    assert np.abs(difference).max() <= ("JPEG" in name)  # Pillow carries a libjpeg of its own


def test_of_16_bits_the_upper_8_are_kept() -> None:
    values = np.arange(24 * 40, dtype=np.uint16).reshape(24, 40) * 68
    content = save(Pillow.fromarray(values), "PNG")
    assert read_header(content).is_grey
    assert (decode(content).numpy() == values // 256).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_exif_rotation_is_applied(kind: str, orientation: int) -> None:
    """Reference: Pillow's ImageOps.exif_transpose."""
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    content = save(Pillow.fromarray(picture()), kind, exif=exif)
    wanted = pillow(content)
    assert wanted.shape == ((24, 40, 3) if orientation < 5 else (40, 24, 3))
    got = decode(content).permute(1, 2, 0).numpy()
    assert got.shape == wanted.shape
    assert np.abs(got.astype(int) - wanted).max() <= 1


def test_resizing_is_pillows_antialiased_bilinear() -> None:
    image = Image(SCHEMA, 9, 15, np.zeros(3), np.ones(3))
    tensors, errors = image.apply(columns(save(Pillow.fromarray(picture()), "PNG")))
    assert not errors
    wanted = np.asarray(Pillow.fromarray(picture()).resize((15, 9), Pillow.Resampling.BILINEAR))
    assert np.abs(tensors["image"][0].permute(1, 2, 0).numpy() * 255 - wanted).max() <= 1.01


def test_other_proportions_are_cut_around_the_centre() -> None:
    image = Image(SCHEMA, 24, 24, np.zeros(3), np.ones(3))
    got = image.apply(columns(save(Pillow.fromarray(picture()), "PNG")))[0]["image"][0]
    assert torch.equal(got, torch.from_numpy(picture()[:, 8:32].copy()).permute(2, 0, 1) / 255)


@pytest.mark.parametrize(("height", "width"), [(1, 100_000), (100_000, 1), (1, 1), (3, 5000)])
def test_a_strip_takes_no_memory_to_resize(height: int, width: int) -> None:
    image = Image(SCHEMA, 64, 48, np.zeros(1), np.ones(1))
    tensors, errors = image.apply(columns(save(Pillow.new("L", (width, height), 255), "PNG")))
    assert not errors
    assert torch.allclose(tensors["image"], torch.ones(1, 1, 64, 48))


def test_mean_and_deviation_are_those_of_the_training_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maas.preprocess._image._CHUNK_NUMBERS", 200)  # two images at a time, and a last one
    values = np.random.default_rng(0).integers(0, 256, (7, 6, 5, 3), dtype=np.uint8)
    rows = columns(*[save(Pillow.fromarray(one), "PNG") for one in values])
    image = Image.learn(SCHEMA, rows)
    assert (image.height, image.width) == (6, 5)
    assert image.mean == pytest.approx((values / 255).mean(axis=(0, 1, 2)), abs=1e-6)
    assert image.scale == pytest.approx((values / 255).std(axis=(0, 1, 2)), abs=1e-6)
    got = image.apply(rows)[0]["image"]
    assert got.dtype == torch.float32
    assert got.mean(dim=(0, 2, 3)).numpy() == pytest.approx(np.zeros(3), abs=1e-5)
    assert got.std(dim=(0, 2, 3), correction=0).numpy() == pytest.approx(np.ones(3), abs=1e-5)


def test_grey_weighs_the_colours_as_itu_bt_601() -> None:
    image = Image(SCHEMA, 1, 1, np.zeros(1), np.ones(1))
    got = image.apply(columns(save(Pillow.new("RGB", (1, 1), (200, 100, 50)), "PNG")))[0]["image"]
    assert float(got) * 255 == pytest.approx(0.299 * 200 + 0.587 * 100 + 0.114 * 50, abs=1e-4)


@pytest.mark.parametrize(
    ("contents", "wanted"),
    [
        (["PNG", "WebP"], (3, 24, 40)),
        (["grey PNG", "grey JPEG", "grey PNG with alpha"], (1, 24, 40)),
        (["grey PNG", "JPEG"], (3, 24, 40)),
    ],
)
def test_size_and_channels_are_those_of_the_training_images(contents: list[str], wanted: tuple[int, ...]) -> None:
    image = Image.learn(SCHEMA, columns(*[encodings()[name] for name in contents]))
    assert image.outputs["image"].shape == wanted


def test_images_of_several_sizes_become_64_by_64() -> None:
    rows = columns(encodings()["PNG"], save(Pillow.fromarray(picture(50, 50)), "PNG"))
    assert Image.learn(SCHEMA, rows).outputs["image"].shape == (3, 64, 64)


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"size": 32}, (3, 32, 32)),
        ({"size": (8, 12)}, (3, 8, 12)),
        ({"channels": 1}, (1, 24, 40)),
        ({"size": 16, "channels": 1}, (1, 16, 16)),
    ],
)
def test_options_come_before_what_the_data_says(options: dict[str, Any], wanted: tuple[int, ...]) -> None:
    image = Image.with_options(**options).learn(SCHEMA, columns(encodings()["PNG"]))
    assert type(image) is Image
    assert image.outputs["image"].shape == wanted


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, r"`size` must be one or two numbers of pixels .* from 1 to 4096, got 0"),
        ({"size": (3, 4, 5)}, r"`size` must be .*, got \(3, 4, 5\)"),
        ({"size": True}, r"`size` must be .*, got True"),
        ({"channels": 4}, r"`channels` must be 1 \(grey\), 3 \(colours\) or None \(as the data\), got 4"),
    ],
)
def test_a_bad_option_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Image.with_options(**options)


JPEG, PNG, WEBP = (encodings()[name] for name in ("JPEG", "PNG", "WebP"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"hello, I am text", r"must be a JPEG, PNG or WebP image, got 16 bytes that start with b'hello, I am text'"),
        (b"", r"must be a JPEG, PNG or WebP image, got 0 bytes that start with b''"),
        (JPEG[: len(JPEG) // 2], r"is a JPEG image of \d+ bytes that cannot be decoded: it is truncated or damaged"),
        (JPEG[:-2], r"is a JPEG image of [\d,]+ bytes that cannot be decoded: it is truncated"),
        (JPEG[:30], r"got 30 bytes that end within the header of the image"),
        (PNG[: len(PNG) // 2], r"is a PNG image of \d+ bytes that cannot be decoded: it is truncated or damaged"),
        (PNG[:20], r"got 20 bytes that end within the header of the image"),
        (WEBP[: len(WEBP) // 2], r"is a WebP image of \d+ bytes that cannot be decoded"),
        (PNG.replace(b"IHDR", b"IHDX"), r"a PNG file without a header chunk; it is damaged"),
        (JPEG[:2] + b"\xff\xd9", r"a JPEG file without a frame header; it is damaged"),
        (save(Pillow.new("P", (2, 2)), "GIF"), r"got a GIF image; convert it to PNG"),
        (save(Pillow.new("RGB", (2, 2)), "TIFF"), r"got a TIFF image; convert it to PNG"),
        (
            save(Pillow.new("RGB", (9, 9)), "WEBP", save_all=True, append_images=[Pillow.new("RGB", (9, 9), "red")]),
            r"got an animated WebP image; send one of its frames",
        ),
        (JPEG + b"\xff\xda" * 501, r"is a JPEG image of more than 500 scans; store it again with fewer"),
    ],
)
def test_what_is_no_whole_image_is_told_by_row(content: bytes, message: str) -> None:
    image = Image(SCHEMA, 24, 40, np.zeros(3), np.ones(3))
    tensors, errors = image.apply(columns(PNG, content, JPEG))
    assert set(errors) == {1}
    assert (errors[1].row, errors[1].field) == (1, "image")
    with pytest.raises(RowError, match="row 1: field 'image' .*" + message):
        raise errors[1]
    alone = image.apply(columns(PNG, JPEG))[0]["image"]
    assert torch.equal(tensors["image"][[0, 2]], alone)


def test_a_giant_is_refused_by_its_header(huge_png: bytes) -> None:
    """Its pixels would take 2.7 GB. The header is enough: a file that ends behind it is refused alike."""
    image = Image(SCHEMA, 8, 8, np.zeros(1), np.ones(1))
    for one in (huge_png, huge_png[:40]):
        errors = image.apply(columns(one))[1]
        assert "has 30,000 x 30,000 pixels; it must have 1 to 50,000,000 in all" in errors[0].detail


def test_training_rows_that_cannot_be_decoded_are_refused() -> None:
    with pytest.raises(RowError, match=r"row 1: field 'image' must be a JPEG, PNG or WebP image, got 4 bytes"):
        Image.learn(SCHEMA, columns(PNG, b"text"))
    with pytest.raises(RowError, match=r"row 2: field 'image' is a PNG image of .* cannot be decoded"):
        Image.learn(SCHEMA, columns(PNG, PNG, PNG[:-40]))


def test_threads_change_neither_order_nor_values() -> None:
    random = np.random.default_rng(1)
    contents = [save(Pillow.fromarray(random.integers(0, 256, (80, 80, 3), dtype=np.uint8)), "PNG") for _ in range(20)]
    contents[7] = b"broken"
    assert sum(map(len, contents)) > 1 << 18
    image = Image(SCHEMA, 40, 40, np.full(3, 0.5), np.full(3, 0.2))
    together, errors = image.apply(columns(*contents))
    assert set(errors) == {7}
    for row in set(range(20)) - errors.keys():
        assert torch.equal(together["image"][row], image.apply(columns(contents[row]))[0]["image"][0])


def test_no_rows_give_no_rows() -> None:
    assert Image(SCHEMA, 8, 9, np.zeros(3), np.ones(3)).apply(columns())[0]["image"].shape == (0, 3, 8, 9)


@pytest.mark.parametrize("channels", [1, 3])
def test_examples_are_images_of_the_learned_size(channels: int) -> None:
    image = Image(SCHEMA, 8, 12, np.zeros(channels), np.ones(channels))
    rows = image.examples(3)
    assert rows == image.examples(3)
    assert len({row["image"] for row in rows}) == 3
    found = [read_header(base64.b64decode(row["image"])) for row in rows]
    assert {(one.height, one.width, one.is_grey) for one in found} == {(8, 12, channels == 1)}
    assert not image.apply(SCHEMA.rows_to_columns(rows)[0])[1]


def test_it_takes_one_image_field() -> None:
    assert for_schema(SCHEMA) is Image
    assert not Image.takes(Schema((*SCHEMA.fields, Field("x", "numeric", "number"))))
    assert not Image.takes(Schema((Field("image", "audio", "bytes"),)))


def test_state_and_back() -> None:
    image = Image.learn(SCHEMA, columns(PNG, JPEG))
    state, arrays = image.state()
    again = from_state("image", SCHEMA, state, arrays)
    assert torch.equal(again.apply(columns(PNG))[0]["image"], image.apply(columns(PNG))[0]["image"])


@pytest.mark.parametrize(
    ("state", "arrays", "message"),
    [
        ({"height": 0}, {}, "height and width must be integers from 1 to 4096"),
        ({"width": 2.0}, {}, "height and width must be integers"),
        ({"width": True}, {}, "height and width must be integers"),
        ({"width": 10**6}, {}, "height and width must be integers"),
        ({"more": 1}, {}, "height and width must be integers"),
        ({}, {"mean": np.zeros(2)}, r"'mean' must be float64 of shape \(1,\) or \(3,\), got float64 of shape \(2,\)"),
        ({}, {"mean": np.zeros(1)}, "'scale' must be float64"),
        ({}, {"scale": np.ones(3, np.float32)}, "'scale' must be float64 .* got float32"),
        ({}, {"scale": np.zeros(3)}, "'scale' holds values that no training gives"),
        ({}, {"mean": np.array([0.0, np.nan, 0.0])}, "'mean' holds values that no training gives"),
        ({}, {"more": np.zeros(3)}, "arrays are mean and scale, got mean, more, scale"),
    ],
)
def test_a_foreign_state_is_refused(state: dict[str, Any], arrays: dict[str, Any], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        Image.from_state(
            SCHEMA, {"height": 8, "width": 8, **state}, {"mean": np.zeros(3), "scale": np.ones(3), **arrays}
        )


def test_a_foreign_schema_is_refused() -> None:
    schema = Schema((Field("image", "image", "bytes", nullable=True),))
    with pytest.raises(FormatError, match="takes one field of the kind 'image' and dtype 'bytes', never null"):
        Image.from_state(schema, {"height": 8, "width": 8}, {"mean": np.zeros(3), "scale": np.ones(3)})
