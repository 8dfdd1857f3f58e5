"""Precision, recall and F1 class by class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class ClassScore:
    """How well one class is told from the others.

    Args:
        label: the class.
        precision: share of the rows answered with it that are of it; None where none was.
        recall: share of its rows that were answered with it; None where it has none.
        f1: harmonic mean of the two; None where it has neither rows nor answers.
        support: its rows.
    """

    label: str
    precision: float | None
    recall: float | None
    f1: float | None
    support: int


def class_scores(labels: Sequence[str], confusion: Sequence[Sequence[int]]) -> tuple[ClassScore, ...]:
    """The scores of each class.

    Args:
        labels: the classes.
        confusion: counts of shape (classes, classes): truth by row, answer by column.
    """
    answered = [sum(column) for column in zip(*confusion, strict=True)]
    found = []
    for place, label in enumerate(labels):
        right, support, given = confusion[place][place], sum(confusion[place]), answered[place]
        found.append(
            ClassScore(
                label,
                precision=right / given if given else None,
                recall=right / support if support else None,
                f1=2 * right / (given + support) if given + support else None,
                support=support,
            )
        )
    return tuple(found)
