"""The curve of p99 against rate, and the table, as one HTML page."""

from __future__ import annotations

import math

from maas.reporting._charts import Area, Axis, legend
from maas.reporting._html import Html, join, tag
from maas.reporting._page import page
from maas.serving._tuning_found import ServingTuning
from maas.serving._tuning_trial import Trial

_MOST_LINES = 5
_TOP = 3.0


def tuning_page(tuning: ServingTuning) -> str:
    """A page without scripts."""
    chosen, slo = tuning.chosen, tuning.slo_seconds * 1e3
    ranked = sorted(tuning.trials, key=lambda one: (one is chosen, one.stage, one.goodput), reverse=True)
    verdict = (
        f"{chosen.goodput:,.0f} requests a second are answered, 99 % of them within {slo:g} ms, with {chosen.setting}."
        if chosen
        else f"No configuration answers 99 % of the requests within {slo:g} ms: {tuning.why_none()}."
    )
    lead = join(tag("p", verdict, class_="verdict"))
    if tuning.interrupted:
        lead = join(lead, tag("p", "It was stopped before all was measured.", class_="warning"))
    return page(
        f"Serving of {tuning.model}",
        lead,
        [("Latency against rate", _chart(ranked[:_MOST_LINES], slo)), ("Configurations", _table(ranked))],
    )


def _chart(trials: list[Trial], slo: float) -> Html:
    """p99 of all requests, refused ones counted as never answered; what is above the top stands at it."""
    lines = [_line(one, slo) for one in trials if one.points]
    if not lines:
        return Html("")
    x = Axis.over("requests a second", [rate for line in lines for rate, _ in line], zero=True)
    area = Area(x, Axis("p99, ms", 0, _TOP * slo * 1.05))
    marks = [tag("line", x1=area.at(x.low, slo)[0], x2=area.at(x.high, slo)[0], y1=area.at(0, slo)[1],
                 y2=area.at(0, slo)[1], class_="guess")]  # fmt: skip
    for place, line in enumerate(lines):
        marks += [area.line(line, f"s{place}"), area.dots(line, f"s{place}")]
    return join(
        area.svg("p99 of the latency against the rate, for the best configurations", *marks),
        legend(*((f"s{place}", str(one.setting)) for place, one in enumerate(one for one in trials if one.points))),
        tag(
            "p", f"Broken line: {slo:g} ms. At the top: {_TOP * slo:g} ms or more, or over 1 % refused.", class_="note"
        ),
    )


def _line(trial: Trial, slo: float) -> list[tuple[float, float]]:
    """A point a rate: where it was tried twice, the better one."""
    found: dict[float, float] = {}
    for point in trial.points:
        rate = point.rate or 0.0
        found[rate] = min(found.get(rate, _TOP * slo), point.latency.p99 * 1e3)
    return sorted(found.items())


def _table(trials: list[Trial]) -> Html:
    names = ("configuration", "alone, p50", "in time, 1/s", "p50", "p99", "p99.9", "requests")
    rows = [
        tag(
            "tr",
            tag("th", str(one.setting), scope="row"),
            tag("td", _ms(one.lone_p50)),
            *(tag("td", text) for text in _best(one)),
            class_="own" if place == 0 and one.best else None,
        )
        for place, one in enumerate(trials)
    ]
    head = tag("thead", tag("tr", *(tag("th", name, scope="col") for name in names)))
    return tag("div", tag("table", head, tag("tbody", *rows)), class_="scroll")


def _best(trial: Trial) -> tuple[str, ...]:
    best = trial.best
    if best is None:
        return ("none", "", "", "", "")
    latency = best.latency
    return (f"{best.goodput:,.0f}", _ms(latency.p50), _ms(latency.p99), _ms(latency.p999), f"{best.requests:,}")


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.1f} ms" if math.isfinite(seconds) else "not answered"
