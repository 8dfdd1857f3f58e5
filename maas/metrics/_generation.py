"""How well a language model foretells texts."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from maas.errors import DataError
from maas.metrics._scores import Scores

_Array = np.ndarray[Any, Any]


def generation_scores(num_bytes: _Array, logprobs: _Array, num_tokens: _Array) -> Scores:
    """Scores of texts that were foretold token by token.

    `bits_per_byte` can be compared between models of other tokens; `perplexity`, the exponential of the mean loss of a
    token, only between those of the same.

    Args:
        num_bytes: of each text in UTF-8, float64 of shape (rows,).
        logprobs: natural log probability of each text's tokens but the first, objects of shape (rows,).
        num_tokens: of each text, int64 of shape (rows,).

    Raises:
        DataError: a row was not scored.
    """
    if any(one is None for one in logprobs):
        raise DataError("rows to evaluate are texts to be scored, as maas.data.read_corpus gives them: with `echo`")
    bits = -logprobs.astype(np.float64) / math.log(2)
    foretold = float((num_tokens - 1).sum())
    size = np.asarray(num_bytes, np.float64)
    total = float(size.sum())
    perplexity = math.exp(min(700.0, float(bits.sum()) * math.log(2) / foretold)) if foretold else None
    return Scores(
        values={"bits_per_byte": float(bits.sum()) / total if total else None, "perplexity": perplexity},
        primary="bits_per_byte",
        greater_is_better=False,
        per_row=bits * len(bits) / max(total, 1.0),
    )
