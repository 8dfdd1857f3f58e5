"""Charts as SVG: an area with two axes, and the marks put on it. Colours and fonts are the page's."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

from maas.reporting._html import Html, join, tag

NUM_SERIES = 10
WIDTH, HEIGHT = 370, 245
_LEFT, _RIGHT, _TOP, _BOTTOM = 54, 12, 10, 42
_TICK_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_LARGEST, _LEAST = 1e100, 1e-300


@dataclass(frozen=True)
class Axis:
    """The range of one direction.

    Args:
        label: what is measured, with its unit.
        low, high: the ends.
        whole: whether ticks stand at integers only.
    """

    label: str
    low: float
    high: float
    whole: bool = False

    @classmethod
    def over(cls, label: str, values: Iterable[float], *, zero: bool = False, whole: bool = False) -> Axis:
        """An axis that holds these values with some room; `zero`: it begins or ends at 0 where they do not cross it."""
        listed = list(values)
        low, high = min(listed), max(listed)
        if zero:
            low, high = min(low, 0.0), max(high, 0.0)
        if max(abs(low), abs(high)) < _LEAST:  # floats so small have no room for ticks
            low = high = 0.0
        if low == high == 0 or (whole and low == high):
            return cls(label, low, high + 1, whole)
        if whole:
            return cls(label, low, high, True)
        room = (high - low) * 0.05 or abs(high) * 0.1
        return cls(label, low if zero and low == 0 else low - room, high if zero and high == 0 else high + room)

    def ticks(self, most: int = 6) -> list[float]:
        """Round numbers within the range."""
        raw = (self.high - self.low) / most
        scale = 10.0 ** math.floor(math.log10(raw))
        step = next(one * scale for one in _TICK_STEPS if one * scale >= raw * 0.999)
        step = max(1.0, round(step)) if self.whole else step
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [index * step for index in range(first, last + 1)]

    def share(self, value: float) -> float:
        """Where a value stands, from 0 at the low end to 1 at the high one."""
        return (value - self.low) / (self.high - self.low)


@dataclass(frozen=True)
class Area:
    """A drawing area with two axes; `svg` puts marks on it."""

    x: Axis
    y: Axis
    height: float = HEIGHT
    left: float = _LEFT

    def at(self, x: float, y: float) -> tuple[float, float]:
        """A point in the drawing's own units."""
        right, bottom = WIDTH - _RIGHT, self.height - _BOTTOM
        return self.left + self.x.share(x) * (right - self.left), bottom - self.y.share(y) * (bottom - _TOP)

    def line(self, points: Iterable[Sequence[float]], class_: str) -> Html:
        return tag("polyline", points=" ".join(_pair(self.at(*point)) for point in points), class_=f"line {class_}")

    def dots(self, points: Iterable[Sequence[float]], class_: str, *, radius: float = 3.0) -> Html:
        placed = (self.at(*point) for point in points)
        return join(*(tag("circle", cx=x, cy=y, r=radius, class_=f"dot {class_}") for x, y in placed))

    def bar(self, left: float, right: float, top: float, class_: str, bottom: float = 0.0) -> Html:
        """A bar from `bottom` to `top` with a gap at its sides."""
        (x0, y0), (x1, y1) = self.at(left, max(bottom, top)), self.at(right, min(bottom, top))
        return tag("rect", x=x0 + 0.5, y=y0, width=max(x1 - x0 - 1, 0.5), height=y1 - y0, class_=f"bar {class_}")

    def svg(self, title: str, *marks: str, ticks_y: bool = True) -> Html:
        """The whole chart.

        Args:
            title: what it shows, in words, for who cannot see it.
            marks: lines, dots and bars.
            ticks_y: whether the vertical axis has numbers.
        """
        return svg(title, WIDTH, self.height, self.drawn(*marks, ticks_y=ticks_y))

    def drawn(self, *marks: str, ticks_y: bool = True) -> Html:
        """What is in the chart, to be put into a drawing."""
        right, bottom = WIDTH - _RIGHT, self.height - _BOTTOM
        parts = []
        for value in self.x.ticks():
            x, _ = self.at(value, self.y.low)
            parts.append(tag("line", x1=x, x2=x, y1=_TOP, y2=bottom, class_="grid"))
            parts.append(tag("text", label_of(value), x=x, y=bottom + 16, text_anchor="middle"))
        for value in self.y.ticks() if ticks_y else ():
            _, y = self.at(self.x.low, value)
            parts.append(tag("line", x1=self.left, x2=right, y1=y, y2=y, class_="grid"))
            parts.append(tag("text", label_of(value), x=self.left - 7, y=y + 4, text_anchor="end"))
        parts.append(tag("line", x1=self.left, x2=right, y1=bottom, y2=bottom, class_="axis"))
        parts.append(tag("text", self.x.label, x=(self.left + right) / 2, y=self.height - 6, text_anchor="middle"))
        middle = (_TOP + bottom) / 2
        if self.y.label:
            turn = f"rotate(-90 12 {middle:g})"
            parts.append(tag("text", self.y.label, x=12, y=middle, text_anchor="middle", transform=turn))
        return join(*parts, *marks)


def svg(title: str, width: float, height: float, *parts: str, class_: str = "chart") -> Html:
    """A drawing of this size with a title for who cannot see it."""
    return tag("svg", *parts, viewBox=f"0 0 {width:g} {height:g}", class_=class_, role="img", aria_label=title)


def legend(*entries: tuple[str, str]) -> Html:
    """What each line is: pairs of its class and its name."""
    return tag(
        "ul",
        *(
            tag("li", svg("", 22, 8, tag("line", x1=0, x2=22, y1=4, y2=4, class_=f"line {one}"), class_="key"), name)
            for one, name in entries
        ),
        class_="legend",
    )


def sparkline(title: str, series: Sequence[Sequence[float]], *, classes: Sequence[str] = ()) -> Html:
    """Lines without axes, on one scale; a value that is not finite breaks its line."""
    finite = [value for one in series for value in one if math.isfinite(value)]
    if not finite:
        return Html("")
    steps = Axis("", 0, max(1, max(map(len, series)) - 1))
    values = Axis.over("", finite)
    parts = []
    for place, one in enumerate(series):
        name = classes[place] if place < len(classes) else f"s{place % NUM_SERIES}"
        for run in _runs(one):
            points = " ".join(
                _pair((4 + 212 * steps.share(step), 66 - 62 * values.share(value))) for step, value in run
            )
            parts.append(tag("polyline", points=points, class_=f"line {name}"))
    return svg(title, 220, 70, *parts, class_="spark")


def label_of(value: float) -> str:
    """A number as an axis shows it."""
    if value == 0:
        return "0"
    if abs(value) >= 1e6 or abs(value) < 1e-4:
        return f"{value:.2g}"
    return f"{value:,.6g}"


def drawable(value: Any) -> TypeGuard[float]:
    """Whether a value is a number that a chart can hold."""
    return type(value) in (int, float) and abs(value) < _LARGEST


def _runs(values: Sequence[float]) -> list[list[tuple[int, float]]]:
    runs: list[list[tuple[int, float]]] = [[]]
    for step, value in enumerate(values):
        if math.isfinite(value):
            runs[-1].append((step, value))
        elif runs[-1]:
            runs.append([])
    return [run if len(run) > 1 else [run[0], run[0]] for run in runs if run]


def _pair(point: tuple[float, float]) -> str:
    return f"{point[0]:.1f},{point[1]:.1f}"
