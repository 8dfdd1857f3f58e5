"""The model against one baseline."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Comparison:
    """The model against one baseline.

    Args:
        name: the baseline's.
        scores: the baseline's scores by name.
        difference: how much better the model's primary score is; positive speaks for the model.
        low, high: 95 % interval of the difference, by paired bootstrap over the test rows.
    """

    name: str
    scores: dict[str, float | None]
    difference: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """In plain words; "as good" means that the interval holds zero."""
        if self.low > 0:
            return "the network is better"
        return "the baseline is better" if self.high < 0 else "no difference shown"
