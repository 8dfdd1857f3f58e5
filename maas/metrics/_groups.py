"""Scores by group of rows: who is served worse, as far as the rows can show it."""

from __future__ import annotations

from dataclasses import dataclass

FEWEST_ROWS = 30
FEWEST_OF_A_KIND = 10  # of rows to be told apart, for a normal interval of the area under a curve
_MOST_NAMED = 3


@dataclass(frozen=True)
class GroupScore:
    """The rows of one group.

    Args:
        value: what they have in common.
        num_rows: how many there are.
        score: their primary score, None where it is not defined for them.
        low, high: its 95 % interval.
        gap: by how much they are served worse than all other rows; below 0: better. None where a score is.
        gap_low, gap_high: interval of the gap, None where the group, or the rest, has fewer than 30 rows, or for an
            area under a curve fewer than 10 of a kind.
    """

    value: str
    num_rows: int
    score: float | None = None
    low: float | None = None
    high: float | None = None
    gap: float | None = None
    gap_low: float | None = None
    gap_high: float | None = None


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
        why = f" or {FEWEST_OF_A_KIND} of a kind" if self._scarce else ""
        why += f" or no {self.primary}" if any(one.score is None for one in self.groups) else ""
        note = f"; {_groups(small)} not judged: fewer than {FEWEST_ROWS} rows{why}" if small else ""
        if not judged:
            kinds = f", {FEWEST_OF_A_KIND} of each kind" if self._scarce else ""
            return f"by {self.name}: no group can be judged: that takes {FEWEST_ROWS} rows{kinds} in it and in the rest"
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

    @property
    def _scarce(self) -> bool:
        """Whether a group is large enough and yet not judged."""
        most = sum(one.num_rows for one in self.groups) - FEWEST_ROWS
        return any(
            one.gap is not None and one.gap_low is None and FEWEST_ROWS <= one.num_rows <= most for one in self.groups
        )


def _groups(count: int) -> str:
    return "1 group" if count == 1 else f"{count:,} groups"


def _interval(one: GroupScore) -> str:
    return f"{one.gap:.3g} ({one.gap_low:.3g} to {one.gap_high:.3g})"
