"""Scores by group of rows: who is served worse, as far as the rows can show it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from maas.metrics._intervals import (
    as_score,
    ends,
    is_share,
    resampled_means,
    score_interval,
    score_of,
    share_gap_interval,
)
from maas.metrics._scores import Scores

_Array = np.ndarray[Any, Any]
FEWEST_ROWS = 30
_LEVEL = 0.95
_MOST_NAMED = 3


@dataclass(frozen=True)
class GroupScore:
    """The rows of one group.

    Args:
        value: what they have in common.
        num_rows: how many there are.
        score: their primary score.
        low, high: its 95 % interval.
        gap: by how much they are served worse than all other rows; below 0: better.
        gap_low, gap_high: interval of the gap, None where the group, or the rest, has fewer than 30 rows.
    """

    value: str
    num_rows: int
    score: float
    low: float
    high: float
    gap: float
    gap_low: float | None
    gap_high: float | None


@dataclass(frozen=True)
class Grouping:
    """Scores by the groups of one column, the worst served first, groups too small to judge last.

    Args:
        name: the column's.
        primary: name of the score.
        groups: one entry a group.
    """

    name: str
    primary: str
    groups: tuple[GroupScore, ...]

    @property
    def judged(self) -> tuple[GroupScore, ...]:
        """The groups with rows enough for an interval of their gap."""
        return tuple(one for one in self.groups if one.gap_low is not None)

    @property
    def verdict(self) -> str:
        """Who is served worse, in a plain sentence: those whose interval lies above a gap of 0."""
        judged = self.judged
        small = len(self.groups) - len(judged)
        note = f"; {_groups(small)} of fewer than {FEWEST_ROWS} rows not judged" if small else ""
        if not judged:
            return f"by {self.name}: no group can be judged, that takes {FEWEST_ROWS} rows in it and in the rest"
        worse = [one for one in judged if one.gap_low is not None and one.gap_low > 0]
        if not worse:
            widest = judged[0]
            return (
                f"by {self.name}: no group is shown to be served worse; the widest gap is that of {widest.value}, "
                f"{_interval(widest)}{note}"
            )
        named = "; ".join(f"{one.value}, by {_interval(one)}" for one in worse[:_MOST_NAMED])
        more = f"; and {len(worse) - _MOST_NAMED} more" if len(worse) > _MOST_NAMED else ""
        return f"by {self.name}: served worse than all other rows in {self.primary}: {named}{more}{note}"


def by_group(name: str, values: _Array, scores: Scores) -> Grouping:
    """The primary score of each group of rows, and its gap to that of all other rows.

    Where several groups are compared, some gap is wide by chance: the intervals of the gaps are widened so that all of
    them hold at once with 95 % (Bonferroni). A score is a mean over rows, or the root of one: groups whose target
    varies more have a larger error for that reason alone.

    Args:
        name: the column's.
        values: the group of each row as text, an object array of shape (rows,).
        scores: of the same rows.
    """
    names = sorted(set(values.tolist()))
    places = {value: index for index, value in enumerate(names)}
    place = np.array([places[value] for value in values.tolist()])
    parts = [scores.per_row[place == index] for index in range(len(names))]
    rows = len(scores.per_row)
    total = float(scores.per_row.sum())
    can = [min(len(part), rows - len(part)) >= FEWEST_ROWS for part in parts]
    comparisons = 1 if len(parts) == 2 else max(1, sum(can))
    level = 1 - (1 - _LEVEL) / comparisons
    share = is_share(scores.per_row, scores.aggregate)
    means = None if share else resampled_means(parts)  # (groups, resamples)
    sizes = np.array([len(part) for part in parts])
    sign = -1.0 if scores.greater_is_better else 1.0
    found = []
    for index, part in enumerate(parts):
        if means is None:
            low, high = score_interval(part, level=_LEVEL)
        else:
            low, high = ends(as_score(means[index], scores.aggregate), _LEVEL)
        mine = score_of(part, scores.aggregate)
        gap, interval = 0.0, None
        if others := rows - len(part):
            rest = (total - float(part.sum())) / others
            theirs = max(0.0, rest) ** 0.5 if scores.aggregate == "root_mean" else rest
            gap = sign * (mine - theirs)
        if can[index]:
            if means is None:
                interval = share_gap_interval((mine, theirs), (len(part), others), level)
            else:  # the rest is drawn group by group
                rests = (sizes @ means - sizes[index] * means[index]) / others
                drawn = as_score(means[index], scores.aggregate) - as_score(rests, scores.aggregate)
                interval = ends(drawn, level)
            if sign < 0:
                interval = -interval[1], -interval[0]
        gap_low, gap_high = interval or (None, None)
        found.append(GroupScore(names[index], len(part), mine, low, high, gap, gap_low, gap_high))
    found.sort(key=lambda one: (one.gap_low is None, -one.gap, one.value))
    return Grouping(name, scores.primary, tuple(found))


def _groups(count: int) -> str:
    return "1 group" if count == 1 else f"{count:,} groups"


def _interval(one: GroupScore) -> str:
    return f"{one.gap:.3g} ({one.gap_low:.3g} to {one.gap_high:.3g})"
