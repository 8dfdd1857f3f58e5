"""What items are like: their texts, categories and numbers as one sparse vector each, and how like two are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from maas.errors import DataError, FormatError, show
from maas.preprocess._base import Arrays
from maas.preprocess._names import check_ends
from maas.preprocess._words import normalise, split_words
from maas.schema import Columns, Field, Schema

_MOST_WORDS = 1000
_MOST_FEATURES = 1 << 22
_Features = list[dict[tuple[str, str], float]]


@dataclass(frozen=True)
class Content:
    """A vector of length 1 for each item, or of zeros where nothing is known of it.

    Each field gives a part of length 1, so that fields weigh alike: words of a text by TF-IDF, a category by a 1 at its
    place, a number by its distance from the mean in deviations, squashed into two places for above and below.

    Args:
        num_features: places of a vector.
        ends, places, values: the vectors as a sparse matrix (items, features) by rows: int64, int64, float64.
    """

    num_features: int
    ends: np.ndarray[Any, Any]
    places: np.ndarray[Any, Any]
    values: np.ndarray[Any, Any]

    @classmethod
    def learn(cls, schema: Schema, columns: Columns, items: Sequence[str]) -> Content:
        """The vectors of these items.

        Args:
            schema, columns: a table of items: one field of the kind item, and those that describe it.
            items: the items wanted, in order of their numbers.

        Raises:
            DataError: the table describes none of them, or has an item that is not among them.
        """
        named = [field.name for field in schema.fields if field.kind == "item"]
        if len(named) != 1 or len(schema.fields) < 2:
            raise DataError("a table of items has their identifiers and what describes them; use maas.data.read_items")
        numbers = {item: number for number, item in enumerate(items)}
        listed = columns[named[0]].tolist()
        if more := [item for item in listed if item not in numbers]:
            raise DataError(
                f"the table of items has {show(more[0])}, which the interactions do not know; give "
                f"maas.data.read_interactions(..., items=...) the same table"
            )
        rows: _Features = [{} for _ in items]
        for field in schema.fields:
            if field.name == named[0]:
                continue
            for item, part in zip(listed, _vectors(field, columns[field.name]), strict=True):
                rows[numbers[item]].update(part)
        features = sorted({feature for row in rows for feature in row})
        if not features:
            raise DataError("the table of items says nothing about any of them")
        if len(features) > _MOST_FEATURES:
            raise DataError(f"items may have {_MOST_FEATURES:,} different features, got {len(features):,}")
        columns_of = {feature: place for place, feature in enumerate(features)}
        ends = np.cumsum([0, *map(len, rows)], dtype=np.int64)
        places, values = np.zeros(ends[-1], np.int64), np.zeros(ends[-1])
        for number, row in enumerate(rows):
            found = sorted((columns_of[feature], value) for feature, value in row.items())
            span = slice(ends[number], ends[number + 1])
            places[span] = [place for place, _ in found]
            values[span] = [value for _, value in found]
            values[span] /= np.linalg.norm(values[span]) or 1.0
        return cls(len(features), ends, places, values)

    @cached_property
    def _matrix(self) -> Any:
        from scipy.sparse import csr_array

        return csr_array((self.values, self.places, self.ends), (len(self.ends) - 1, self.num_features))

    @cached_property
    def _turned(self) -> Any:
        return self._matrix.T.tocsr()

    def likeness(self, histories: Sequence[np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
        """The mean cosine of each item with those of a history: float32 of shape (histories, items).

        Args:
            histories: the numbers of items, at least one in each.
        """
        from scipy.sparse import csr_array

        lengths = np.array([len(one) for one in histories], np.int64)
        ends = np.concatenate([[0], np.cumsum(lengths)])
        numbers = np.concatenate([np.zeros(0, np.int64), *histories])
        mean = csr_array((np.repeat(1 / lengths, lengths), numbers, ends), (len(histories), len(self.ends) - 1))
        # Row by row, so that a history has the same bits alone and among others.
        found: np.ndarray[Any, Any] = ((mean @ self._matrix) @ self._turned).toarray().astype(np.float32)
        return found

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray[Any, Any]]]:
        arrays = {"content_ends": self.ends, "content_places": self.places, "content_values": self.values}
        return {"num_features": self.num_features}, arrays

    @classmethod
    def from_state(cls, state: Mapping[str, Any], arrays: Arrays, num_items: int) -> Content:
        """The inverse of `state`. Raises FormatError for a state that this class did not write."""
        count = state["num_features"]
        if type(count) is not int or not 0 < count <= _MOST_FEATURES:
            raise FormatError(f"items have 1 to {_MOST_FEATURES} features, got {show(count)}")
        ends, places, values = (arrays[f"content_{name}"] for name in ("ends", "places", "values"))
        if places.dtype != np.int64 or values.dtype != np.float64 or places.shape != values.shape or places.ndim != 1:
            raise FormatError("preprocessing arrays of content must be int64 places with a float64 value each")
        check_ends("content_ends", ends, len(places))
        if len(ends) != num_items + 1:
            raise FormatError(f"preprocessing array 'content_ends' must be that of {num_items} items")
        good = not len(places) or 0 <= places.min() <= places.max() < count
        if not good or not np.isfinite(values).all() or np.abs(values).max(initial=0) > 1:
            raise FormatError("preprocessing arrays of content hold places or values that no training gives")
        return cls(count, ends, places, values)


def _vectors(field: Field, column: np.ndarray[Any, Any]) -> _Features:
    """What a field says of each item, each of length 1, or nothing where it is missing."""
    if field.kind == "text":
        return _tfidf(field.name, column)
    if field.dtype == "label":
        return [{} if value is None else {(field.name, value): 1.0} for value in column]
    if field.dtype in ("number", "boolean") and not field.shape:
        with np.errstate(invalid="ignore", over="ignore"):
            deviation = float(np.nanstd(column)) or 1.0
            scores = (column - np.nanmean(column)) / deviation
        return [
            {} if np.isnan(score) else _two_sided(field.name, float(np.tanh(score / 2))) for score in scores.tolist()
        ]
    raise DataError(f"field {show(field.name)} of the items must be a text, a category or a number, got {field.kind}")


def _two_sided(name: str, score: float) -> dict[tuple[str, str], float]:
    """A score from -1 to 1 as a point on a quarter circle: items of like numbers have a cosine near 1."""
    angle = (score + 1) * np.pi / 4
    return {(name, "above"): float(np.sin(angle)), (name, "below"): float(np.cos(angle))}


def _tfidf(name: str, texts: np.ndarray[Any, Any]) -> _Features:
    """Words by (1 + log count) x log((1 + texts) / (1 + texts with it)) + 1, of length 1.

    Source: Manning, Raghavan and Schuetze 2008, section 6.4; the smoothing is scikit-learn's.
    """
    tallies = [Counter(split_words(normalise(text or ""), "word", _MOST_WORDS)) for text in texts]
    tallies = [Counter({word: n for word, n in tally.items() if any(map(str.isalnum, word))}) for tally in tallies]
    seen = Counter(word for tally in tallies for word in tally)
    found: _Features = []
    for tally in tallies:
        row = {
            (name, word): (1 + float(np.log(count))) * (float(np.log((1 + len(tallies)) / (1 + seen[word]))) + 1)
            for word, count in tally.items()
        }
        norm = float(np.sqrt(sum(value**2 for value in row.values()))) or 1.0
        found.append({feature: value / norm for feature, value in row.items()})
    return found
