"""Charts of numbers: learning curves, predicted against true values, residuals, the error of each step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from maas.reporting._charts import Area, Axis, drawable, legend
from maas.reporting._elements import figure
from maas.reporting._html import Html, cut, tag

_MOST_EPOCHS = 1000


def learning_curves(training: Any) -> Html:
    """Loss by epoch out of a card's `training`; nothing where it holds no history that can be drawn."""
    history = training.get("history") if isinstance(training, Mapping) else None
    if not isinstance(history, Sequence) or isinstance(history, str) or len(history) < 2:
        return Html("")
    series: dict[str, tuple[str, list[tuple[float, float]]]] = {}
    for place, name in enumerate(("train_loss", "validation_loss")):
        values = [one.get(name) if isinstance(one, Mapping) else None for one in history]
        step = max(1, len(values) // _MOST_EPOCHS)
        points = [(float(epoch), float(value)) for epoch, value in enumerate(values, 1) if drawable(value)][::step]
        if len(points) > 1:
            series[f"s{place}"] = (name.replace("_", " "), points)
    if not series:
        return Html("")
    losses = [value for _, points in series.values() for _, value in points]
    area = Area(Axis.over("epoch", [1, len(history)], whole=True), Axis.over("loss", losses, zero=min(losses) >= 0))
    marks = [area.line(points, name) for name, (_, points) in series.items()]
    entries = [(f"line {name}", text) for name, (text, _) in series.items()]
    best = training.get("best_epoch")
    if type(best) is int and 1 <= best <= len(history):
        marks.insert(0, area.line([(best, area.y.low), (best, area.y.high)], "guess"))
        entries.append(("line guess", f"epoch {best}, whose weights are kept"))
    chart = area.svg("Loss on training and validation rows by epoch", *marks)
    return figure("Learning curves", chart, legend(*entries))


def predicted_against_true(pairs: np.ndarray[Any, Any], num_rows: int) -> Html:
    """One dot a row; a perfect answer lies on the line."""
    low, high = float(pairs.min()), float(pairs.max())
    if not (drawable(low) and drawable(high)):
        return Html("")
    axis = Axis.over("true value", [low, high])
    area = Area(axis, Axis("predicted value", axis.low, axis.high))
    marks = [area.line([(axis.low, axis.low), (axis.high, axis.high)], "guess"), area.dots(pairs.tolist(), "s0 faint")]
    note = f"{len(pairs):,} of {num_rows:,} rows, drawn at random." if len(pairs) < num_rows else ""
    chart = area.svg("Predicted value by true value", *marks)
    return figure("Predicted against true", chart, tag("p", note, class_="note"))


def residuals(counts: np.ndarray[Any, Any], edges: np.ndarray[Any, Any]) -> Html:
    """How often the prediction is off by how much."""
    if not (drawable(float(edges[0])) and drawable(float(edges[-1]))):
        return Html("")
    area = Area(
        Axis("predicted less true", float(edges[0]), float(edges[-1])),
        Axis.over("rows", [0, *counts.tolist()], whole=True),
    )
    marks = [
        area.bar(left, right, count, "s0")
        for left, right, count in zip(edges[:-1].tolist(), edges[1:].tolist(), counts.tolist(), strict=True)
        if count
    ]
    if edges[0] < 0 < edges[-1]:
        marks.append(area.line([(0, 0), (0, area.y.high)], "guess"))
    return figure("Residuals", area.svg("Rows by predicted less true value", *marks))


def by_step(steps: Mapping[str, np.ndarray[Any, Any]]) -> Html:
    """RMSE of each step of the horizon, of the network and of its baselines."""
    listed = {name: values.tolist() for name, values in steps.items()}
    values = [value for one in listed.values() for value in one]
    if not all(map(drawable, values)):
        return Html("")
    horizon = max(map(len, listed.values()))
    area = Area(Axis.over("step ahead", [1, horizon], whole=True), Axis.over("RMSE", values, zero=True))
    marks, entries = [], []
    for place, (name, one) in enumerate(listed.items()):
        points = list(enumerate(one, 1))
        marks += [area.line(points, f"s{place}")] if horizon > 1 else []
        marks += [area.dots(points, f"s{place}")] if horizon <= 50 else []
        entries.append((f"line s{place}", f"{cut(name, 60)}: {one[0]:.4g} to {one[-1]:.4g}"))
    chart = area.svg("Error by step ahead", *reversed(marks))
    return figure("Error by step ahead", chart, legend(*entries))
