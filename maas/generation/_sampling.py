"""The next tokens out of logits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from maas.generation._request import Request


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
    for top_k in {one.request.top_k for one in draws if one.request.temperature > 0}:
        rows = [row for row, one in enumerate(draws) if one.request.temperature > 0 and one.request.top_k == top_k]
        at = torch.tensor(rows, device=logits.device)
        tokens[at] = _sampled(logits[at], top_k, [draws[row] for row in rows])
    return tokens


def _penalised(logits: torch.Tensor, draw: Draw) -> torch.Tensor:
    penalty = draw.request.repetition_penalty
    if penalty == 1:
        return logits
    seen = torch.tensor([*draw.request.tokens, *draw.added], device=logits.device)
    some = logits[seen]
    return logits.index_copy(0, seen, torch.where(some > 0, some / penalty, some * penalty))


def _sampled(logits: torch.Tensor, top_k: int, draws: Sequence[Draw]) -> torch.Tensor:
    """Temperature, then the `top_k` likeliest, then the likeliest of these up to `top_p`, of which one is drawn."""
    size = logits.shape[1]
    uniform = [np.random.Generator(np.random.Philox(key=one.seed, counter=len(one.added))).random() for one in draws]
    temperature, top_p, draw = torch.tensor(
        [[one.request.temperature for one in draws], [one.request.top_p for one in draws], uniform],
        dtype=torch.float32,
    ).to(logits.device)[:, :, None]
    scaled = logits / temperature
    values, order = scaled.topk(top_k) if 0 < top_k < size else scaled.sort(descending=True, stable=True)
    shares = values.softmax(-1)
    shares = shares.masked_fill(shares.cumsum(-1) - shares >= top_p, 0)  # the likeliest stays: nothing is before it
    total = shares.cumsum(-1)
    places = torch.searchsorted(total, draw * total[:, -1:], right=True)
    last = (shares > 0).sum(-1, keepdim=True) - 1
    found: torch.Tensor = order.gather(1, torch.minimum(places, last))[:, 0]
    return found
