"""A model's scores beside those of its baselines, in words and in JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from maas.metrics._bootstrap import paired_bootstrap
from maas.metrics._scores import Scores


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


@dataclass(frozen=True)
class Evaluation:
    """Scores of a model on test rows, beside honest baselines.

    Args:
        task: "classification", "regression", "forecast" or "ranking".
        num_rows: test rows.
        num_duplicates: test rows whose inputs stand in the baselines' training rows too; None when not compared.
        scores: the model's scores by name.
        primary: the name of the score that methods are compared by.
        baselines: one comparison a baseline.
        labels, confusion: the classes, and counts by truth (row) and answer (column), for a classification.
        fingerprint: SHA-256 of the test rows.
    """

    task: str
    num_rows: int
    num_duplicates: int | None
    scores: dict[str, float | None]
    primary: str
    baselines: tuple[Comparison, ...]
    labels: tuple[str, ...] | None
    confusion: tuple[tuple[int, ...], ...] | None
    fingerprint: str

    @classmethod
    def compare(
        cls,
        task: str,
        model: Scores,
        baselines: Mapping[str, Scores],
        *,
        fingerprint: str,
        num_duplicates: int | None = None,
    ) -> Evaluation:
        """Put a model's scores beside those of its baselines on the same rows."""
        baselines = {name: _with_skill(other, baselines) for name, other in baselines.items()}
        model = _with_skill(model, baselines)
        comparisons = []
        for name, other in baselines.items():
            low, high = paired_bootstrap(model.per_row, other.per_row, aggregate=model.aggregate)
            mine, theirs = model.values[model.primary], other.values[model.primary]
            assert mine is not None
            assert theirs is not None
            difference = mine - theirs
            if not model.greater_is_better:
                difference, low, high = -difference, -high, -low
            comparisons.append(Comparison(name, dict(other.values), difference, low, high))
        return cls(
            task=task,
            num_rows=len(model.per_row),
            num_duplicates=num_duplicates,
            scores=dict(model.values),
            primary=model.primary,
            baselines=tuple(comparisons),
            labels=None if model.labels is None else tuple(model.labels),
            confusion=None if model.confusion is None else tuple(tuple(map(int, row)) for row in model.confusion),
            fingerprint=fingerprint,
        )

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> Evaluation:
        values = dict(state)
        values["baselines"] = tuple(Comparison(**one) for one in values["baselines"])
        if values["labels"] is not None:
            values["labels"] = tuple(values["labels"])
            values["confusion"] = tuple(tuple(row) for row in values["confusion"])
        return cls(**values)

    def __str__(self) -> str:
        lines = [f"{self.num_rows:,} test rows, {self.task}"]
        if self.num_duplicates:
            lines[0] += f"; {self.num_duplicates:,} of them stand among the training rows too"
        methods = {"this model": self.scores, **{one.name: one.scores for one in self.baselines}}
        wide, each = max(map(len, methods)) + 2, max(11, *(len(name) + 2 for name in self.scores))
        lines.append(" " * wide + "".join(f"{name:>{each}}" for name in self.scores))
        for name, scores in methods.items():
            lines.append(f"{name:<{wide}}" + "".join(f"{_cell(scores[column]):>{each}}" for column in self.scores))
        if self.baselines:
            lines.append(f"gain of this model in {self.primary}, with its 95 % interval:")
        for one in self.baselines:
            interval = f"{_signed(one.difference)} ({_signed(one.low)} to {_signed(one.high)})"
            lines.append(f"{'over ' + one.name:<{wide + 5}}{interval}: {one.verdict}")
        if self.labels is not None and self.confusion is not None and len(self.labels) <= 12:
            wide = max([*map(len, self.labels), *(len(str(cell)) for row in self.confusion for cell in row)]) + 2
            lines.append("truth by row, answer by column:")
            lines.append(" " * wide + "".join(f"{label:>{wide}}" for label in self.labels))
            for label, counts in zip(self.labels, self.confusion, strict=True):
                lines.append(f"{label:<{wide}}" + "".join(f"{cell:>{wide}}" for cell in counts))
        return "\n".join(lines)


def _with_skill(one: Scores, baselines: Mapping[str, Scores]) -> Scores:
    """The scores with their `skill`, where the baseline that it is measured against is among them."""
    reference = None if one.reference is None else baselines.get(one.reference)
    theirs = None if reference is None else reference.values[one.primary]
    mine = one.values[one.primary]
    if not theirs or mine is None:
        return one
    return replace(one, values={**one.values, "skill": 1 - mine / theirs})


def _cell(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.4f}" if value == 0 or 0.001 <= abs(value) < 100 else f"{value:.4g}"


def _signed(value: float) -> str:
    return f"{'-' if value < 0 else '+'}{_cell(abs(value))}"
