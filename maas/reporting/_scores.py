"""What a reader wants first: the verdict in plain words, the scores, the gain over each baseline."""

from __future__ import annotations

from collections.abc import Sequence

from maas.metrics import Comparison, Evaluation
from maas.reporting._charts import Area, Axis, drawable
from maas.reporting._elements import cell, data_table, figure, heads, sentence, signed, title_of
from maas.reporting._html import Html, cut, join, tag

_MOST_TILES = 8
_ROW = 46


def verdict(evaluation: Evaluation) -> str:
    """Whether the network was worth it, in a plain sentence."""
    if not evaluation.baselines:
        return "No baseline was measured beside this network, so nothing here says whether it was needed."
    score = title_of(evaluation.primary)
    won, drawn, lost = (_named(evaluation.baselines, sign) for sign in (1, 0, -1))
    if lost:
        beaten = f" The network beats {won} only." if won else ""
        return f"A baseline wins: {lost} {_is(lost)} better than this network in {score}.{beaten}"
    if drawn and won:
        return f"The network is better than {won} in {score}; no difference is shown to {drawn}."
    if drawn:
        return f"No difference in {score} is shown between this network and {drawn}."
    return f"The network is better than {won} in {score}."


def warnings(evaluation: Evaluation) -> list[str]:
    """What else a reader must know to trust the scores, in plain sentences."""
    found = []
    if evaluation.num_duplicates:
        found.append(
            f"{evaluation.num_duplicates:,} of the {evaluation.num_rows:,} test rows stand among the training rows "
            f"too: the scores measure memory in part."
        )
    if evaluation.caution:
        found.append(sentence(evaluation.caution))
    if evaluation.num_rows < 100:
        found.append(f"The test has {evaluation.num_rows:,} rows only: the intervals are wide for that reason.")
    return found


def tiles(evaluation: Evaluation) -> Html:
    """The scores in large digits."""
    scores = sorted(evaluation.scores.items(), key=lambda one: one[0] != evaluation.primary)
    shown = []
    for name, value in scores[:_MOST_TILES]:
        main = name == evaluation.primary
        interval = None
        if main and evaluation.interval is not None:
            interval = tag("small", f"95 %: {cell(evaluation.interval[0])} to {cell(evaluation.interval[1])}")
        parts = [tag("dt", title_of(name)), tag("dd", cell(value), interval or "")]
        shown.append(tag("div", *parts, class_="tile main" if main else "tile"))
    return tag("dl", *shown, class_="tiles")


def beside_baselines(evaluation: Evaluation) -> Html:
    """All scores of all methods, then the gain over each baseline as a dot with its interval."""
    names = list(evaluation.scores)
    methods = {"this network": evaluation.scores, **{one.name: one.scores for one in evaluation.baselines}}
    body = []
    for place, (method, scores) in enumerate(methods.items()):
        cells = (
            tag("td", cell(scores.get(name)), class_="primary" if name == evaluation.primary else None)
            for name in names
        )
        row = tag("tr", tag("th", cut(method, 120), scope="row"), *cells, class_=None if place else "own")
        body.append(row)
    table = data_table("Scores on the same test rows", heads("method", *map(title_of, names)), body)
    if not evaluation.baselines:
        return table
    verdicts = tag(
        "ul",
        *(
            tag(
                "li",
                tag("b", one.verdict, class_=_class(one)),
                f" over {cut(one.name, 120)}: {signed(one.difference)} ({signed(one.low)} to {signed(one.high)})",
            )
            for one in evaluation.baselines
        ),
        class_="plain",
    )
    gains = figure("Gain over each baseline", _whiskers(evaluation), verdicts)
    return join(table, gains)


def _whiskers(evaluation: Evaluation) -> Html:
    """A dot and its interval for each baseline, on one scale; right of the line of 0 the network is better."""
    baselines = evaluation.baselines
    ends = [end for one in baselines for end in (one.low, one.high, one.difference)]
    if not all(map(drawable, ends)):
        return Html("")
    axis = Axis.over(f"gain of the network in {title_of(evaluation.primary)}, 95 % interval", [*ends, 0.0])
    area = Area(axis, Axis("", 0, len(baselines)), height=_ROW * len(baselines) + 56, left=14)
    x, bottom = area.at(0, 0)
    marks = [tag("line", x1=x, x2=x, y1=12, y2=bottom, class_="zero")]
    for place, one in enumerate(baselines):
        level = len(baselines) - place - 0.62
        kind = _class(one)
        marks.append(area.line([(one.low, level), (one.high, level)], f"whisker {kind}"))
        marks.append(area.dots([(one.difference, level)], kind, radius=5))
        left, y = area.at(axis.low, level)
        marks.append(tag("text", cut(one.name, 62), x=left, y=y - 13, class_="name"))
    return area.svg("Gain of the network over each baseline, with its 95 % interval", *marks, ticks_y=False)


def _named(baselines: Sequence[Comparison], sign: int) -> str:
    names = [cut(one.name, 80) for one in baselines if (one.low > 0) - (one.high < 0) == sign]
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + f" and {names[-1]}" if names else ""


def _is(names: str) -> str:
    return "are" if " and " in names else "is"


def _class(one: Comparison) -> str:
    return "good" if one.low > 0 else "bad" if one.high < 0 else "even"
