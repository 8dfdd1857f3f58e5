"""An evaluation as text, for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from maas.metrics._evaluation import Evaluation
    from maas.metrics._groups import Grouping

_MOST_CLASSES = 12
_MOST_GROUPS = 12


def as_text(evaluation: Evaluation) -> str:
    """Scores and verdicts, then the confusion, each class and each group, where there are few enough to read."""
    lines = [f"{evaluation.num_rows:,} test rows, {evaluation.task}"]
    if evaluation.num_duplicates:
        lines[0] += f"; {evaluation.num_duplicates:,} of them stand among the training rows too"
    if evaluation.caution:
        lines[0] += f"; {evaluation.caution}"
    methods = {"this model": evaluation.scores, **{one.name: one.scores for one in evaluation.baselines}}
    wide = max(map(len, methods)) + 2
    columns = {name: max(11, len(name) + 2) for name in evaluation.scores}
    lines.append(" " * wide + "".join(f"{name:>{size}}" for name, size in columns.items()))
    for name, scores in methods.items():
        cells = (f"{score_text(scores.get(column)):>{size}}" for column, size in columns.items())
        lines.append(f"{name:<{wide}}" + "".join(cells))
    if evaluation.baselines:
        lines.append(f"gain of this model in {evaluation.primary}, with its 95 % interval:")
    for one in evaluation.baselines:
        interval = f"{signed_text(one.difference)} ({signed_text(one.low)} to {signed_text(one.high)})"
        lines.append(f"{'over ' + one.name:<{wide + 5}}{interval}: {one.verdict}")
    lines += _classes(evaluation)
    for grouping in evaluation.groups:
        lines += _groups(grouping)
    return "\n".join(lines)


def _classes(evaluation: Evaluation) -> list[str]:
    labels, confusion = evaluation.labels, evaluation.confusion
    if labels is None or confusion is None or len(labels) > _MOST_CLASSES:
        return []
    wide = max([*map(len, labels), *(len(str(cell)) for row in confusion for cell in row)]) + 2
    lines = ["truth by row, answer by column:", " " * wide + "".join(f"{label:>{wide}}" for label in labels)]
    for label, counts in zip(labels, confusion, strict=True):
        lines.append(f"{label:<{wide}}" + "".join(f"{cell:>{wide}}" for cell in counts))
    names = ("precision", "recall", "f1", "support")
    lines += ["class by class:", " " * wide + "".join(f"{name:>11}" for name in names)]
    for one in evaluation.by_class():
        cells = "".join(f"{score_text(value):>11}" for value in (one.precision, one.recall, one.f1))
        lines.append(f"{one.label:<{wide}}{cells}{one.support:>11,}")
    return lines


def _groups(grouping: Grouping) -> list[str]:
    shown = grouping.groups[:_MOST_GROUPS]
    wide = max(len(one.value) for one in shown) + 2
    lines = [grouping.verdict, f"{'':<{wide}}{'rows':>9}{grouping.primary:>11}  95 % interval"]
    for one in shown:
        interval = "-" if one.low is None else f"{score_text(one.low)} to {score_text(one.high)}"
        lines.append(f"{one.value:<{wide}}{one.num_rows:>9,}{score_text(one.score):>11}  {interval}")
    if len(grouping.groups) > len(shown):
        lines.append(f"and {len(grouping.groups) - len(shown):,} more groups")
    return lines


def score_text(value: float | None, *, missing: str = "-") -> str:
    """A score in four digits behind the point, or in four digits where it is very small or large."""
    if value is None:
        return missing
    return f"{value:.4f}" if value == 0 or 0.001 <= abs(value) < 100 else f"{value:.4g}"


def signed_text(value: float, *, minus: str = "-") -> str:
    """A difference of scores, with its sign."""
    return f"{minus if value < 0 else '+'}{score_text(abs(value))}"
