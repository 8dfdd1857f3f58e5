"""Splitting the items of users: at random within each user, or by one moment for all."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from maas.data._split import Policy, Split, SplitReport, drawn_within, late_of
from maas.errors import DataError, show

if TYPE_CHECKING:
    from maas.data._rows import Rows


def split_items(rows: Rows, share: float, policy: Policy) -> Split:
    """The work behind `Rows.split` where the rows are a ranking's.

    The first part's rows show the items they keep, in the column of items as in the target. The second part's rows name
    the user only: what is known of them is what the first part holds, and the target is what was held out.
    """
    if not 0 < share < 1:
        raise DataError(f"`test` is a share of the interactions, between 0 and 1, got {show(share)}")
    for name in ("group", "within", "stratify"):
        if getattr(policy, name):
            raise DataError(f"rows of a ranking are split within each user or by `time`, not by `{name}`")
    assert rows.target is not None
    counts = np.array([len(items) for items in rows.target], np.int64)
    row_of = np.repeat(np.arange(len(rows)), counts)
    if policy.time is None:
        late = drawn_within(row_of, share, policy.seed)
    else:
        if policy.time not in rows.side:
            known = ", ".join(rows.side) or "none; read them with maas.data.read_interactions(..., time=...)"
            raise DataError(f"`time` names no column: got {show(policy.time)}, there are {known}")
        late = late_of(np.concatenate(list(rows.side[policy.time])), share)
    known_users = np.bincount(row_of[~late], minlength=len(rows)) > 0
    if not (late & known_users[row_of]).any():
        raise DataError("no user has interactions in both parts: the second part would have nobody to ask about")
    train = _part(rows, ~late, counts, replace(policy, stratify=None))
    test = _part(rows, late & known_users[row_of], counts, replace(policy, stratify=None))
    items = next(field.name for field in rows.schema.fields if field.kind == "items")
    nobody = np.empty(len(test), object)
    test = replace(test, columns={**test.columns, items: nobody})
    num_left_out = int((late & ~known_users[row_of]).sum())
    report = SplitReport(
        policy.kind if policy.time is not None else "random within each user",
        int((~late).sum()),
        int(late.sum()) - num_left_out,
        0,  # an item stands once among those of a user, so it falls on one side
        0,
        num_left_out,
        "interactions",
        "are of users unknown before",
    )
    return Split(train, test, report)


def _part(rows: Rows, chosen: np.ndarray[Any, Any], counts: np.ndarray[Any, Any], policy: Policy) -> Rows:
    """The rows with the chosen ones of their interactions, without rows that have none."""
    masks = np.split(chosen, np.cumsum(counts)[:-1])
    kept = [row for row, mask in enumerate(masks) if mask.any()]
    target, items = np.empty(len(kept), object), np.empty(len(kept), object)
    side = {name: np.empty(len(kept), object) for name in rows.side}
    assert rows.target is not None
    for place, row in enumerate(kept):
        chosen_here = np.flatnonzero(masks[row])
        target[place] = items[place] = tuple(rows.target[row][index] for index in chosen_here)
        for name, column in rows.side.items():
            side[name][place] = column[row][chosen_here]
    name = next(field.name for field in rows.schema.fields if field.kind == "items")
    part = rows.take(kept)
    return replace(part, columns={**part.columns, name: items}, target=target, side=side, policy=policy)
