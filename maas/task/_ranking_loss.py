"""Losses of a ranking: each item that a row is to find against items that its user did not touch."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F

from maas.task._answers import Batch

MASKED = float("-inf")
_DRAWS_SEED = 0
_DEARER = 8  # times that a score of a chosen item costs more than one of all: vectors are gathered for it


def touched(batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows and numbers of the items in the histories, int64, end to end."""
    history, valid = _history(batch)
    return valid.nonzero()[:, 0], history[valid]


def bpr(network: nn.Module, batch: Batch, num_items: int, negatives: int) -> torch.Tensor:
    """Bayesian personalised ranking, of shape (batch,). Source: Rendle et al. 2009, section 4.1."""
    wanted, drawn, counts, valid = _scores(network, batch, num_items, negatives)
    losses = -F.logsigmoid(wanted[:, :, None] - drawn) * counts  # (batch, most, negatives)
    return losses.flatten(1).sum(dim=1) / (valid.sum(dim=1) * negatives)


def pointwise(network: nn.Module, batch: Batch, num_items: int, negatives: int) -> torch.Tensor:
    """Logistic loss of an item to find and of those drawn for it, (batch,). Source: He et al. 2017, equation 7."""
    wanted, drawn, counts, valid = _scores(network, batch, num_items, negatives)
    others = (-F.logsigmoid(-drawn) * counts).sum(dim=2) / negatives
    return ((-F.logsigmoid(wanted) + others) * valid).sum(dim=1) / valid.sum(dim=1)


def softmax(network: nn.Module, batch: Batch, num_items: int, negatives: int) -> torch.Tensor:
    """Multinomial likelihood over all items but those touched otherwise, (batch,). Source: Liang et al. 2018, eq. 2."""
    target = _target(batch, num_items)
    scores = network(**batch.inputs).float()
    valid = target < num_items
    kept = torch.zeros(scores.shape, dtype=torch.bool, device=scores.device)
    kept[valid.nonzero()[:, 0], target[valid]] = True
    rows, items = touched(batch)
    seen = torch.zeros_like(kept)
    seen[rows, items] = True
    shares = F.log_softmax(scores.masked_fill(seen & ~kept, MASKED), dim=1)
    return -torch.where(kept, shares, 0.0).sum(dim=1) / valid.sum(dim=1)


LOSSES: dict[str, Callable[[nn.Module, Batch, int, int], torch.Tensor]] = {
    "bpr": bpr,
    "pointwise": pointwise,
    "softmax": softmax,
}


def _scores(
    network: nn.Module, batch: Batch, num_items: int, negatives: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Scores of the items to find, (batch, most), and of those drawn for each, (batch, most, negatives).

    Then, bool, which of those drawn count, for what was touched does not; and which of those to find are no padding.

    A network whose `forward` has a parameter `candidates` is asked for these alone where they are few, else for
    all.
    """
    target = _target(batch, num_items)
    valid = target < num_items
    # Out of training the same are drawn each time, so that epochs are compared on the same ones.
    generator = None if network.training else torch.Generator(target.device).manual_seed(_DRAWS_SEED)
    shape = (*target.shape, negatives)
    drawn = torch.randint(num_items, shape, generator=generator, device=target.device).flatten(1)
    history, held = _history(batch)
    rising = history.masked_fill(~held, num_items)  # to its end, padding and all
    counts = valid.repeat_interleave(negatives, dim=1) & ~_among(drawn, target) & ~_among(drawn, rising)
    candidates = torch.cat([target.clamp(max=num_items - 1), drawn], dim=1)
    few = candidates.shape[1] * _DEARER < num_items
    if few and "candidates" in inspect.signature(network.forward).parameters:
        scores = network(**batch.inputs, candidates=candidates)
    else:
        scores = network(**batch.inputs).gather(1, candidates)
    wanted, others = scores.float().split([target.shape[1], drawn.shape[1]], dim=1)
    return wanted, others.view(shape), counts.view(shape), valid


def _target(batch: Batch, num_items: int) -> torch.Tensor:
    """The numbers of the items to find, int64, cut to the longest row."""
    assert batch.target is not None
    most = int((batch.target < num_items).sum(dim=1).max())
    return batch.target[:, :most].long()


def _history(batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """The histories, int64 (batch, longest), and which of their places are no padding, bool."""
    history, lengths = batch.inputs["history"], batch.inputs["history_lengths"]
    return history, torch.arange(history.shape[1], device=lengths.device) < lengths[:, None]


def _among(drawn: torch.Tensor, rising: torch.Tensor) -> torch.Tensor:
    """Whether each number stands in its row of the other."""
    places = torch.searchsorted(rising, drawn).clamp(max=rising.shape[1] - 1)
    return rising.gather(1, places) == drawn
