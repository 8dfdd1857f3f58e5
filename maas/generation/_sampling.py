"""The next token out of logits."""

from __future__ import annotations

import numpy as np
import torch

from maas.generation._request import Request


def pick(logits: torch.Tensor, request: Request, seen: torch.Tensor, seed: int, step: int) -> int:
    """The next token of one row.

    A pure function of its arguments: the draw goes by `seed` and `step`, so that neighbours, chunks and resumption
    change nothing.

    Args:
        logits: float32 of shape (vocabulary,).
        request: how to choose.
        seen: the tokens that stand before, int64; those that `repetition_penalty` makes less likely.
        seed: of the draws.
        step: how many tokens were drawn before.
    """
    if request.repetition_penalty != 1.0:
        some = logits[seen]
        penalty = request.repetition_penalty
        logits = logits.index_copy(0, seen, torch.where(some > 0, some / penalty, some * penalty))
    if request.temperature == 0:
        return int(logits.argmax())
    logits = logits / request.temperature
    if 0 < request.top_k < len(logits):
        least = logits.topk(request.top_k).values[-1]
        logits = logits.masked_fill(logits < least, float("-inf"))
    ordered, order = logits.softmax(0).sort(descending=True, stable=True)
    total = ordered.cumsum(0)
    if request.top_p < 1:
        kept = int((total - ordered < request.top_p).sum())
        total = total[: max(1, kept)]
    draw = np.random.Generator(np.random.Philox(key=seed, counter=step)).random()
    place = int(torch.searchsorted(total, draw * float(total[-1]), right=True))
    return int(order[min(place, len(total) - 1)])
