"""Splitting the items of users: at random within each user, or by one moment for all."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from maas.data._split import Policy, Split, SplitReport, check_seed, check_share, drawn_within, late_of
from maas.errors import DataError, show

if TYPE_CHECKING:
    from maas.data._rows import Rows


def split_items(rows: Rows, share: float, policy: Policy) -> Split:
    """The work behind `Rows.split` where the rows are a ranking's.

    In both parts the column of items is what is known of a user by then: what the first part keeps. The first part's
    target is the same, the second part's what was held out.
    """
    check_share(share, "interactions")
    check_seed(policy.seed)
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
    rows = _knowing(rows, ~late, counts)
    train = replace(_part(rows, ~late, counts), policy=policy)
    test = replace(_part(rows, late & known_users[row_of], counts), policy=policy)
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


def _knowing(rows: Rows, early: np.ndarray[Any, Any], counts: np.ndarray[Any, Any]) -> Rows:
    """The rows with what is known of each user: their early items, and any that they are not to be asked about."""
    name = next(field.name for field in rows.schema.fields if field.kind == "items")
    known = np.empty(len(rows), object)
    assert rows.target is not None
    for row, mask in enumerate(np.split(early, np.cumsum(counts)[:-1])):
        items, before = rows.target[row], rows.columns[name][row] or ()
        asked = set(items)
        kept = (item for item, chosen in zip(items, mask.tolist(), strict=True) if chosen)
        known[row] = (*(item for item in before if item not in asked), *kept)
    return replace(rows, columns={**rows.columns, name: known})


def _part(rows: Rows, chosen: np.ndarray[Any, Any], counts: np.ndarray[Any, Any]) -> Rows:
    """The rows with the chosen ones of their interactions, without rows that have none."""
    masks = np.split(chosen, np.cumsum(counts)[:-1])
    kept = [row for row, mask in enumerate(masks) if mask.any()]
    target = np.empty(len(kept), object)
    side = {name: np.empty(len(kept), object) for name in rows.side}
    assert rows.target is not None
    for place, row in enumerate(kept):
        chosen_here = np.flatnonzero(masks[row])
        target[place] = tuple(rows.target[row][index] for index in chosen_here)
        for name, column in rows.side.items():
            side[name][place] = column[row][chosen_here]
    return replace(rows.take(kept), target=target, side=side)
