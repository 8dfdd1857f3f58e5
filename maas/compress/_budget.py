"""What a compression may cost, and the record of what it did."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from maas.errors import CompressionError
from maas.metrics import Scores
from maas.model import Model


@dataclass(frozen=True)
class Outcome:
    """What a compression did to the primary score, on the rows that judged it.

    Args:
        method: such as "prune" or "quantize", with its arguments.
        primary: name of the score.
        before, after: its values.
        drop: by how much it is worse: a score by the difference, an error by its share of the one before.
        max_drop: what was allowed.
        num_rows, fingerprint: of the rows that judged.
    """

    method: str
    primary: str
    before: float
    after: float
    drop: float
    max_drop: float
    num_rows: int
    fingerprint: str

    def to_json(self) -> dict[str, Any]:
        """The outcome as JSON, as a card holds it."""
        return asdict(self)


def hold(method: str, before: Scores, after: Scores, *, max_drop: float, fingerprint: str) -> Outcome:
    """The outcome of a compression, once it is found to be within its budget.

    Raises:
        CompressionError: it costs more than `max_drop`; the message has the score before and after.
    """
    drop = before.drop_to(after)
    name, was, now = before.primary, before.values[before.primary], after.values[before.primary]
    assert was is not None
    assert now is not None
    if drop > max_drop:
        by = "by" if before.greater_is_better else "by a share of"
        raise CompressionError(
            f"{method} takes {name} from {was:.4f} to {now:.4f}, {by} {drop:.4f}, and may cost {max_drop:g}; allow "
            f"more with max_drop=, compress less, or give rows to go on training with"
        )
    return Outcome(method, name, float(was), float(now), float(drop), max_drop, len(before.per_row), fingerprint)


def lineage(parent: Model, model: Model, outcome: Outcome) -> None:
    """Write into a compressed model's card what it was made of, and how."""
    model.card["lineage"] = {**model.card.get("lineage", {}), "parent": parent.digest}
    model.card["compression"] = [*parent.card.get("compression", []), outcome.to_json()]
