"""What a rating is without knowing taste: the mean, and how kind a user and how good an item is."""

from __future__ import annotations

from typing import Any

import numpy as np

from maas.schema import Columns, Schema

_DAMPING = 3.0  # ratings at what else is known that each user, and each item, is given beside its own
_ROUNDS = 10
_Matrix = np.ndarray[Any, Any]


def has_ids(schema: Schema) -> bool:
    """Whether these rows are a user and an item each."""
    return [field.kind for field in schema.fields] == ["user", "item"]


def rating_baselines(schema: Schema, train: Columns, target: _Matrix, test: Columns) -> dict[str, _Matrix]:
    """Values of shape (test rows,) by method: the mean; the mean with a bias of the user and one of the item.

    Source: Koren, Bell and Volinsky 2009, Matrix factorization techniques, equation 3, by a damped least squares fit of
    items and users in turn.
    """
    mean = float(target.mean())
    names = list(reversed(schema.names))
    coded = {name: np.unique(train[name].astype(str), return_inverse=True) for name in names}
    biases = {name: np.zeros(len(labels)) for name, (labels, _) in coded.items()}
    for name, other in [(names[0], names[1]), (names[1], names[0])] * _ROUNDS:
        rest = target - mean - biases[other][coded[other][1]]
        biases[name] = np.bincount(coded[name][1], rest) / (np.bincount(coded[name][1]) + _DAMPING)
    values = np.full(len(test[names[0]]), mean)
    for name in names:
        places = {label: place for place, label in enumerate(coded[name][0].tolist())}
        values += [biases[name][places[label]] if label in places else 0.0 for label in test[name]]
    return {"mean": np.full(len(values), mean), "user and item biases": values}
