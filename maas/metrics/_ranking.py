"""The scores of ranked lists."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from maas.metrics._scores import Scores


def ranking_scores(
    truth: Sequence[Collection[str]], lists: Sequence[Sequence[str]], top: int, num_items: int
) -> Scores:
    """Scores of the first `top` places of each list, means over the rows; an item is relevant or it is not.

    With r places whose item is relevant, R relevant items of a row and gain_p = 1 at a place p whose item is relevant:

    - ndcg: sum of gain_p / log2(1 + p), over that of a list that has min(R, top) relevant items in front;
    - recall: r / R;
    - precision: r / top, also where the list is shorter;
    - mrr: 1 / p of the first relevant place, 0 where there is none among the first `top`;
    - coverage: share of all items that stand in any of the lists.

    Args:
        truth: the relevant items of each row, at least one.
        lists: the answer to each row, best first, without repeats.
        top: how many places count.
        num_items: how many items there are.

    Source: Jarvelin and Kekalainen 2002, Cumulated gain-based evaluation of IR techniques, with binary gains and
    discounts from place 2 on as in Wang et al. 2013; Manning, Raghavan and Schuetze 2008, chapter 8.
    """
    discounts = 1 / np.log2(np.arange(2, top + 2))  # (top,)
    gains = np.zeros((len(lists), top))
    for row, (relevant, ranked) in enumerate(zip(truth, lists, strict=True)):
        known = set(relevant)
        gains[row, : len(ranked[:top])] = [item in known for item in ranked[:top]]
    counts = np.array([len(set(relevant)) for relevant in truth], np.float64)
    ideal = np.cumsum(discounts)[np.minimum(counts, top).astype(np.int64) - 1]
    ndcg = (gains @ discounts) / ideal
    hits = gains.sum(axis=1)
    first = np.where(hits > 0, 1 / (gains.argmax(axis=1) + 1), 0.0)
    shown = {item for ranked in lists for item in ranked[:top]}
    return Scores(
        values={
            f"ndcg@{top}": float(ndcg.mean()),
            f"recall@{top}": float((hits / counts).mean()),
            f"precision@{top}": float((hits / top).mean()),
            f"mrr@{top}": float(first.mean()),
            "coverage": len(shown) / num_items,
        },
        primary=f"ndcg@{top}",
        greater_is_better=True,
        per_row=ndcg,
    )
