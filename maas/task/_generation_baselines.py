"""What counting neighbouring tokens knows of a text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from maas.preprocess import Language
from maas.task._answers import Answers

_ORDER = 5
_MOST_TOKENS = 5_000_000
_DISCOUNTS = (0.1, 0.95)  # in between, however few tokens there are to estimate one from
_Array = np.ndarray[Any, Any]


def ngram_baseline(language: Language, train: Sequence[str], test: Sequence[str]) -> dict[str, Answers]:
    """The log probability of test texts by interpolated Kneser-Ney counts of up to five tokens, in the model's tokens.

    It learns from 5,000,000 tokens at the most; its name says so.
    """
    known = language.encode(train)
    lengths = np.cumsum([len(one) for one in known])
    few = known[: max(1, int(np.searchsorted(lengths, _MOST_TOKENS, side="right")))]
    model = KneserNey(few, vocabulary=len(language), order=_ORDER)
    tokens = language.encode(test)
    column: _Array = np.empty(len(tokens), object)
    column[:] = model.logprobs(tokens)
    name = f"{_ORDER}-grams" + ("" if len(few) == len(known) else f" (of {_MOST_TOKENS:,} tokens)")
    return {
        name: Answers({"prompt_logprob": column, "prompt_tokens": np.array([len(one) for one in tokens], np.int64)})
    }


class KneserNey:
    """Interpolated Kneser-Ney: how often a token stood behind those before it, and if seldom, behind fewer of them.

    Of fewer it counts behind how many different ones, not how often.

    Args:
        texts: tokens; the first one of each is given, and foretells the others.
        vocabulary: how many different tokens there are.
        order: tokens that are looked at together.

    Source: Kneser and Ney 1995; Chen and Goodman 1999, section 2.7, with one discount an order.
    """

    def __init__(self, texts: Sequence[Sequence[int]], *, vocabulary: int, order: int) -> None:
        self.vocabulary, self.order = vocabulary, order
        before, tokens = self._places(texts)
        contexts = np.zeros(len(tokens), np.int64)  # numbers of those seen, of the length at hand
        self._keys: list[_Array] = []  # of contexts by length, sorted: the number of the shorter one, and one token
        self._pairs: list[_Array] = []  # of a context and the token behind it
        firsts, places = [], []
        for length in range(order):
            if length:
                keys, contexts = np.unique(self._joined(contexts, before[length - 1]), return_inverse=True)
                self._keys.append(keys)
            pairs, first, place = np.unique(self._joined(contexts, tokens), return_index=True, return_inverse=True)
            self._pairs.append(pairs)
            firsts.append(first)
            places.append(place)
        self._counts = [np.bincount(places[length][firsts[length + 1]]) for length in range(order - 1)]
        self._counts.append(np.bincount(places[-1]))
        self._discounts = [_discount(counts) for counts in self._counts]
        owners = [pairs // (vocabulary + 1) for pairs in self._pairs]
        self._totals = [np.bincount(owner, counts) for owner, counts in zip(owners, self._counts, strict=True)]
        self._kinds = [np.bincount(owner) for owner in owners]

    def logprobs(self, texts: Sequence[Sequence[int]]) -> list[float]:
        """The natural log probability of each text's tokens but the first."""
        before, tokens = self._places(texts)
        contexts = np.zeros(len(tokens), np.int64)
        shares = np.full(len(tokens), 1 / self.vocabulary)
        for length in range(self.order):
            if length:
                contexts = _found(self._keys[length - 1], self._joined(contexts, before[length - 1]), contexts >= 0)
            seen = contexts >= 0
            pairs = _found(self._pairs[length], self._joined(contexts, tokens), seen)
            counts = np.where(pairs >= 0, self._counts[length][pairs], 0)
            discount, at = self._discounts[length], contexts[seen]
            own = np.maximum(counts[seen] - discount, 0) / self._totals[length][at]
            rest = discount * self._kinds[length][at] / self._totals[length][at]
            shares[seen] = own + rest * shares[seen]
        ends = np.cumsum([max(0, len(text) - 1) for text in texts])
        return [float(part.sum()) for part in np.split(np.log(shares), ends[:-1])]

    def _places(self, texts: Sequence[Sequence[int]]) -> tuple[list[_Array], _Array]:
        """The tokens to foretell, and those one, two ... places before each; a mark stands before a text."""
        mark = [self.vocabulary] * (self.order - 1)
        joined = np.fromiter((number for text in texts for number in (*mark, *text)), np.int64)
        sizes = [len(text) for text in texts]
        starts = np.cumsum([0, *(len(mark) + size for size in sizes)])[:-1] + len(mark) + 1
        some = [np.arange(start, start + size - 1) for start, size in zip(starts, sizes, strict=True) if size > 1]
        at = np.concatenate(some) if some else np.zeros(0, np.int64)
        return [joined[at - back] for back in range(1, self.order)], joined[at]

    def _joined(self, contexts: _Array, tokens: _Array) -> _Array:
        return contexts * (self.vocabulary + 1) + tokens


def _found(keys: _Array, wanted: _Array, known: _Array) -> _Array:
    """Where each wanted key stands among the sorted ones; -1 where it is not, or is not `known`."""
    if not len(keys):
        return np.full(len(wanted), -1)
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(known & (keys[at] == wanted), at, -1)


def _discount(counts: _Array) -> float:
    once, twice = (counts == 1).sum(), (counts == 2).sum()
    return float(np.clip(once / max(1, once + 2 * twice), *_DISCOUNTS))
