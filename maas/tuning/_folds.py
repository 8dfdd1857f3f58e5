"""What a cross-validation found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from maas.metrics import Evaluation
from maas.metrics._text import score_text

_MOST_FOLDS = 20

Values = dict[str, float | None]


@dataclass(frozen=True)
class CrossValidation:
    """The evaluations of all folds, and what they say together.

    The deviation says how far one fold lies from another. Divided by the root of the number of folds it would be a
    standard error if folds were independent. They are not: any two models share most of their training rows, and what
    one is tested on teaches the others. So that standard error is too small, and no estimate from the folds alone is
    right for all data. Repeats steady the mean, and make this no better.

    Source: Bengio and Grandvalet 2004, No unbiased estimator of the variance of k-fold cross-validation, JMLR 5.

    Args:
        kind: how folds were cut: "random", "stratified", "by group (...)" or "by time (...)".
        num_rows: rows that were cut.
        repeats: how often.
        folds: one evaluation a fold, those of each repeat in turn.
    """

    kind: str
    num_rows: int
    repeats: int
    folds: tuple[Evaluation, ...]

    @property
    def task(self) -> str:
        """The kind of the task."""
        return self.folds[0].task

    @property
    def primary(self) -> str:
        """The name of the score that methods are compared by."""
        return self.folds[0].primary

    @property
    def mean(self) -> Values:
        """The mean of each score over the folds in which it is defined; None where it is in none."""
        return _over_folds([fold.scores for fold in self.folds], fmean, at_least=1)

    @property
    def deviation(self) -> Values:
        """The standard deviation of each score from fold to fold (n - 1); None where fewer than two define it."""
        return _over_folds([fold.scores for fold in self.folds], stdev, at_least=2)

    @property
    def baselines(self) -> dict[str, Values]:
        """The mean scores of each baseline by its name; those that were there in every fold."""
        found = [{one.name: one.scores for one in fold.baselines} for fold in self.folds]
        common = [name for name in found[0] if all(name in one for one in found)]
        return {name: _over_folds([one[name] for one in found], fmean, at_least=1) for name in common}

    def to_json(self) -> dict[str, Any]:
        """The folds' scores as JSON."""
        return {
            "kind": self.kind,
            "num_rows": self.num_rows,
            "repeats": self.repeats,
            "task": self.task,
            "primary": self.primary,
            "mean": self.mean,
            "deviation": self.deviation,
            "baselines": self.baselines,
            "folds": [fold.to_json() for fold in self.folds],
        }

    def __str__(self) -> str:
        num_folds = len(self.folds) // self.repeats
        repeated = f", {self.repeats} times" if self.repeats > 1 else ""
        lines = [f"{num_folds} folds of {self.num_rows:,} rows{repeated}, {self.kind}, {self.task}"]
        table: dict[str, Mapping[str, float | None]] = {
            f"fold {place}": fold.scores for place, fold in enumerate(self.folds[:_MOST_FOLDS], 1)
        }
        if (more := len(self.folds) - _MOST_FOLDS) > 0:
            table[f"and {more} more"] = {}
        table |= {"mean": self.mean, "deviation": self.deviation}
        table |= {f"mean of {name}": scores for name, scores in self.baselines.items()}
        columns = {name: max(11, len(name) + 2) for name in self.folds[0].scores}
        wide = max(map(len, table)) + 2
        lines.append(" " * wide + "".join(f"{name:>{size}}" for name, size in columns.items()))
        for name, scores in table.items():
            cells = (f"{score_text(scores.get(column)):>{size}}" for column, size in columns.items())
            lines.append((f"{name:<{wide}}" + "".join(cells if scores else ())).rstrip())
        for name in self.baselines:
            gains = [one.difference for fold in self.folds for one in fold.baselines if one.name == name]
            better = sum(gain > 0 for gain in gains)
            lines.append(
                f"gain in {self.primary} over {name}: {fmean(gains):+.4f} on average, {better} of {len(gains)} folds "
                f"are better"
            )
        return "\n".join(lines)


def _over_folds(scores: list[Values], reduce: Any, *, at_least: int) -> Values:
    found: Values = {}
    for name in dict.fromkeys(name for one in scores for name in one):
        values = [value for one in scores if (value := one.get(name)) is not None]
        found[name] = reduce(values) if len(values) >= at_least else None
    return found
