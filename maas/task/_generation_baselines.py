"""What counting neighbouring tokens knows of a text."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from maas.preprocess import Language
from maas.task._answers import Answers

_ORDER = 3


def ngram_baseline(language: Language, train: Sequence[str], test: Sequence[str]) -> dict[str, Answers]:
    """The log probability of test texts by counts of one, two and three tokens, interpolated by how many follow.

    Source: Witten and Bell 1991, method C; Chen and Goodman 1999, section 2.5.
    """
    counts: list[dict[tuple[int, ...], Counter[int]]] = [defaultdict(Counter) for _ in range(_ORDER)]
    for tokens in language.encode(train):
        for place in range(1, len(tokens)):
            for order in range(min(_ORDER, place + 1)):
                counts[order][tuple(tokens[place - order : place])][tokens[place]] += 1
    sums = [{context: sum(found.values()) for context, found in one.items()} for one in counts]
    logprobs, lengths = [], []
    for tokens in language.encode(test):
        total = 0.0
        for place in range(1, len(tokens)):
            share = 1 / len(language)
            for order in range(min(_ORDER, place + 1)):
                context = tuple(tokens[place - order : place])
                if (found := counts[order].get(context)) is not None:
                    kinds = len(found)
                    share = (found[tokens[place]] + kinds * share) / (sums[order][context] + kinds)
            total += math.log(share)
        logprobs.append(total)
        lengths.append(len(tokens))
    column: np.ndarray[Any, Any] = np.empty(len(logprobs), object)
    column[:] = logprobs
    return {"trigrams": Answers({"prompt_logprob": column, "prompt_tokens": np.array(lengths, np.int64)})}
