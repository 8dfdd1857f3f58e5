"""Rows with named fields: what every source gives and what everything after it takes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from maas.data._folds import fold_rows
from maas.data._split import Policy, Split, row_digests, split_rows
from maas.data._split_within import split_items
from maas.errors import DataError
from maas.schema import Columns, Schema

_MOST_VALUES = 100
_LONGEST_VALUE = 200


@dataclass(frozen=True)
class Rows:
    """Columns of equal length, what they mean, and what is to be predicted from them.

    Args:
        schema: the fields a network may see.
        columns: their values, in the canonical form of `maas.schema.Columns`.
        target: one value a row: float64 for a regression, else an object array of str, int or bool; for several labels
            a row, and for a ranking the items of a user, of tuples of str; for a forecast float64 of shape (rows,
            horizon) or (rows, horizon, channels). None when the rows have no target.
        target_name: the target's column name.
        task: "classification", "regression", "multilabel", "anomaly", "forecast", "ranking" or "generation"; None when
            there is no target.
        side: columns kept out of the network, still there for `split(group=..., time=...)`. Those of a ranking hold an
            array a row, with an entry for each item of its target.
        policy: how these rows were split off, so that a validation part is carved out the same way.
        source: where the rows came from, for people.
        span: names of the two side columns that say when what a row predicts begins and ends, for rows whose targets
            reach over time. They are split by time where nothing else is said.
    """

    schema: Schema
    columns: Columns
    target: np.ndarray[Any, Any] | None = None
    target_name: str = "target"
    task: str | None = None
    side: Mapping[str, np.ndarray[Any, Any]] = field(default_factory=dict)
    policy: Policy | None = None
    source: str = ""
    span: tuple[str, str] | None = None

    def __len__(self) -> int:
        return len(self.columns[self.schema.names[0]])

    def __repr__(self) -> str:
        to = f" -> {self.target_name} ({self.task})" if self.task else ""
        return f"Rows({len(self):,} x {len(self.schema.fields)} fields{to})"

    def take(self, index: Sequence[int] | np.ndarray[Any, Any]) -> Rows:
        """The rows at these positions, in this order."""
        chosen = np.asarray(index, np.intp)
        return replace(
            self,
            columns={name: column[chosen] for name, column in self.columns.items()},
            target=None if self.target is None else self.target[chosen],
            side={name: column[chosen] for name, column in self.side.items()},
        )

    def split(
        self,
        test: float = 0.2,
        *,
        seed: int = 0,
        stratify: bool | None = None,
        group: str | None = None,
        time: str | None = None,
        within: str | None = None,
    ) -> Split:
        """Split into two parts: `train, test = rows.split(test=0.2, seed=0)`.

        Warns when rows of one part stand in the other too, for then the test measures memory. The counts are in
        the result's `.report`; `drop_duplicates` removes them.

        Args:
            test: share of rows in the second part, between 0 and 1. With `group`, of groups.
            seed: the split is a pure function of the rows and this number.
            stratify: keep the shares of the classes. By default: yes for a classification, or an anomaly's labels, in
                which every class has at least two rows, and each part room for every class. Several labels a row
                have no classes to keep the shares of: such rows are split at random.
            group: name of a column whose equal values must not be torn apart (a patient, a machine).
            time: name of a column to split by: the last rows are the second part, and no row of the first is
                as late as any of the second. Rows with a `span` are split by its beginning unless `group` is given,
                and those whose target reaches into the second part's first moment are left out of both.
            within: name of a column: of the rows of each of its values, a user's ratings say, the share is drawn.

        Rows of a ranking are one a user, and it is their items that are split: within each user at random, or by
        `time`; users of whom nothing is known before that moment are left out.

        Raises:
            DataError: the share, the column or the number of rows allows no such split.
        """
        policy = Policy(seed=seed, stratify=stratify, group=group, time=time, within=within, split_from=self._origin())
        if self.task == "ranking":
            return split_items(self, test, policy)
        if self.span is not None and group is None and time is None and within is None:
            policy = replace(policy, time=self.span[0])
        return split_rows(self, test, policy)

    def folds(
        self,
        folds: int = 5,
        *,
        seed: int = 0,
        stratify: bool | None = None,
        group: str | None = None,
        time: str | None = None,
    ) -> tuple[Split, ...]:
        """Cut into folds: `for train, test in rows.folds(5, seed=0): ...`.

        Each row is tested once, by what is learned from the rows of all other folds. By time, of folds + 1 stretches
        each but the first is tested once, by what is learned from those before it only. Warns once when test rows
        stand in their training parts too. Where nothing is said, rows that were split off by group or by time are cut
        into folds the same way.

        Args:
            folds: how many, at least 2.
            seed: the folds are a pure function of the rows and this number.
            stratify: keep the shares of the classes, within one row. By default yes for a classification; for an
                anomaly's labels where each has a row for every fold.
            group, time: as in `split`.

        Raises:
            DataError: there are too few rows, rows of a class, groups or times for so many folds; or the rows are a
                ranking's.
        """
        policy = Policy(seed=seed, stratify=stratify, group=group, time=time, split_from=self._origin())
        if stratify is None and group is None and time is None:
            if self.policy is not None:
                policy = replace(policy, group=self.policy.group, time=self.policy.time)
            if self.span is not None and policy.group is None:
                policy = replace(policy, time=policy.time or self.span[0])
        return fold_rows(self, folds, policy)

    def observed(self) -> Rows:
        """The same rows, their schema saying of each field the range, or the categories, that these rows show."""
        fields = []
        for one in self.schema.fields:
            column = self.columns[one.name]
            if one.dtype == "number" and column.dtype != object and np.isfinite(column).any():
                one = replace(one, range=(float(np.nanmin(column)), float(np.nanmax(column))))
            elif one.kind == "categorical":  # other labels name users, whom a description must not list, and items
                values = sorted({cell for cell in column if cell is not None and len(cell) <= _LONGEST_VALUE})
                one = replace(one, values=tuple(values[:_MOST_VALUES]))
            fields.append(one)
        return replace(self, schema=Schema(tuple(fields)))

    def drop_duplicates(self, alike: Callable[[Columns], Columns] | None = None) -> Rows:
        """Without rows that repeat an earlier one, and without any row whose copies disagree on the target.

        Args:
            alike: columns to what two rows are compared by, where a preprocessing will make different rows the same:
                two tweets that differ in their links only, say. The rows that are kept stay as they are.

        Raises:
            DataError: no row is left.
        """
        seen = self if alike is None else replace(self, columns=alike(self.columns))
        inputs = row_digests(seen, with_target=False)
        whole = row_digests(seen, with_target=True)
        targets: dict[bytes, set[bytes]] = {}
        for one, both in zip(inputs, whole, strict=True):
            targets.setdefault(one, set()).add(both)
        first: set[bytes] = set()
        keep = []
        for index, one in enumerate(inputs):
            if one not in first and len(targets[one]) == 1:
                keep.append(index)
            first.add(one)
        if not keep:
            raise DataError("no row is left: every row has a copy with another target")
        return self.take(keep)

    def to_dicts(self) -> list[dict[str, Any]]:
        """One dict a row, as a client would write it in JSON; optional fields that are null are left out."""
        fields = [(one, self.columns[one.name]) for one in self.schema.fields]
        return [
            {
                one.name: one.to_python(column[index])
                for one, column in fields
                if not (one.optional and column[index] is None)
            }
            for index in range(len(self))
        ]

    def fingerprint(self) -> str:
        """SHA-256 over names, values and targets, in order: the identity of these rows."""
        digest = hashlib.sha256(repr([*self.schema.names, self.target_name]).encode())
        for one in row_digests(self, with_target=True):
            digest.update(one)
        return digest.hexdigest()

    def _origin(self) -> str:
        """The fingerprint of the rows that these were split off, or their own."""
        return (self.policy and self.policy.split_from) or self.fingerprint()
