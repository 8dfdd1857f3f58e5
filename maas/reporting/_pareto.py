"""The candidates of a compression as dots: score against latency and against size, with their fronts and the budget."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from maas.compress import Candidate, Search
from maas.compress._text import TAKEN, budget, taken, verdict
from maas.errors import DataError
from maas.metrics._text import score_text
from maas.reporting._charts import HEIGHT, WIDTH, Area, Axis, legend
from maas.reporting._elements import data_table, figure, heads, sentence, title_of
from maas.reporting._html import Html, cut, join, tag
from maas.reporting._style import in_light
from maas.storage import write_atomic

_BELOW_BUDGET = 4.0  # budgets that the chart reaches down to
_UNITS = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "bytes"))
_PLACES = (
    *((10, 4), (-10, 4), (0, -9), (0, 18), (9, -7), (-9, -7), (9, 15), (-9, 15)),
    *((16, 4), (-16, 4), (0, -13), (0, 22), (22, 4), (-22, 4), (0, -22), (0, 30)),
)  # to the right of a dot's centre and below it, in the order of preference
_DIGIT, _LINE = 7.0, 11.0
_GAP, _TITLE, _KEY_LINE = 20, 26, 17
_KEY_COLUMNS = 3
_MOST_OF_LINE = 110  # characters
_ALONE = """
text{font:11.5px system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;fill:var(--muted)}
text.title{font-size:13px;font-weight:600;fill:var(--text)}
text.name{paint-order:stroke;stroke:#fff;stroke-width:3}
text.own{fill:var(--text);font-weight:600}
.grid{stroke:var(--grid)}
.axis{stroke:var(--rule)}
.line{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}
.line.guess{stroke:var(--muted);stroke-dasharray:4 4;stroke-width:1.4}
.line.s0{stroke:var(--c0)}
.dot.s0{fill:var(--c0)}
.dot.even{fill:var(--muted)}
.dot.bad{fill:var(--bad)}
.ring{fill:none;stroke:var(--text);stroke-width:1.5}
"""
_LEGEND = (
    ("s0", "within the budget, on the front"),
    ("even", "within the budget"),
    ("bad", "over budget"),
    ("ring", "the best"),
)


def pareto(search: Search, path: str | Path) -> Path:
    """Write what a search found as one SVG picture, that needs no other file.

    Args:
        search: of `maas.compress.search`, or `Search.from_json(model.card["compression_search"])`.
        path: the file to write; one that stands there is replaced.

    Returns:
        The path.

    Raises:
        DataError: `path` is a folder.
    """
    path = Path(path)
    if path.is_dir():
        raise DataError(f"`path` must be a file such as pareto.svg, got the folder {path}")
    write_atomic(path, _alone(search).encode("utf-8", "replace"))
    return path


def compression(state: Any) -> Html:
    """What a card says of the search that chose its model: two charts and the table.

    Raises:
        FormatError: no maas wrote that.
    """
    search = Search.from_json(state)
    charts = (figure(title, area.svg(f"{title}, with the front", *marks)) for title, area, marks in _charts(search))
    numbers = _numbers(search)
    said_of_dots = "; ".join(filter(None, ("Red: over budget; ring: the best", _note(search))))
    rows = []
    for one in search.candidates:
        cells = [""] * (2 + len(TAKEN))
        if one.measured is not None and one.score is not None and one.drop is not None:
            cells = [score_text(one.score), f"{one.drop:.4f}", *taken(one.measured)]
        name = f"{numbers[one.name]}  {one.name}" if one.name in numbers else one.name
        notes = tag("small", cut("; ".join(search.notes(one))))
        head = tag("th", cut(name, 80), tag("br"), notes, scope="row")
        rows.append(tag("tr", head, *(tag("td", one) for one in cells), class_="own" if one is search.best else None))
    return join(
        tag("p", sentence(verdict(search))),
        tag("div", *charts, class_="charts"),
        legend(("line s0", "front"), ("line guess", f"budget: {budget(search)}")),
        data_table(
            f"Measured on {search.num_rows:,} rows; {search.machine}", heads("", search.primary, "drop", *TAKEN), rows
        ),
        tag("p", f"Numbers beside dots: those of the table. {said_of_dots}.", class_="note"),
    )


def _charts(search: Search) -> list[tuple[str, Area, list[Html]]]:
    """Score against p50, and score against bytes: a title, the area, its marks."""
    known = [(one, one.measured) for one in search.candidates if one.measured is not None]
    bytes_ = [float(one.weights_bytes) for _, one in known]
    scale, unit = next((one for one in _UNITS if max(bytes_) >= one[0]), _UNITS[-1])
    costs = {
        "latency": ("p50 of one row, ms", [one.p50_ms for _, one in known]),
        "size": (f"weights, {unit}", [one / scale for one in bytes_]),
    }
    label = title_of(search.primary) + ("" if search.greater_is_better else ", lower is better")
    limit, edge = _limits(search)
    worst = max if search.greater_is_better else min
    scores = [worst(one.score or 0.0, edge) for one, _ in known]
    y = Axis.over(label, [*scores, limit])
    found = []
    for by, (title, values) in costs.items():
        area = Area(Axis.over(title, values, zero=True), y)
        points = {one.name: (value, score) for (one, _), value, score in zip(known, values, scores, strict=True)}
        front = sorted(points[one.name] for one in search.front(by))
        marks = [area.line([(area.x.low, limit), (area.x.high, limit)], "guess"), area.line(front, "s0")]
        for one, _ in known:
            on_front = one in search.front(by)
            kind = "bad" if not search.is_within(one) else "s0" if on_front else "even"
            marks.append(area.dots([points[one.name]], kind, radius=4.5 if on_front else 3.5))
        x, level = area.at(*points[search.best.name])
        marks.append(tag("circle", cx=x, cy=level, r=8, class_="ring"))
        marks += _labels([area.at(*points[one.name]) for one, _ in known], (x, level))
        found.append((f"{title_of(search.primary)} against {by}".capitalize(), area, marks))
    return found


def _limits(search: Search) -> tuple[float, float]:
    """The score at which the budget ends, and the worst one that the chart shows at its place."""
    plain = search.as_it_is.score or 0.0
    if search.greater_is_better:
        reach = max(_BELOW_BUDGET * search.max_drop, 0.01 * abs(plain))
        return plain - search.max_drop, plain - reach
    return plain * (1 + search.max_drop), plain * (1 + max(_BELOW_BUDGET * search.max_drop, 0.02))


def _labels(points: Sequence[tuple[float, float]], ringed: tuple[float, float]) -> list[Html]:
    """The number of each dot beside it, where there is room."""
    taken_up = [(x - 5, y - 5, x + 5, y + 5) for x, y in points]
    taken_up.append((ringed[0] - 9, ringed[1] - 9, ringed[0] + 9, ringed[1] + 9))
    found = []
    for place, (x, y) in enumerate(points, 1):
        wide = _DIGIT * len(str(place)) + 4
        boxes = [(x + right - wide / 2, y + down - _LINE + 2, right, down) for right, down in _PLACES]
        free = [
            (left, top, right, down)
            for left, top, right, down in boxes
            if not any(left < x1 and left + wide > x0 and top < y1 and top + _LINE > y0 for x0, y0, x1, y1 in taken_up)
        ]
        left, top, right, down = (free or boxes)[0]
        taken_up.append((left, top, left + wide, top + _LINE))
        found.append(tag("text", str(place), x=x + right, y=y + down, text_anchor="middle", class_="name"))
    return found


def _numbers(search: Search) -> dict[str, int]:
    """The number that stands beside a candidate's dot."""
    measured = (one.name for one in search.candidates if one.measured is not None)
    return {name: place for place, name in enumerate(measured, 1)}


def _note(search: Search) -> str:
    """What stands at the edge of the chart, and not at its place; "" where nothing does."""
    edge, numbers = _limits(search)[1], _numbers(search)
    beyond = [str(numbers[one.name]) for one in search.candidates if one.measured and _is_beyond(search, one, edge)]
    return f"at the edge, for worse than the chart shows: {', '.join(beyond)}" if beyond else ""


def _is_beyond(search: Search, one: Candidate, edge: float) -> bool:
    score = one.score or 0.0
    return score < edge if search.greater_is_better else score > edge


def _alone(search: Search) -> str:
    """The two charts side by side, with what the dots and numbers are below."""
    wide, top = 2 * WIDTH + _GAP, _TITLE + HEIGHT
    parts: list[str] = []
    for place, (title, area, marks) in enumerate(_charts(search)):
        left = place * (WIDTH + _GAP)
        parts.append(tag("text", title, x=left + 54, y=18, class_="title"))
        parts.append(tag("g", area.drawn(*marks), transform=f"translate({left} {_TITLE})", class_="chart"))
    y = top + 18.0
    x = 54.0
    for kind, name in _LEGEND:
        shape = "ring" if kind == "ring" else f"dot {kind}"
        parts.append(tag("circle", cx=x, cy=y - 4, r=6 if kind == "ring" else 4, class_=shape))
        parts.append(tag("text", name, x=x + 11, y=y))
        x += 32 + 6.1 * len(name)
    parts.append(tag("line", x1=x - 6, x2=x + 16, y1=y - 4, y2=y - 4, class_="line guess"))
    parts.append(tag("text", "budget", x=x + 22, y=y))
    numbers = _numbers(search)
    y += 8
    for name, place in numbers.items():
        column, line = (place - 1) % _KEY_COLUMNS, (place - 1) // _KEY_COLUMNS
        own = "own" if name == search.best.name else None
        at = {"x": 48 + column * (wide - 54) / _KEY_COLUMNS, "y": y + _KEY_LINE * (line + 1)}
        parts.append(tag("text", f"{place}  {cut(name, 34)}", class_=own, **at))
    y += _KEY_LINE * (-(-len(numbers) // _KEY_COLUMNS) + 1) + 6
    words = "; ".join(filter(None, (f"{search.num_rows:,} rows judge, {budget(search)}", search.machine)))
    for said in filter(None, (words, _note(search))):
        parts.append(tag("text", cut(said, _MOST_OF_LINE), x=48, y=y))
        y += _KEY_LINE
    height = y - 3
    style = tag("style", Html(in_light(_ALONE)))
    back = tag("rect", x=0, y=0, width=wide, height=height, fill="#ffffff")
    drawn = tag(
        "svg",
        tag("title", f"What compressions cost and gain: {verdict(search)}"),
        style,
        back,
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {wide:g} {height:g}",
        width=wide,
        height=height,
    )
    return re.sub(r"\s*\n", "\n", drawn) + "\n"
