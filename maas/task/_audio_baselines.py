"""Sounds as methods for tables can take them: how loud each band is, and how much that varies."""

from __future__ import annotations

from typing import Any

import numpy as np

from maas.preprocess import Audio
from maas.schema import Columns, Field, Schema


def summaries(field: Field, train: Columns, test: Columns) -> tuple[list[np.ndarray[Any, Any]], str]:
    """Of training and test rows a matrix each, float64 of shape (rows, 2 * bands), and what its columns are."""
    learned = Audio.learn(Schema((field,)), train)
    sides = []
    for columns in (train, test):
        inputs, _ = learned.apply(columns)
        rows = zip(inputs["sequence"].double().numpy(), inputs["sequence_lengths"].tolist(), strict=True)
        sides.append(np.array([np.concatenate([one[:end].mean(0), one[:end].std(0)]) for one, end in rows]))
    return sides, "log-mel means and deviations"
