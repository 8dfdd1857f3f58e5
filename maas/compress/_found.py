"""What a search found: its candidates, which of them are on a front, which one is chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from maas.compress._measure import Measured
from maas.compress._stored import read_search
from maas.compress._text import as_text
from maas.errors import CompressionError
from maas.model import Model

_SAME_SIZE = 1.01


@dataclass(frozen=True)
class Candidate:
    """A line of the table.

    Args:
        name: what was done, such as "pruned 0.5 + int8".
        score: the primary score on the rows that judge; None where it was skipped.
        drop: by how much that is worse than the model's as it is; an error's by its share.
        measured: what it takes.
        skipped: why it could not be tried.
    """

    name: str
    score: float | None = None
    drop: float | None = None
    measured: Measured | None = None
    skipped: str | None = None


@dataclass(frozen=True)
class Unseen:
    """The primary score on rows that had no say in the choice.

    Args:
        before, after: of the model as it is, and of the best.
        num_rows, fingerprint: of those rows.
    """

    before: float
    after: float
    num_rows: int
    fingerprint: str


@dataclass(frozen=True)
class Search:
    """What `search` found; `str` of it is a table.

    Args:
        primary: name of the score that judges.
        greater_is_better: whether it is one to raise.
        max_drop: by how much it may be worse.
        optimize: "latency" or "size".
        num_rows, fingerprint: of the rows that judge.
        machine: on which it was measured, and with how many threads.
        candidates: the model as it is, then those tried or skipped.
        tested: scores on other rows, where such were given.
        made: the best candidate's model; None where that is the model as it is, or the search was read from a card.
    """

    primary: str
    greater_is_better: bool
    max_drop: float
    optimize: str
    num_rows: int
    fingerprint: str
    machine: str
    candidates: tuple[Candidate, ...]
    tested: Unseen | None = None
    made: Model | None = field(default=None, repr=False, compare=False)

    @property
    def as_it_is(self) -> Candidate:
        """The model that the search began with."""
        return self.candidates[0]

    @property
    def best(self) -> Candidate:
        """The least p50 of one row, or the fewest bytes of weights, within the budget; it may be the model as it is.

        Of those that differ by no more than noise (`Measured.is_faster_than`; 1 % of the bytes) the best by the other.
        """
        held = [(one, one.measured) for one in self.candidates if one.measured and self.is_within(one)]
        if self.optimize == "latency":
            quickest = min((taken for _, taken in held), key=lambda taken: taken.p50_ms)
            alike = [pair for pair in held if not quickest.is_faster_than(pair[1])]
            return min(alike, key=lambda pair: pair[1].weights_bytes)[0]
        least = min(taken.weights_bytes for _, taken in held)
        alike = [pair for pair in held if pair[1].weights_bytes <= _SAME_SIZE * least]
        return min(alike, key=lambda pair: pair[1].p50_ms)[0]

    @property
    def model(self) -> Model:
        """The best candidate's model.

        Raises:
            CompressionError: the best is the model as it is; the message says why, and has the table.
        """
        if self.made is None:
            raise CompressionError(f"{self.why_none()}\n{self}")
        return self.made

    def is_within(self, one: Candidate) -> bool:
        """Whether a candidate was tried and costs no more than allowed."""
        return one.drop is not None and one.drop <= self.max_drop

    def front(self, by: str) -> tuple[Candidate, ...]:
        """The candidates that no other beats in score and by "latency" or "size", over budget or not."""
        found = []
        for one in self.candidates:
            mine = _costs(one, by)
            others = [costs for other in self.candidates if (costs := _costs(other, by)) and costs != mine]
            if mine and not any(drop <= mine[0] and cost <= mine[1] for drop, cost in others):
                found.append(one)
        return tuple(found)

    def notes(self, one: Candidate) -> list[str]:
        """What the table says of a candidate in words."""
        plain = self.as_it_is.measured
        if one.measured is None or plain is None:
            return [f"skipped: {one.skipped}"]
        said = [] if self.is_within(one) else ["over budget"]
        said += ["chosen"] if one is self.best and one is not self.as_it_is else []
        fronts = [by for by in ("latency", "size") if one in self.front(by)]
        said += [f"front: {', '.join(fronts)}"] if fronts else []
        slow = one is not self.as_it_is and not one.measured.is_faster_than(plain)
        return [*said, "no faster here"] if slow else said

    def why_none(self) -> str:
        """Why no compressed candidate is the best, where that is so."""
        if not any(self.is_within(one) for one in self.candidates[1:]):
            return f"no candidate keeps {self.primary} within {self.max_drop:g}; allow more with max_drop (--max-drop)"
        if self.optimize == "latency":
            return "no candidate within the budget answers faster here than the model as it is; optimize for size"
        return "no candidate within the budget is smaller than the model as it is"

    def to_json(self) -> dict[str, Any]:
        """The search as JSON, as a card holds it."""
        return {
            **{name: getattr(self, name) for name in ("primary", "greater_is_better", "max_drop", "optimize")},
            **{name: getattr(self, name) for name in ("num_rows", "fingerprint", "machine")},
            "candidates": [asdict(one) for one in self.candidates],
            "tested": None if self.tested is None else asdict(self.tested),
            "best": self.best.name,
        }

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> Search:
        """The inverse of `to_json`, but for the model.

        Raises:
            FormatError: no maas wrote this.
        """
        found = read_search(state)
        candidates = tuple(
            Candidate(**{**one, "measured": Measured(**one["measured"]) if one["measured"] else None})
            for one in found["candidates"]
        )
        tested = None if found["tested"] is None else Unseen(**found["tested"])
        return cls(**{**found, "candidates": candidates, "tested": tested})

    def __str__(self) -> str:
        return as_text(self)


def _costs(one: Candidate, by: str) -> tuple[float, float] | None:
    """What a candidate costs in score, and in time or bytes."""
    if one.drop is None or one.measured is None:
        return None
    return one.drop, one.measured.p50_ms if by == "latency" else one.measured.weights_bytes
