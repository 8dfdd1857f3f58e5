"""How far served rows have moved from the training rows: population stability, field by field."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from maas.errors import DataError, FormatError, show
from maas.metrics._distribution import NUM_BINS, bins_of, is_categorical, measure
from maas.schema import Columns, Schema

_LEAST_SHARE = 1e-4  # an empty bin would make the logarithm infinite

_Array = np.ndarray[Any, Any]


def population_stability(reference: Sequence[float] | _Array, counts: Sequence[float] | _Array) -> float:
    """The population stability index of rows that fell into bins, against the shares that are expected there.

    It is the sum over bins of (share - expected) * ln(share / expected), each share at least 0.0001. Custom has it that
    below 0.1 nothing moved, and above 0.25 much did; but without any drift it is about (bins - 1) / rows (Yurdakul
    2018), so few rows say little.

    Args:
        reference: expected share of each bin; they are scaled to a sum of 1.
        counts: rows in each bin.

    Returns:
        0 or more, in nats; NaN where there is no row.

    Raises:
        DataError: the two are not of one length, or hold a negative number, or no bin is expected.

    Source: Jeffreys 1946, An invariant form for the prior probability in estimation problems; by this name in Siddiqi,
    Credit Risk Scorecards, 2006, chapter 10. Yurdakul 2018, Statistical Properties of Population Stability Index.

    >>> round(population_stability([0.5, 0.5], [30, 70]), 4)
    0.1695
    """
    expected, found = np.asarray(reference, np.float64), np.asarray(counts, np.float64)
    if expected.shape != found.shape or expected.ndim != 1:
        raise DataError(
            f"`reference` and `counts` must have a number for each bin, got shapes {expected.shape} and {found.shape}"
        )
    if not (expected >= 0).all() or not (found >= 0).all() or not expected.sum() > 0:
        raise DataError("`reference` and `counts` must be 0 or more, and some share expected")
    if not found.sum():
        return math.nan
    share = np.maximum(found / found.sum(), _LEAST_SHARE)
    wanted = np.maximum(expected / expected.sum(), _LEAST_SHARE)
    return float(((share - wanted) * np.log(share / wanted)).sum())


class Drift:
    """Counts served rows into the bins of the training rows. Not for several threads at a time.

    Args:
        schema: the model's fields.
        reference: what `maas.fit` wrote into `model.card["data"]["distribution"]`.

    Raises:
        FormatError: the reference is nothing that `maas.metrics.distribution` gives for these fields.
    """

    def __init__(self, schema: Schema, reference: Mapping[str, Any]) -> None:
        self._numbers, self._labels = [], []
        self._expected: dict[str, _Array] = {}
        edges = []
        try:
            for field in schema.fields:
                if (told := reference.get(field.name)) is None:
                    continue
                if is_categorical(field):
                    shares = [*told["categories"].values(), told["rest"], told["missing"]]
                    places = {value: place for place, value in enumerate(told["categories"])}
                    self._labels.append((field, places, frozenset(field.values or ())))
                else:
                    inner = np.array(told["edges"], np.float64)
                    shares = [*told["shares"], *[0.0] * (NUM_BINS - len(told["shares"])), told["missing"]]
                    if (
                        len(shares) != NUM_BINS + 1
                        or len(told["shares"]) != len(inner) + 1
                        or (np.diff(inner) <= 0).any()
                    ):
                        raise ValueError("edges must rise, and have a share more than there are of them")
                    edges.append(np.pad(inner, (0, NUM_BINS - 1 - len(inner)), constant_values=np.inf))
                    self._numbers.append(field)
                self._expected[field.name] = _checked(shares)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise FormatError(f"the card's distribution of {show(field.name)} cannot be used: {error}") from error
        self._edges = np.array(edges).reshape(len(edges), NUM_BINS - 1)
        self._starts = np.arange(len(edges)) * (NUM_BINS + 1)
        self.reset()

    def reset(self) -> None:
        """Begin anew, with no row counted."""
        self.num_rows = 0
        self._counts = np.zeros(len(self._numbers) * (NUM_BINS + 1), np.int64)
        self._tallies = {field.name: [0] * (len(places) + 2) for field, places, _ in self._labels}
        self._unknown = dict.fromkeys(self._tallies, 0)

    def add(self, columns: Columns, rows: _Array | None = None) -> None:
        """Count rows.

        Args:
            columns: as `Model.prepare` gives them.
            rows: positions of those to count, such as `Prepared.kept`; by default all.
        """
        length = len(next(iter(columns.values())))
        if rows is not None and len(rows) < length:
            columns, length = {name: column[rows] for name, column in columns.items()}, len(rows)
        if self._numbers:
            values = np.stack([measure(field, columns[field.name]) for field in self._numbers], axis=1)  # type: ignore[misc]
            places = bins_of(values, self._edges) + self._starts
            self._counts += np.bincount(places.ravel(), minlength=len(self._counts))
        for field, known, values_known in self._labels:
            tally = self._tallies[field.name]
            for value in columns[field.name]:
                tally[-1 if value is None else known.get(value, -2)] += 1
                if value is not None and value not in known and value not in values_known:
                    self._unknown[field.name] += 1
        self.num_rows += length

    def stability(self) -> dict[str, float]:
        """The population stability index of each field, a missing value being a bin of its own; NaN without rows."""
        counts = dict(zip((field.name for field in self._numbers), self._counts.reshape(-1, NUM_BINS + 1), strict=True))
        found: dict[str, Any] = {**counts, **self._tallies}
        return {name: population_stability(expected, found[name]) for name, expected in self._expected.items()}

    def unknown(self) -> dict[str, float]:
        """Of each field of categories the share of rows with one that no training row is known to have had."""
        return {name: count / self.num_rows if self.num_rows else math.nan for name, count in self._unknown.items()}


def _checked(shares: Sequence[Any]) -> _Array:
    found = np.array(shares, np.float64)
    if not (found >= 0).all() or not 0.99 < found.sum() < 1.01:
        raise ValueError(f"shares must be 0 or more and sum to 1, got {show(str(shares))}")
    return found
