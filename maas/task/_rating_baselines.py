"""What a rating is without knowing taste: the mean, and how kind a user and how good an item is."""

from __future__ import annotations

from typing import Any

import numpy as np

from maas.schema import Columns, Schema

_DAMPING = (10.0, 25.0)  # ratings at the mean that each user, and each item, is given beside its own
_Matrix = np.ndarray[Any, Any]


def has_ids(schema: Schema) -> bool:
    """Whether these rows are a user and an item each."""
    return [field.kind for field in schema.fields] == ["user", "item"]


def rating_baselines(schema: Schema, train: Columns, target: _Matrix, test: Columns) -> dict[str, _Matrix]:
    """Values of shape (test rows,) by method: the mean; the mean with a bias of the user and one of the item.

    Source: Koren 2010, Factor in the neighbors, section 2.1: item biases first, then user biases, both damped.
    """
    mean = float(target.mean())
    found = {"mean": np.full(len(test[schema.names[0]]), mean)}
    rest, values = target - mean, found["mean"].copy()
    for name, damping in zip(reversed(schema.names), reversed(_DAMPING), strict=True):
        labels, codes = np.unique(train[name].astype(str), return_inverse=True)
        biases = np.bincount(codes, rest) / (np.bincount(codes) + damping)
        places = {label: place for place, label in enumerate(labels.tolist())}
        rest = rest - biases[codes]
        values += [biases[places[label]] if label in places else 0.0 for label in test[name]]
    return {**found, "user and item biases": values}
