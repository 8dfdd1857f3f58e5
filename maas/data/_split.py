"""Splitting rows honestly, and saying which rows stand on both sides."""

from __future__ import annotations

import hashlib
import math
import warnings
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from maas.errors import DataError, show

if TYPE_CHECKING:
    from maas.data._rows import Rows


OF_CLASSES = ("classification", "anomaly")


@dataclass(frozen=True)
class Policy:
    """How rows are split: at random, by class, by group, by time or within each value. See `Rows.split`.

    `split_from` is the fingerprint of the rows that were split; where a part was split once more, of those at first.
    """

    seed: int = 0
    stratify: bool | None = None
    group: str | None = None
    time: str | None = None
    within: str | None = None
    split_from: str | None = None

    @property
    def kind(self) -> str:
        """The kind of the split, as a card names it."""
        if self.within is not None:
            return f"random within each {self.within}"
        if self.time is not None:
            return f"by time ({self.time})"
        if self.group is not None:
            return f"by group ({self.group})"
        return "stratified" if self.stratify else "random"


@dataclass(frozen=True)
class SplitReport:
    """What a split did.

    Args:
        kind: "random", "stratified", "by group (...)", "by time (...)" or "random within each ...".
        num_train, num_test: rows in each part; for a ranking interactions.
        num_duplicates: rows of the test part whose inputs stand in the training part too.
        num_conflicts: those of them whose target differs there.
        num_left_out: those of neither part.
        unit: what is counted.
        why_left_out: what those of neither part do.
    """

    kind: str
    num_train: int
    num_test: int
    num_duplicates: int
    num_conflicts: int
    num_left_out: int = 0
    unit: str = "rows"
    why_left_out: str = "reach over the boundary"

    def __str__(self) -> str:
        text = f"{self.kind} split: {self.num_train:,} training {self.unit}, {self.num_test:,} test {self.unit}"
        if self.num_duplicates:
            text += f"; {self.num_duplicates:,} test {self.unit} stand in training too"
            text += f", {self.num_conflicts:,} of them with another target" if self.num_conflicts else ""
        if self.num_left_out:
            text += f"; {self.num_left_out:,} {self.unit} {self.why_left_out} and are in neither"
        return text


class Split(tuple["Rows", "Rows"]):
    """The two parts of a split, `train, test = ...`, with a report on it.

    Attributes:
        report: counts of rows and of duplicates across the split.
    """

    report: SplitReport

    def __new__(cls, train: Rows, test: Rows, report: SplitReport) -> Split:
        split = super().__new__(cls, (train, test))
        split.report = report
        return split


def split_rows(rows: Rows, share: float, policy: Policy) -> Split:
    """The work behind `Rows.split`."""
    check_share(share, "rows")
    check_seed(policy.seed)
    if len(rows) < 2:
        raise DataError(f"a split needs at least 2 rows, got {len(rows)}")
    if sum(one is not None for one in (policy.time, policy.group, policy.within)) > 1:
        raise DataError("split by `group`, by `time` or `within` each value of a column, not by several")
    if policy.time is not None:
        late = late_of(column_of(rows, policy.time, "time"), share)
    elif policy.within is not None:
        names = [repr(value) for value in column_of(rows, policy.within, "within")]
        late = drawn_within(np.unique(names, return_inverse=True)[1], share, policy.seed)
    elif policy.group is not None:
        late = _grouped(column_of(rows, policy.group, "group"), share, policy.seed)
    else:
        policy = replace(policy, stratify=_stratify(rows, share, policy.stratify))
        late = _shuffled(rows, share, policy)
    early = ~late
    if rows.span is not None and policy.time == rows.span[0]:
        early &= ended_before(rows, rows.span, late)
    train, test = rows.take(np.flatnonzero(early)), rows.take(np.flatnonzero(late))
    num_duplicates, num_conflicts = duplicates(train, test)
    left_out = len(rows) - len(train) - len(test)
    report = SplitReport(policy.kind, len(train), len(test), num_duplicates, num_conflicts, left_out)
    if num_duplicates:
        warnings.warn(
            f"{report}: such rows measure memory, not skill; remove them with rows.drop_duplicates() before the split",
            stacklevel=3,
        )
    return Split(replace(train, policy=policy), replace(test, policy=policy), report)


