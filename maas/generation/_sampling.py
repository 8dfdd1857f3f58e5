"""The next tokens out of logits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from maas.generation._request import Request

_LIKELIEST = 512  # tokens that are looked at first for a `top_p`


@dataclass(frozen=True)
class Draw:
    """Whose token is to be picked.

    Args:
        request: how to choose.
        seed: of the draws.
        added: the tokens that were picked before.
    """

    request: Request
    seed: int
    added: Sequence[int]


def pick(logits: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
    """The next token of each row, int64 of shape (rows,).

    A row's token is a function of its logits and its draw: a random number goes by the seed and by how many tokens were
    picked before, so that neighbours, chunks and resumption change nothing.

    Args:
        logits: float32 of shape (rows, vocabulary).
        draws: one a row.
    """
    if any(one.request.repetition_penalty != 1 for one in draws):
        logits = torch.stack([_penalised(row, one) for row, one in zip(logits, draws, strict=True)])
    tokens = logits.argmax(-1)
    kinds = [(one.request.top_k, one.request.top_p < 1) if one.request.temperature else None for one in draws]
    for kind in set(kinds) - {None}:
        rows = [row for row, one in enumerate(kinds) if one == kind]
        at = torch.tensor(rows, device=logits.device)
        tokens[at] = _sampled(logits[at], [draws[row] for row in rows])
    return tokens


def _penalised(logits: torch.Tensor, draw: Draw) -> torch.Tensor:
    penalty = draw.request.repetition_penalty
    if penalty == 1:
        return logits
    seen = torch.tensor([*draw.request.tokens, *draw.added], device=logits.device)
    some = logits[seen]
    return logits.index_copy(0, seen, torch.where(some > 0, some / penalty, some * penalty))


def _sampled(logits: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
    """Temperature, then the `top_k` likeliest, then the likeliest of these up to `top_p`, of which one is drawn.

    All draws have the same `top_k`, and either all or none have a `top_p` below 1.
    """
    requests = [one.request for one in draws]
    uniform = [np.random.Generator(np.random.Philox(key=one.seed, counter=len(one.added))).random() for one in draws]
    temperature, top_p, draw = torch.tensor(
        [[one.temperature for one in requests], [one.top_p for one in requests], uniform], dtype=torch.float32
    ).to(logits.device)[:, :, None]
    scaled, top_k = logits / temperature, requests[0].top_k
    if 0 < top_k < logits.shape[1]:
        values, order = scaled.topk(top_k)
        shares = values.softmax(-1)
    elif requests[0].top_p < 1:
        shares, order = _likeliest(scaled.softmax(-1), top_p)
    else:
        shares, order = scaled.softmax(-1), None
    if requests[0].top_p < 1:  # the likeliest stays: nothing is before it
        shares = shares.masked_fill(shares.cumsum(-1) - shares >= top_p, 0)
    total = shares.cumsum(-1)
    places = torch.searchsorted(total, draw * total[:, -1:], right=True).clamp(max=shares.shape[1] - 1)
    places = torch.where(shares.gather(1, places) > 0, places, shares.argmax(-1, keepdim=True))  # where rounding led on
    return (places if order is None else order.gather(1, places))[:, 0]


def _likeliest(shares: torch.Tensor, top_p: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """As many of the likeliest as reach `top_p`, in order, and where they stood: sorting them all would take long."""
    count = min(_LIKELIEST, shares.shape[1])
    values, order = shares.topk(count)
    while count < shares.shape[1] and bool((values.sum(-1, keepdim=True) < top_p).any()):
        count = min(8 * count, shares.shape[1])
        values, order = shares.topk(count)
    return values, order
