"""The next steps of a series by methods that know no more than its window."""

from __future__ import annotations

from typing import Any

import numpy as np

from maas.schema import Columns, Schema

_Matrix = np.ndarray[Any, Any]


def forecast_baselines(schema: Schema, train: Columns, target: _Matrix, test: Columns) -> dict[str, _Matrix]:
    """Values of shape (test rows, horizon[, channels]) by method: last value, mean, ridge on the flattened window.

    The last value is that of the channel which moves most like the target's first step: the columns do not say which
    channels of the window are the ones to forecast.
    """
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    name = schema.names[0]
    known, asked = (_unbroken(columns[name]) for columns in (train, test))  # (rows, window, channels)
    first = target[:, 0].reshape(len(target), -1)  # (rows, targets)
    gaps = np.abs(known[:, -1, :, None] - first[:, None, :]).mean(axis=0)  # (channels, targets)
    last = asked[:, -1, gaps.argmin(axis=0)].reshape(len(asked), 1, *target.shape[2:])
    ridge = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-3, 3, 13)))
    ridge.fit(known.reshape(len(known), -1), target.reshape(len(target), -1))
    return {
        "last value": np.broadcast_to(last, (len(asked), *target.shape[1:])),
        "mean": np.broadcast_to(target.mean(axis=(0, 1)), (len(asked), *target.shape[1:])),
        "ridge regression": ridge.predict(asked.reshape(len(asked), -1)).reshape(len(asked), *target.shape[1:]),
    }


def _unbroken(windows: _Matrix) -> _Matrix:
    """Windows of shape (rows, steps, channels), each gap filled with the step before it, or with 0."""
    last = np.maximum.accumulate(np.where(np.isnan(windows), 0, np.arange(windows.shape[1])[:, None]), axis=1)
    filled = np.take_along_axis(windows, last, axis=1)
    return np.where(np.isnan(filled), 0.0, filled)