def duplicates(train: Rows, test: Rows) -> tuple[int, int]:
    """How many rows of `test` have inputs that stand in `train` too, and how many of those have another target.

    Of a ranking: how many are to find an item that the same user's row is to find in `train`.
    """
    if train.schema.names != test.schema.names:
        raise DataError(f"rows of different fields cannot be compared: {train.schema.names}, {test.schema.names}")
    if train.task == "ranking" and train.target is not None and test.target is not None:
        user = next(field.name for field in train.schema.fields if field.kind == "user")
        taught = {(name, item) for name, items in zip(train.columns[user], train.target, strict=True) for item in items}
        asked = zip(test.columns[user], test.target, strict=True)
        return sum(any((name, item) in taught for item in items) for name, items in asked if name is not None), 0
    inputs = set(row_digests(train, with_target=False))
    known = [index for index, one in enumerate(row_digests(test, with_target=False)) if one in inputs]
    if not known or train.target is None or test.target is None:
        return len(known), 0
    whole = set(row_digests(train, with_target=True))
    return len(known), sum(one not in whole for one in row_digests(test.take(known), with_target=True))


def row_digests(rows: Rows, *, with_target: bool) -> list[bytes]:
    """One digest a row, equal for equal rows."""
    columns = [rows.columns[name] for name in rows.schema.names]
    numbers = [column.reshape(len(rows), math.prod(column.shape[1:])) for column in columns if column.dtype != object]
    # Adding 0.0 makes -0.0 and 0.0 the same bytes.
    matrix = np.ascontiguousarray(np.concatenate(numbers, axis=1) + 0.0) if numbers else np.zeros((len(rows), 0))
    others = [column for column in columns if column.dtype == object]
    if with_target and rows.target is not None:
        others.append(rows.target)
    digests = []
    for index in range(len(rows)):
        digest = hashlib.blake2b(matrix[index].tobytes(), digest_size=16)
        for column in others:
            digest.update(_cell(column[index]))
        digests.append(digest.digest())
    return digests


def _cell(value: Any) -> bytes:
    if isinstance(value, bytes):
        return b"b%d:" % len(value) + value
    if isinstance(value, np.ndarray):
        return repr((value.shape, value.dtype.str)).encode() + np.ascontiguousarray(value).tobytes()
    if isinstance(value, np.generic):
        value = value.item()  # numpy 1 and 2 write their scalars differently
    return (type(value).__name__ + repr(value) + "\0").encode("utf-8", "surrogatepass")


def column_of(rows: Rows, name: str, role: str) -> np.ndarray[Any, Any]:
    """A field or a side column of rows; `role` is the argument that names it."""
    column = rows.columns.get(name, rows.side.get(name))
    if column is None:
        known = ", ".join([*rows.schema.names, *rows.side])
        raise DataError(f"`{role}` names no column: got {show(name)}, there are {known}")
    return column


def check_share(share: Any, unit: str) -> None:
    """Raise DataError for what is no share of rows, or of another unit, that a second part can have."""
    if not isinstance(share, (int, float, np.number)) or not 0 < share < 1:
        raise DataError(f"`test` is a share of the {unit}, between 0 and 1, got {show(share)}")


def check_seed(seed: Any) -> None:
    """Raise DataError for what numpy and torch do not both take for a seed."""
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**63:
        raise DataError(f"`seed` must be an integer from 0 to below 2**63, got {show(seed)}")


def drawn_within(codes: np.ndarray[Any, Any], share: float, seed: int) -> np.ndarray[Any, Any]:
    """Which entries are drawn, at random, out of those of each code: bool of shape (entries,).

    Of n entries round(share x n), and never all of them.

    Args:
        codes: int64 of shape (entries,), from 0.
    """
    order = np.lexsort((np.random.default_rng(seed).random(len(codes)), codes))
    counts = np.bincount(codes)
    place = np.empty(len(codes), np.int64)
    place[order] = np.arange(len(codes)) - np.repeat(np.cumsum(counts) - counts, counts)
    drawn: np.ndarray[Any, Any] = place < np.minimum(np.round(counts * share), counts - 1)[codes]
    if not drawn.any():
        raise DataError(f"every part is too small to take a share of {share:g} out of; give a larger share")
    return drawn


