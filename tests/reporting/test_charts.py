"""Axes with round ticks, and marks where their numbers say."""

from __future__ import annotations

import math
import re

import pytest

from maas.reporting._charts import Area, Axis, label_of, sparkline


@pytest.mark.parametrize(
    ("axis", "ticks"),
    [
        (Axis("", 0, 1), [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (Axis("", -0.11, 0.44), [-0.1, 0, 0.1, 0.2, 0.3, 0.4]),
        (Axis("", 1, 3, True), [1, 2, 3]),
        (Axis("", 1, 30, True), [5, 10, 15, 20, 25, 30]),
        (Axis("", 1e-9, 2e-9), [1e-9, 1.2e-9, 1.4e-9, 1.6e-9, 1.8e-9, 2e-9]),
    ],
)
def test_ticks_are_round_numbers_within_the_range(axis: Axis, ticks: list[float]) -> None:
    assert axis.ticks() == pytest.approx(ticks)


@pytest.mark.parametrize(
    "values",
    [[0.0], [3.0], [-2.0, -2.0], [1e-300, 2e-300], [-1e99, 1e99], [1e16, 1e16 + 2], [0.0, 5e-324], [1e-310, 3e-310]],
)
@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("zero", [True, False])
def test_an_axis_holds_its_values_whatever_they_are(values: list[float], zero: bool, whole: bool) -> None:
    axis = Axis.over("", values, zero=zero, whole=whole)
    assert axis.low < axis.high
    assert all(0 <= axis.share(value) <= 1 for value in values)
    assert len(axis.ticks()) < 12
    if zero:
        assert axis.low <= 0 <= axis.high


def test_marks_stand_where_their_numbers_say() -> None:
    area = Area(Axis("", 0, 10), Axis("", 0, 1))
    (left, bottom), (right, top) = area.at(0, 0), area.at(10, 1)
    middle = area.dots([(5, 0.5)], "s0")
    x, y = (float(one) for one in re.findall(r'c[xy]="([\d.]+)"', middle))
    assert (x, y) == pytest.approx(((left + right) / 2, (top + bottom) / 2), abs=0.01)
    assert left < right
    assert top < bottom  # SVG counts downwards


def test_a_gap_breaks_a_sparkline() -> None:
    drawn = sparkline("x", [[1.0, 2.0, math.nan, 3.0], [math.nan] * 4])
    assert drawn.count("<polyline") == 2
    assert "nan" not in drawn
    assert sparkline("x", [[math.nan]]) == ""


@pytest.mark.parametrize(
    ("value", "label"), [(0.0, "0"), (0.2, "0.2"), (1200.0, "1,200"), (3e7, "3e+07"), (2e-5, "2e-05"), (-0.5, "-0.5")]
)
def test_labels_are_short(value: float, label: str) -> None:
    assert label_of(value) == label
