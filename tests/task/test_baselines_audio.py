"""Baselines of sounds: the methods for tables on how loud each band is, and how much that varies."""

import numpy as np
import pytest

from maas.data import read_audio
from maas.task._baseline_matrices import _bands
from maas.task._baselines import classification_baselines, regression_baselines

RATE = 8000
NAME = "on log-mel means and deviations"


def test_a_linear_model_hears_what_bands_tell() -> None:
    pitches = np.linspace(300, 3000, 24)
    time = np.arange(2000) / RATE
    train = read_audio(([np.sin(2 * np.pi * one * time) for one in pitches], pitches), sample_rate=RATE)
    test = read_audio(([np.sin(2 * np.pi * one * time) for one in (400, 2800)], [0, 1]), sample_rate=RATE)
    high = (pitches > 1500).astype(int)
    found = classification_baselines(train.schema, train.columns, high, test.columns, 2)
    assert list(found) == ["majority class", f"logistic regression {NAME}", f"boosted trees {NAME}"]
    assert found[f"logistic regression {NAME}"].argmax(axis=1).tolist() == [0, 1]
    values = regression_baselines(train.schema, train.columns, pitches, test.columns)
    assert list(values) == ["mean", f"ridge regression {NAME}", f"boosted trees {NAME}"]
    assert values[f"ridge regression {NAME}"] == pytest.approx([400, 2800], abs=300)


def test_padding_is_no_part_of_a_summary() -> None:
    """Reference: the summary of each sound alone."""
    random = np.random.default_rng(0)
    rows = read_audio(([random.uniform(-1, 1, size) for size in (900, 4000, 2000)], [0, 1, 2]), sample_rate=RATE)
    (together, _), what = _bands(rows.schema.fields[0], rows.columns, rows.columns)
    assert what == "log-mel means and deviations"
    assert together.shape == (3, 128)
    for row in range(3):
        (_, alone), _ = _bands(rows.schema.fields[0], rows.columns, {"audio": rows.columns["audio"][row : row + 1]})
        np.testing.assert_array_equal(alone[0], together[row])
