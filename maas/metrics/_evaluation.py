"""A model's scores beside those of its baselines, in words and in JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from maas.metrics._bootstrap import paired_bootstrap
from maas.metrics._by_class import ClassScore, class_scores
from maas.metrics._by_group import ScoreRows, by_group
from maas.metrics._calibration import Calibration
from maas.metrics._comparison import Comparison
from maas.metrics._details import Details
from maas.metrics._groups import FEWEST_OF_A_KIND, Grouping
from maas.metrics._intervals import score_interval
from maas.metrics._scores import Scores
from maas.metrics._stored import read_evaluation
from maas.metrics._text import as_text

_Array = np.ndarray[Any, Any]
_MODEL = "this model"


@dataclass(frozen=True)
class Evaluation:
    """Scores of a model on test rows, beside honest baselines.

    Args:
        task: what kind of answers they are, such as "classification".
        num_rows: test rows.
        num_duplicates: test rows whose inputs stand in the baselines' training rows too. Without those rows: how many
            were learned from, if the test rows are all that was trained on, or that it was split from; else None.
        scores: the model's scores by name.
        primary: the name of the score that methods are compared by.
        baselines: one comparison a baseline.
        labels, confusion: the classes, and counts by truth (row) and answer (column), for a classification or an
            anomaly.
        fingerprint: SHA-256 of the test rows.
        interval: 95 % interval of the primary score.
        calibration: of a classification: how far its probabilities are from shares of right answers.
        groups: scores by the groups of each column that was asked for.
        details: what charts are drawn from. Held in memory only: they would carry the test rows' truth into a card.
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
    interval: tuple[float, float] | None = None
    calibration: Calibration | None = None
    groups: tuple[Grouping, ...] = ()
    details: Details | None = field(default=None, repr=False, compare=False)

    @classmethod
    def compare(
        cls,
        task: str,
        model: Scores,
        baselines: Mapping[str, Scores],
        *,
        fingerprint: str,
        num_duplicates: int | None = None,
        groups: Mapping[str, _Array] | None = None,
        score_rows: ScoreRows | None = None,
    ) -> Evaluation:
        """Put a model's scores beside those of its baselines on the same rows.

        Args:
            task, fingerprint, num_duplicates: as above.
            model: the model's scores.
            baselines: those of each baseline.
            groups: by name of a column the group of each row, as text.
            score_rows: scores the model's answers to the rows at some positions; wanted for the groups of a score that
                is no mean over rows.
        """
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
        details = None if model.details is None else model.details()
        steps = {name: one.steps for name, one in {_MODEL: model, **baselines}.items() if one.steps is not None}
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
            interval=score_interval(
                model.per_row,
                aggregate=model.aggregate,
                is_portion=model.is_portion,
                num_counted=model.num_counted,
            ),
            calibration=model.calibration,
            groups=tuple(by_group(name, values, model, score_rows) for name, values in (groups or {}).items()),
            details=replace(details, steps=steps) if details is not None and steps else details,
        )

    def by_class(self) -> tuple[ClassScore, ...]:
        """Precision, recall, F1 and support of each class; nothing where the answer is no class."""
        return () if self.confusion is None or self.labels is None else class_scores(self.labels, self.confusion)

    @property
    def caution(self) -> str:
        """Why the intervals hold less than they say, in a clause; "" where nothing is known against them.

        Those of an area under a curve want more than a few rows of either kind, and those of a forecast windows that
        have nothing in common.
        """
        if self.task == "forecast":
            return "windows that share steps are taken as independent, so the intervals are too narrow"
        if self.primary != "roc_auc" or self.confusion is None:
            return ""
        fewest = min(map(sum, self.confusion))
        if fewest >= FEWEST_OF_A_KIND:
            return ""
        return f"the rarer kind has {fewest:,} rows only, too few for the intervals of roc_auc to be relied on"

    def to_json(self) -> dict[str, Any]:
        """The evaluation as JSON, as a card holds it."""
        state = asdict(replace(self, details=None))
        del state["details"]
        return state

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> Evaluation:
        """The inverse of `to_json`, of this version or an earlier one.

        Raises:
            FormatError: no maas wrote this.
        """
        return cls(**read_evaluation(state))

    def __str__(self) -> str:
        return as_text(self)


def _with_skill(one: Scores, baselines: Mapping[str, Scores]) -> Scores:
    """The scores with their `skill`, where the baseline that it is measured against is among them."""
    reference = None if one.reference is None else baselines.get(one.reference)
    theirs = None if reference is None else reference.values[one.primary]
    mine = one.values[one.primary]
    if not theirs or mine is None:
        return one
    return replace(one, values={**one.values, "skill": 1 - mine / theirs})
