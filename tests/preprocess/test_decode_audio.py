"""Encoded sounds: each coding, other rates, and files that are damaged, hostile or none."""

from __future__ import annotations

import struct
import sys
import tracemalloc

import numpy as np
import pytest
import scipy.signal  # noqa: F401  # loaded here, so that what it takes is not measured below
import torch

from maas.data import read_audio
from maas.errors import DataError, RowError
from maas.preprocess import Audio
from maas.preprocess._decode_audio import decode_audio

from .sounds import RATE, Values, columns_of, encoded, made, noise


def tone(hertz: float, seconds: float, rate: int) -> Values:
    return np.asarray(0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate))


# --- decoding


@pytest.mark.parametrize(
    ("kind", "coding", "within"),
    [
        ("WAV", "PCM_U8", 1 / 120),
        ("WAV", "PCM_16", 1 / 30_000),
        ("WAV", "PCM_24", 1e-6),
        ("WAV", "PCM_32", 1e-6),
        ("WAV", "FLOAT", 0),
        ("WAV", "DOUBLE", 0),
        ("WAV", "ULAW", 0.02),
        ("WAVEX", "PCM_16", 1 / 30_000),
        ("FLAC", "PCM_16", 1 / 30_000),
        ("FLAC", "PCM_24", 1e-6),
    ],
)
def test_every_coding_gives_the_samples_and_channels_are_averaged(kind: str, coding: str, within: float) -> None:
    samples = noise(800, channels=2)
    found = decode_audio(encoded(samples, kind=kind, coding=coding), RATE, longest=1.0)
    assert (found.dtype, found.shape) == ("float64", (800,))
    np.testing.assert_allclose(found, samples.astype(np.float64).mean(axis=1), rtol=0, atol=within + 1e-12)


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 44_101, 48_000, 383_999, 1_001])
def test_a_tone_keeps_its_pitch_at_another_rate(rate: int) -> None:
    """Reference: the same sine, sampled at the wanted rate. The two rates' ratio never makes a filter that is huge."""
    tracemalloc.start()
    found = decode_audio(encoded(tone(150, 0.5, rate), rate, coding="FLOAT"), RATE, longest=1.0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found) == pytest.approx(8000, abs=10)
    middle = slice(2000, 6000)  # a filter needs its neighbours
    assert np.abs(found[middle] - tone(150, 0.5, RATE)[middle]).max() < 0.02
    assert peak < 30 << 20


def test_what_is_above_the_new_band_is_gone() -> None:
    """6 kHz cannot be had at 8,000 samples a second, and must not come back as 2 kHz."""
    found = decode_audio(encoded(tone(6000, 0.5, 48_000), 48_000, coding="FLOAT"), 8_000, longest=1.0)
    assert np.abs(found[400:-400]).max() < 0.005


# --- files that are refused, before memory is taken for them

WAV = encoded(noise(4000))
FLAC = encoded(noise(4000), kind="FLAC")


def patched(content: bytes, at: int, layout: str, *values: int) -> bytes:
    piece = struct.pack(layout, *values)
    return content[:at] + piece + content[at + len(piece) :]


def flac_says(frames: int) -> bytes:
    """The 36 bits of STREAMINFO that count samples (RFC 9639, section 8.2)."""
    return patched(patched(FLAC, 21, "B", FLAC[21] & 0xF0 | frames >> 32), 22, ">I", frames & 0xFFFFFFFF)


