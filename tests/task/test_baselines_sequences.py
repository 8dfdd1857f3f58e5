"""Baselines over sequences: what is told to them of each row."""

from __future__ import annotations

import numpy as np

from maas.data import read_sequences
from maas.task import Classification, Regression
from maas.task._baseline_matrices import _summaries


def test_a_sequence_is_summed_up_channel_by_channel() -> None:
    """Reference: numpy on the first row's values that are there."""
    rows = read_sequences([np.array([[1.0, 10.0], [np.nan, 30.0], [3.0, 20.0]]), np.array([[7.0, 8.0]])])
    first, second = _summaries(rows.columns["sequence"])
    np.testing.assert_allclose(first, [2, 20, 1, np.std([10, 30, 20]), 1, 10, 3, 30, 1, 10, 3, 20, 3])
    np.testing.assert_allclose(second, [7, 8, 0, 0, 7, 8, 7, 8, 7, 8, 7, 8, 1])


def test_baselines_learn_what_a_summary_tells() -> None:
    generator = np.random.default_rng(0)
    series = [generator.normal(0, 1 + row % 2, generator.integers(20, 30)) for row in range(80)]
    classes = read_sequences(series, target=["still", "shaken"] * 40)
    assert classes.target is not None
    task = Classification.learn(classes.target)
    found = task.baselines(classes.schema, classes.columns, classes.target, classes.columns)
    assert list(found) == ["majority class", "logistic regression", "boosted trees"]
    assert (found["logistic regression"]["label"] == classes.target).mean() > 0.9

    numbers = read_sequences(series, target=[float(len(one)) for one in series], task="regression")
    assert numbers.target is not None
    values = Regression.learn(numbers.target).baselines(
        numbers.schema, numbers.columns, numbers.target, numbers.columns
    )
    np.testing.assert_allclose(values["ridge regression"]["value"], numbers.target, atol=0.1)
