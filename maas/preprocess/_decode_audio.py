"""Encoded sound to samples: the only decoder there is, for training and serving alike."""

from __future__ import annotations

import io
import math
import struct
from fractions import Fraction
from typing import Any

import numpy as np

from maas.errors import DataError, show

WANTED = "a WAV or FLAC file"
_RATES = (1_000, 384_000)
_MOST_CHANNELS = 32
_MOST_SAMPLES = 1 << 26
_MOST_CHUNKS = 100
_SHOWN_BYTES = 16
# Of these a sample has its own bytes; the others of WAV are rare, and their decoders seldom tried.
_CODINGS = ("PCM_U8", "PCM_S8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW")
_MOST_STEPS_BETWEEN = 1000
_KNOWN = {
    b"OggS": "an Ogg file",
    b"ID3": "an MP3 file",
    b"\xff\xfb": "an MP3 file",
    b"FORM": "an AIFF file",
    b"RF64": "an RF64 file",
}

Samples = np.ndarray[Any, Any]


def decode_audio(content: bytes, sample_rate: int, *, longest: float, cut: bool = False) -> Samples:
    """The sound of a file, its channels mixed to one, at the wanted rate.

    Args:
        content: a WAV file (8 to 32 bits, float, mu-law or A-law) or a FLAC file.
        sample_rate: wanted, in Hz.
        longest: a longer sound, in seconds, is refused by its header, before memory is taken for it.
        cut: instead, take so much of its beginning.

    Returns:
        float64 of shape (samples,), at least one; full scale is from -1 to 1.

    Raises:
        ValueError: it cannot be decoded; the message is what follows the name of the field.
        DataError: the library is not installed.
    """
    soundfile = library()
    _check_start(content)
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            frames, rate = int(file.frames), int(file.samplerate)
            _check_header(file.subtype, frames, rate, int(file.channels), math.inf if cut else longest)
            wanted = min(frames, math.ceil(longest * rate)) if cut else frames
            if wanted * file.channels > _MOST_SAMPLES:
                raise ValueError(
                    f"has {wanted:,} samples in {file.channels} channels; it may have {_MOST_SAMPLES:,} in all: mix "
                    f"them to one, or lower the sample rate"
                )
            samples = file.read(wanted, dtype="float32", always_2d=True)  # (samples, channels)
    except soundfile.SoundFileError as error:
        raise ValueError(_damaged(content)) from error
    if len(samples) < wanted:  # as older versions of the library end a truncated file
        raise ValueError(_damaged(content))
    if not np.isfinite(samples).all():
        raise ValueError("has samples that are NaN or infinite; store it again without them")
    return _resampled(samples.mean(axis=1, dtype=np.float64), rate, sample_rate)


def library() -> Any:
    """The library that decodes.

    Raises:
        DataError: it is not installed.
    """
    try:
        import soundfile
    except (ImportError, OSError) as error:  # OSError: its wheel for this machine lacks libsndfile
        raise DataError("sounds need the library soundfile: pip install 'maas-torch[audio]'") from error
    return soundfile


def _check_start(content: bytes) -> None:
    """What the library passes over: files of other kinds, and a WAV file that says it is longer than it is."""
    if content[:4] == b"fLaC":
        return
    if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        for start, name in _KNOWN.items():
            if content.startswith(start):
                raise ValueError(f"must be {WANTED}, got {name}; convert it")
        raise ValueError(f"must be {WANTED}, got {len(content):,} bytes that start with {show(content[:_SHOWN_BYTES])}")
    at = 12
    for _ in range(_MOST_CHUNKS):
        if at + 8 > len(content):
            raise ValueError(f"is a WAV file of {len(content):,} bytes without sound; it is truncated or damaged")
        name, size = struct.unpack_from("<4sI", content, at)
        held = len(content) - at - 8
        if name == b"data":
            if size > held:
                raise ValueError(
                    f"is a WAV file that should have {size:,} bytes of sound by its header, and has {held:,}: it is "
                    f"truncated, or was written to a pipe; store it again"
                )
            return
        at += 8 + size + size % 2
    raise ValueError(f"is a WAV file with more than {_MOST_CHUNKS} chunks before its sound; store it again")


def _check_header(coding: str, frames: int, rate: int, channels: int, longest: float) -> None:
    if coding not in _CODINGS:
        raise ValueError(f"is a WAV file coded as {coding}; store it as 16-bit PCM")
    if not _RATES[0] <= rate <= _RATES[1]:
        raise ValueError(f"has a sample rate of {rate:,} Hz; it must be {_RATES[0]:,} to {_RATES[1]:,}")
    if not 1 <= channels <= _MOST_CHANNELS:
        raise ValueError(f"has {channels:,} channels; it must have 1 to {_MOST_CHANNELS}")
    if frames < 1:
        raise ValueError("has no sound: its header says 0 samples")
    if frames > longest * rate:
        raise ValueError(f"lasts {frames / rate:,.2f} seconds; it may last {longest:,.2f} seconds: cut it")


def _resampled(samples: Samples, rate: int, wanted: int) -> Samples:
    """At another rate, by a polyphase filter: its length is bounded, whatever the two rates are."""
    if rate == wanted:
        return samples
    # Imported here: it takes a while, and where all sounds have the wanted rate it is not needed.
    from scipy.signal import resample_poly

    # 44,101 Hz to 16,000 Hz would take a filter of 882,000 numbers; the nearest ratio is right to a few millionths.
    ratio = Fraction(wanted, rate).limit_denominator(_MOST_STEPS_BETWEEN)
    if wanted > rate:
        ratio = 1 / Fraction(rate, wanted).limit_denominator(_MOST_STEPS_BETWEEN)
    return np.ascontiguousarray(resample_poly(samples, ratio.numerator, ratio.denominator))


def _damaged(content: bytes) -> str:
    kind = "FLAC" if content.startswith(b"fLaC") else "WAV"
    return (
        f"is a {kind} file of {len(content):,} bytes that cannot be decoded: it is truncated or damaged, or of a kind "
        f"that is not supported; store it again"
    )