BAD = {
    "text": (b"I am text\n", "must be a WAV or FLAC file, got 10 bytes that start with b'I am text\\n'"),
    "one byte": (b"R", "must be a WAV or FLAC file, got 1 bytes"),
    "MP3": (b"ID3\x03" + bytes(100), "must be a WAV or FLAC file, got an MP3 file; convert it"),
    "Ogg": (encoded(noise(4000), kind="OGG"), "must be a WAV or FLAC file, got an Ogg file; convert it"),
    "AIFF": (encoded(noise(400), kind="AIFF"), "got an AIFF file; convert it"),
    "zero length": (encoded(noise(0)), "has no sound: its header says 0 samples"),
    "WAV header alone": (WAV[:36], "is a WAV file of 36 bytes without sound; it is truncated or damaged"),
    "cut WAV": (WAV[:3000], "should have 8,000 bytes of sound by its header, and has 2,956: it is truncated"),
    "4 GB claimed": (patched(WAV, 40, "<I", 0xFFFFFFFF), "should have 4,294,967,295 bytes of sound by its header"),
    "10^9 Hz": (patched(WAV, 24, "<I", 10**9), "has a sample rate of 1,000,000,000 Hz; it must be 1,000 to 384,000"),
    "1,000 channels": (patched(WAV, 22, "<H", 1000), "has 1,000 channels; it must have 1 to 32"),
    "ADPCM": (encoded(noise(4000), coding="IMA_ADPCM"), "is a WAV file coded as IMA_ADPCM; store it as 16-bit PCM"),
    "chunks": (WAV[:12] + b"junk\0\0\0\0" * 101 + WAV[12:], "with more than 100 chunks before its sound"),
    "no format": (WAV[:12] + b"junk" + WAV[16:], "is a WAV file of 8,044 bytes that cannot be decoded"),
    "cut FLAC": (FLAC[: len(FLAC) // 2], "is a FLAC file of .* bytes that cannot be decoded: it is truncated"),
    "cut FLAC's end": (FLAC[:-30], "is a FLAC file of .* that cannot be decoded: it is truncated or damaged"),
    "damaged FLAC": (FLAC[:4000] + bytes(50) + FLAC[4050:], "is a FLAC file of .* that cannot be decoded"),
    "FLAC header alone": (FLAC[:42], "is a FLAC file of 42 bytes that cannot be decoded"),
    "FLAC of 2^36 samples": (flac_says((1 << 36) - 1), "lasts 4,294,967.30 seconds; it may last 0.50 seconds: cut it"),
    "FLAC of unknown length": (flac_says(0), "lasts .* seconds; it may last 0.50 seconds: cut it"),
    "FLAC that says too much": (flac_says(4001), "is a FLAC file of .* that cannot be decoded"),
    "NaN": (encoded(np.where(np.arange(800) == 70, np.nan, noise(800)[:, 0]), coding="FLOAT"), "samples that are NaN"),
    "infinity": (encoded(np.full(800, np.inf), coding="DOUBLE"), "has samples that are NaN or infinite"),
}


@pytest.fixture(scope="module")
def learned() -> Audio:
    return Audio.learn(*made(3000, 4000))


@pytest.mark.parametrize("name", list(BAD))
def test_a_bad_file_is_the_rows_own_error_and_takes_no_memory(name: str, learned: Audio) -> None:
    content, message = BAD[name]
    wanted = learned.apply(columns_of(WAV))[0]["sequence"]
    tracemalloc.start()
    found, errors = learned.apply(columns_of(content, WAV))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert list(errors) == [0]
    assert errors[0].field == "audio"
    with pytest.raises(RowError, match=f"row 0: field 'audio' .*{message}".replace("\\n", r"\\n").replace("(", r"\(")):
        raise errors[0]
    assert torch.equal(found["sequence"][1:], wanted)
    assert found["sequence_lengths"].tolist() == [1, 26]
    assert peak < 4 << 20


def test_a_flac_file_that_unfolds_is_refused_by_its_number_of_samples() -> None:
    """An hour of silence is 150 kB; with a fixed length it is read up to there, in so many channels as fit."""
    options = Audio.with_options(seconds=600.0, sample_rate=1000, num_mels=8, hop_seconds=0.02)
    columns = columns_of(encoded(np.zeros((1000, 1)), 1000))
    plain = options.learn(read_audio(([noise(10)], [0]), sample_rate=RATE).schema, columns)
    silence = encoded(np.zeros((4000, 8), np.int16), 384_000, kind="FLAC")
    huge = patched(patched(silence, 21, "B", silence[21] & 0xF0 | 1), 22, ">I", 0)  # 2^32 samples
    tracemalloc.start()
    errors = plain.apply(columns_of(huge))[1]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "has 230,400,000 samples in 8 channels; it may have 67,108,864 in all" in errors[0].detail
    assert peak < 8 << 20


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, learned: Audio) -> None:
    schema, columns = made(3000)
    monkeypatch.setitem(sys.modules, "soundfile", None)
    for act in (lambda: Audio.learn(schema, columns), lambda: Audio.from_state(schema, *learned.state())):
        with pytest.raises(DataError, match=r"sounds need the library soundfile: pip install 'maas-torch\[audio\]'"):
            act()
