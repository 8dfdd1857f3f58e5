"""What a search found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from maas.metrics._text import score_text
from maas.nn import Recipe
from maas.tuning._space import json_of

_MOST_TRIALS = 20
_LONGEST = 100


@dataclass(frozen=True)
class Trial:
    """Settings that were tried.

    Args:
        number: counted from 1, in the order of trying.
        chosen: the values by name, of settings of `maas.fit` and of arguments of the network.
        score: the mean over the parts that judged; None for a trial that failed.
        scores: the score of each of those parts.
        error: why the trial failed; None where it did not.
        seconds: how long it took.
    """

    number: int
    chosen: dict[str, Any]
    score: float | None
    scores: tuple[float, ...]
    error: str | None
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """The trial as JSON."""
        return {
            "number": self.number,
            "chosen": {name: json_of(value) for name, value in self.chosen.items()},
            "score": self.score,
            "scores": list(self.scores),
            "error": self.error,
            "seconds": self.seconds,
        }


@dataclass(frozen=True)
class Tuning:
    """The trials of a search, and the best of them: `maas.fit(tuning.recipe, train, **tuning.settings)`.

    The best of many trials is also the luckiest: its score is better than what new rows will show, the more so the
    more trials there were. Rows that took no part, `maas.Model.evaluate(test)`, say how good it is.

    Args:
        score: the name of the score that trials were judged by.
        greater_is_better: whether that one is a score to raise, or an error to lower.
        best: the best trial.
        recipe: with the arguments of the best trial.
        settings: of `maas.fit`: those given, the seed, and those of the best trial.
        trials: all, in the order of trying.
    """

    score: str
    greater_is_better: bool
    best: Trial
    recipe: Recipe
    settings: dict[str, Any]
    trials: tuple[Trial, ...] = field(repr=False)

    def to_json(self) -> dict[str, Any]:
        """The search and its trials as JSON."""
        return {
            "score": self.score,
            "greater_is_better": self.greater_is_better,
            "best": self.best.number,
            "recipe": self.recipe.to_json(),
            "settings": {name: json_of(value) for name, value in self.settings.items()},
            "trials": [trial.to_json() for trial in self.trials],
        }

    def __str__(self) -> str:
        done = [(trial.score, trial) for trial in self.trials if trial.score is not None]
        done.sort(key=lambda one: -one[0] if self.greater_is_better else one[0])
        failed = [trial for trial in self.trials if trial.score is None]
        lines = [f"{len(self.trials)} trials, {len(failed)} failed; best first by {self.score}"]
        names = list(self.best.chosen)
        table = [["trial", self.score, *names]]
        for score, trial in done[:_MOST_TRIALS]:
            table.append([str(trial.number), score_text(score), *(_shown(trial.chosen[name]) for name in names)])
        wide = [max(map(len, column)) + 2 for column in zip(*table, strict=True)]
        lines += ["".join(f"{text:>{size}}" for text, size in zip(row, wide, strict=True)) for row in table]
        if len(done) > _MOST_TRIALS:
            lines.append(f"and {len(done) - _MOST_TRIALS} more")
        for trial in failed[:_MOST_TRIALS]:
            chosen = ", ".join(f"{name}={_shown(value)}" for name, value in trial.chosen.items())
            lines.append(f"trial {trial.number} failed with {chosen}: {trial.error}")
        if len(failed) > _MOST_TRIALS:
            lines.append(f"and {len(failed) - _MOST_TRIALS} more failed")
        return "\n".join(lines)


def _shown(value: Any) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(json_of(value))
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
