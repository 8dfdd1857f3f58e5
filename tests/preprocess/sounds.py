"""Sounds for tests: noise, encoded, and as columns."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import scipy.signal  # noqa: F401  # loaded here, so that what it takes is not measured below
import soundfile

from maas.data import read_audio
from maas.schema import Columns, Schema

Values = np.ndarray[Any, Any]


RATE = 16_000


def noise(samples: int, seed: int = 0, channels: int = 1) -> Values:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (samples, channels)).astype(np.float32)


def encoded(samples: Values, rate: int = RATE, kind: str = "WAV", coding: str | None = None) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=kind, subtype=coding)
    return buffer.getvalue()


def made(*lengths: int) -> tuple[Schema, Columns]:
    rows = read_audio(
        ([noise(length, seed) for seed, length in enumerate(lengths)], range(len(lengths))), sample_rate=RATE
    )
    return rows.schema, rows.columns


def columns_of(*contents: bytes) -> Columns:
    column = np.empty(len(contents), object)
    column[:] = contents
    return {"audio": column}
