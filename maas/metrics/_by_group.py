"""The score of each group of rows, and its gap to that of all other rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import Any

import numpy as np

from maas.metrics._groups import FEWEST_OF_A_KIND, FEWEST_ROWS, Grouping, GroupScore
from maas.metrics._intervals import (
    as_score,
    clipped,
    ends,
    gap_interval,
    is_share,
    resampled_means,
    score_interval,
    score_of,
    share_gap_interval,
    wilson,
)
from maas.metrics._scores import Scores

_Array = np.ndarray[Any, Any]
_LEVEL = 0.95
_SAME = 1e-6

ScoreRows = Callable[[_Array], Scores]
"""The scores of the rows at these positions alone."""


def by_group(name: str, values: _Array, scores: Scores, score_rows: ScoreRows | None = None) -> Grouping:
    """The primary score of each group of rows, and its gap to that of all other rows.

    Where several groups are compared, some gap is wide by chance: the intervals of the gaps are widened so that all of
    them hold at once with 95 % (Bonferroni). Groups whose target varies more have a larger error for that reason alone.

    Args:
        name: the column's.
        values: the group of each row as text, an object array of shape (rows,).
        scores: of the same rows.
        score_rows: scores some of the rows; None where a group's score comes from `scores.per_row` of its rows alone,
            as a mean over rows does and an area under a curve does not.
    """
    names = sorted(set(values.tolist()))
    places = {value: index for index, value in enumerate(names)}
    place = np.array([places[value] for value in values.tolist()])
    groups = [np.flatnonzero(place == index) for index in range(len(names))]
    rows = len(values)
    can = [min(len(group), rows - len(group)) >= FEWEST_ROWS for group in groups]
    level = 1 - (1 - _LEVEL) / (1 if len(groups) == 2 else max(1, sum(can)))
    own = None if score_rows is None else [score_rows(group) for group in groups]
    if score_rows is None or own is None or _adds_up(scores, own, groups):
        found = _added_up(names, [scores.per_row[group] for group in groups], scores, can, level)
    else:
        rests = [np.flatnonzero(place != index) for index in range(len(names))]
        rest = [score_rows(others) if len(others) else None for others in rests]
        found = [
            _apart(*one, scores=scores, level=level if judged else None)
            for *one, judged in zip(names, own, rest, can, strict=True)
        ]
    found.sort(key=lambda one: (one.gap_low is None, one.gap is None, -(one.gap or 0.0), one.value))
    return Grouping(name, scores.primary, tuple(found))


def _adds_up(scores: Scores, own: Sequence[Scores], groups: Sequence[_Array]) -> bool:
    """Whether each group's score is what its rows add to that of all rows."""
    return all(
        one.primary == scores.primary
        and math.isclose(
            score_of(one.per_row, one.aggregate),
            score_of(scores.per_row[group], scores.aggregate),
            rel_tol=_SAME,
            abs_tol=1e-12,
        )
        for one, group in zip(own, groups, strict=True)
    )


def _added_up(
    names: Sequence[str], parts: Sequence[_Array], scores: Scores, can: Sequence[bool], level: float
) -> list[GroupScore]:
    """Groups whose score comes from what each of their rows adds."""
    rows, total = len(scores.per_row), float(scores.per_row.sum())
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
        gap, interval = None, None
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
        found.append(GroupScore(names[index], len(part), mine, low, high, gap, *(interval or ())))
    return found


def _apart(value: str, own: Scores, rest: Scores | None, *, scores: Scores, level: float | None) -> GroupScore:
    """A group whose score is that of its rows alone: normal intervals, out of what each row adds to it (delta method).

    Where each row adds all or nothing, a perfect area under a curve say, rows have no variance, and Wilson's stands in.

    A group in which the score is not defined, an area under a curve among rows of one class, say, has none.
    """
    rows = len(own.per_row)
    if own.primary != scores.primary or own.values[own.primary] is None:
        return GroupScore(value, rows)
    mine = score_of(own.per_row, own.aggregate)
    low, high = _own_interval(own, _LEVEL)
    if rest is None or rest.primary != scores.primary or rest.values[rest.primary] is None:
        return GroupScore(value, rows, mine, low, high)
    theirs = score_of(rest.per_row, rest.aggregate)
    sign = -1.0 if scores.greater_is_better else 1.0
    gap = sign * (mine - theirs)
    counted = [one.num_counted for one in (own, rest) if one.num_counted is not None]
    if level is None or min(counted, default=FEWEST_OF_A_KIND) < FEWEST_OF_A_KIND:
        return GroupScore(value, rows, mine, low, high, gap)
    ends_of_gap = gap_interval((mine, theirs), _own_interval(own, level), _own_interval(rest, level))
    return GroupScore(value, rows, mine, low, high, gap, *sorted(sign * end for end in ends_of_gap))


def _own_interval(scores: Scores, level: float) -> tuple[float, float]:
    """Of the primary score, taken as a mean of independent rows, or as the root of one."""
    rows, mine = len(scores.per_row), score_of(scores.per_row, scores.aggregate)
    if is_share(scores.per_row, scores.aggregate):
        return wilson(mine, scores.num_counted or rows, level)
    error = float(scores.per_row.std()) / math.sqrt(rows)
    if scores.aggregate == "root_mean":
        error = error / (2 * mine) if mine else 0.0
    reach = NormalDist().inv_cdf((1 + level) / 2) * error
    return clipped(mine - reach, mine + reach) if scores.is_portion else (mine - reach, mine + reach)
