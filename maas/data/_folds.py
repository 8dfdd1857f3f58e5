"""Cutting rows into folds: each is tested by who learned from the others, or by time from those before it."""

from __future__ import annotations

import warnings
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from maas.data._split import (
    OF_CLASSES,
    Policy,
    Split,
    SplitReport,
    check_seed,
    check_times,
    column_of,
    ended_before,
    row_digests,
)
from maas.errors import DataError, show

if TYPE_CHECKING:
    from maas.data._rows import Rows

_Array = np.ndarray[Any, Any]


def fold_rows(rows: Rows, folds: int, policy: Policy) -> tuple[Split, ...]:
    """The work behind `Rows.folds`."""
    if type(folds) is not int or folds < 2:
        raise DataError(
            f"`folds` must be an integer of at least 2, got {show(folds)}; for one test part use rows.split()"
        )
    check_seed(policy.seed)
    if rows.task == "ranking":
        raise DataError(
            "rows of a ranking are one a user, and folds would ask about users of whom nothing is known; split their "
            "items with rows.split(), by several seeds if need be"
        )
    if (policy.group is not None) + (policy.time is not None) + bool(policy.stratify) > 1:
        raise DataError("cut folds by `group`, by `time` or with `stratify`, not by several")
    if len(rows) < folds:
        raise DataError(f"`folds` is {folds}, and there are {len(rows)} rows; give fewer folds")
    if policy.time is not None:
        parts = _by_time(rows, folds, policy.time)
    else:
        if policy.group is not None:
            fold_of = _by_group(column_of(rows, policy.group, "group"), folds, policy.seed)
        else:
            policy = replace(policy, stratify=_stratify(rows, folds, policy.stratify))
            fold_of = _dealt(rows, folds, policy)
        parts = [(fold_of != fold, fold_of == fold) for fold in range(folds)]
    cut = _splits(rows, parts, policy)
    if num_duplicates := sum(one.report.num_duplicates for one in cut):
        warnings.warn(
            f"{policy.kind} folds: {num_duplicates:,} test rows stand in their training parts too; such rows measure "
            f"memory, not skill; remove them with rows.drop_duplicates() first",
            stacklevel=3,
        )
    return cut


def _splits(rows: Rows, parts: list[tuple[_Array, _Array]], policy: Policy) -> tuple[Split, ...]:
    inputs, whole = (row_digests(rows, with_target=with_target) for with_target in (False, True))
    cut = []
    for early, late in parts:
        train, test = np.flatnonzero(early).tolist(), np.flatnonzero(late).tolist()
        known, same = {inputs[row] for row in train}, {whole[row] for row in train}
        copies = [row for row in test if inputs[row] in known]
        report = SplitReport(
            policy.kind,
            len(train),
            len(test),
            len(copies),
            0 if rows.target is None else sum(whole[row] not in same for row in copies),
            len(rows) - len(train) - len(test),
            why_left_out="come later" if rows.span is None else "come later, or reach over the boundary,",
        )
        learning, tested = (replace(rows.take(part), policy=policy) for part in (train, test))
        cut.append(Split(learning, tested, report))
    return tuple(cut)


def _stratify(rows: Rows, folds: int, wish: bool | None) -> bool:
    if rows.target is None or rows.task not in OF_CLASSES:
        if wish:
            raise DataError("`stratify` keeps the shares of classes, and the target of these rows has none")
        return False
    if wish is False:
        return False
    counts = Counter(rows.target.tolist())
    rarest = min(counts, key=lambda label: (counts[label], repr(label)))
    if counts[rarest] >= folds:
        return True
    if wish or rows.task == "classification":
        raise DataError(
            f"`folds` is {folds}, and the class {show(rarest)} has {counts[rarest]} rows: some folds would lack it; "
            f"give fewer folds, more rows of it, or stratify=False"
        )
    return False


def _dealt(rows: Rows, folds: int, policy: Policy) -> _Array:
    """The fold of each row, int64 of shape (rows,): shuffled and dealt like cards, class after class."""
    classes: _Array = np.zeros(len(rows), np.int64)
    if policy.stratify and rows.target is not None:
        classes = np.unique([repr(label) for label in rows.target], return_inverse=True)[1]
    fold_of = np.empty(len(rows), np.int64)
    fold_of[np.lexsort((np.random.default_rng(policy.seed).random(len(rows)), classes))] = np.arange(len(rows)) % folds
    return fold_of


def _by_group(groups: _Array, folds: int, seed: int) -> _Array:
    """The fold of each row: the groups, the largest first, each go to the fold with the fewest rows so far."""
    names, member = np.unique([repr(value) for value in groups], return_inverse=True)
    if len(names) < folds:
        raise DataError(f"`folds` is {folds}, and there are {len(names)} groups; give fewer folds")
    sizes = np.bincount(member)
    order = np.random.default_rng(seed).permutation(len(names))
    num_rows, fold_of_group = np.zeros(folds, np.int64), np.empty(len(names), np.int64)
    for group in order[np.argsort(-sizes[order], kind="stable")]:
        fold_of_group[group] = num_rows.argmin()
        num_rows[fold_of_group[group]] += sizes[group]
    fold_of: _Array = fold_of_group[member]
    return fold_of


def _by_time(rows: Rows, folds: int, name: str) -> list[tuple[_Array, _Array]]:
    """Forward chaining: of folds + 1 stretches of time, about equal in rows, each but the first is tested once.

    What is tested is learned from all stretches before it. Equal moments are never torn apart.
    """
    times = column_of(rows, name, "time")
    check_times(times)
    moments, ordered = np.unique(times), np.sort(times)
    if len(moments) <= folds:
        raise DataError(
            f"`folds` is {folds}, which needs {folds + 1} different times, and there are {len(moments)}; give fewer "
            f"folds"
        )
    size, begins = len(rows) // (folds + 1), np.zeros(folds + 1, np.int64)
    for fold in range(1, folds + 1):
        wanted = np.searchsorted(moments, ordered[len(rows) - (folds + 1 - fold) * size])
        begins[fold] = min(max(wanted, begins[fold - 1] + 1), len(moments) - (folds + 1 - fold))
    stretch_of = np.searchsorted(moments[begins], times, side="right") - 1
    parts = []
    for fold in range(1, folds + 1):
        early, late = stretch_of < fold, stretch_of == fold
        if rows.span is not None and name == rows.span[0]:
            early &= ended_before(rows, rows.span, late)
        parts.append((early, late))
    return parts