def late_of(times: np.ndarray[Any, Any], share: float) -> np.ndarray[Any, Any]:
    """Which of these moments are among the last share of them, bool; equal ones are never torn apart."""
    check_times(times)
    ordered = np.sort(times)
    boundary = ordered[min(len(times) - 1, round(len(times) * (1 - share)))]
    late = np.asarray(times >= boundary, bool)
    if late.all():  # the boundary's moment is also the first one: move to the next moment
        later = ordered[ordered > boundary]
        if not len(later):
            raise DataError("every row has the same time; there is nothing to split by")
        late = np.asarray(times >= later[0], bool)
    return late


def check_times(times: np.ndarray[Any, Any]) -> None:
    """Raise DataError for what has no order in time."""
    if any(isinstance(value, str) for value in times):
        raise DataError(
            "the column to split by time holds text, and text sorts by its letters: give ISO 8601 dates "
            "(2024-01-31, 2024-01-31T12:00) or numbers"
        )
    if any(value is None or value != value for value in times):
        raise DataError("the column to split by time has missing values")


def ended_before(rows: Rows, span: tuple[str, str], late: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Whether what a row predicts was over before anything that the late rows predict began, bool of shape (rows,)."""
    begins, ends = (column_of(rows, name, "time") for name in span)
    ended = np.asarray(ends < begins[late].min(), bool)
    if not ended.any():
        raise DataError(
            "no row is left to learn from: the target of every earlier row reaches into the second part; give more "
            "rows, a shorter horizon, or a smaller share"
        )
    return ended


def _grouped(groups: np.ndarray[Any, Any], share: float, seed: int) -> np.ndarray[Any, Any]:
    names, member = np.unique(np.array([repr(value) for value in groups]), return_inverse=True)
    if len(names) < 2:
        raise DataError("every row is in the same group; there is nothing to split by")
    chosen = np.random.default_rng(seed).permutation(len(names))[: _count(len(names), share)]
    return np.isin(member, chosen)


def _count(length: int, share: float) -> int:
    return min(length - 1, max(1, round(length * share)))


def _stratify(rows: Rows, share: float, wish: bool | None) -> bool:
    if wish is False or rows.target is None or (wish is None and rows.task not in OF_CLASSES):
        if wish:
            raise DataError("`stratify` needs a target")
        return False
    if rows.task not in OF_CLASSES:
        raise DataError(f"`stratify` keeps the shares of classes; the target of a {rows.task} has none")
    counts = Counter(rows.target.tolist())
    rare = [label for label, count in counts.items() if count < 2]
    room = min(_count(len(rows), share), len(rows) - _count(len(rows), share)) >= len(counts)
    if wish and (rare or not room):
        raise DataError(
            f"`stratify` needs two rows of each class and a part as large as the number of classes ({len(counts)}); "
            f"classes with one row: {', '.join(map(show, rare)) or 'none'}"
        )
    return not rare and room


def _shuffled(rows: Rows, share: float, policy: Policy) -> np.ndarray[Any, Any]:
    from sklearn.model_selection import train_test_split

    labels = [repr(value) for value in rows.target] if policy.stratify and rows.target is not None else None
    _, chosen = train_test_split(
        np.arange(len(rows)),
        test_size=_count(len(rows), share),
        random_state=policy.seed % 2**32,
        stratify=labels,
    )
    late = np.zeros(len(rows), bool)
    late[chosen] = True
    if rows.task == "classification" and rows.target is not None:
        counts = Counter(rows.target.tolist())
        alone = np.array([counts[label] == 1 for label in rows.target.tolist()])
        if not (late & ~alone).any():
            raise DataError("every class has one row only; there is nothing to split by")
        late &= ~alone  # a class of one row can be learned or tested, and untaught it cannot be known
    return late
