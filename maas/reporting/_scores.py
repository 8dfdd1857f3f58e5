"""What a reader wants first: the verdict in plain words, the scores, the gain over each baseline."""

from __future__ import annotations

from collections.abc import Sequence

from maas.metrics import Comparison, Evaluation, Grouping
from maas.reporting._charts import Area, Axis, drawable
from maas.reporting._html import Html, cut, join, tag

_MOST_TILES = 8
_MOST_GROUPS = 50
_ROW = 46


def cell(value: float | None) -> str:
    """A score as text."""
    if value is None:
        return "–"
    return f"{value:.4f}" if value == 0 or 0.001 <= abs(value) < 100 else f"{value:.4g}"


def signed(value: float) -> str:
    return f"{'−' if value < 0 else '+'}{cell(abs(value))}"


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
        found.append(evaluation.caution[:1].upper() + evaluation.caution[1:] + ".")
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


def title_of(score: str) -> str:
    """A score's name as people write it."""
    known = {"roc_auc": "ROC AUC", "f1": "F1", "ece": "ECE", "mae": "MAE", "rmse": "RMSE", "r2": "R²"}
    return known.get(score, score.replace("_", " "))


def beside_baselines(evaluation: Evaluation) -> Html:
    """All scores of all methods, then the gain over each baseline as a dot with its interval."""
    names = list(evaluation.scores)
    methods = {"this network": evaluation.scores, **{one.name: one.scores for one in evaluation.baselines}}
    header = tag("tr", tag("th", "method", scope="col"), *(tag("th", title_of(one), scope="col") for one in names))
    body = []
    for place, (method, scores) in enumerate(methods.items()):
        cells = (
            tag("td", cell(scores.get(name)), class_="primary" if name == evaluation.primary else None)
            for name in names
        )
        row = tag("tr", tag("th", cut(method, 120), scope="row"), *cells, class_=None if place else "own")
        body.append(row)
    table = data_table("Scores on the same test rows", header, body)
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
    gains = tag("figure", tag("figcaption", "Gain over each baseline"), whiskers(evaluation), verdicts)
    return join(table, gains)


def whiskers(evaluation: Evaluation) -> Html:
    """A dot and its interval for each baseline, on one scale; right of the line of 0 the network is better."""
    baselines = evaluation.baselines
    ends = [end for one in baselines for end in (one.low, one.high, one.difference)]
    if not all(map(drawable, ends)):
        return Html("")
    axis = Axis.over(f"gain of the network in {title_of(evaluation.primary)}, 95 % interval", [*ends, 0.0])
    area = Area(axis, Axis("", 0, len(baselines)), height=_ROW * len(baselines) + 56, left=14)
    _, zero_y = area.at(0, 0)
    x, _ = area.at(0, 0)
    marks = [tag("line", x1=x, x2=x, y1=12, y2=zero_y, class_="zero")]
    for place, one in enumerate(baselines):
        level = len(baselines) - place - 0.62
        kind = _class(one)
        marks.append(area.line([(one.low, level), (one.high, level)], f"whisker {kind}"))
        marks.append(area.dots([(one.difference, level)], kind, radius=5))
        left, y = area.at(axis.low, level)
        marks.append(tag("text", cut(one.name, 62), x=left, y=y - 13, class_="name"))
    return area.svg("Gain of the network over each baseline, with its 95 % interval", *marks, ticks_y=False)


def group_tables(groupings: Sequence[Grouping]) -> Html:
    """A sentence and a table for each column that rows were grouped by."""
    found: list[str] = []
    for grouping in groupings:
        sentence = grouping.verdict
        found.append(tag("p", tag("b", sentence[:1].upper() + sentence[1:] + ".")))
        columns = ("rows", title_of(grouping.primary), "95 % interval", "served worse by", "interval of that")
        header = tag("tr", tag("th", grouping.name, scope="col"), *(tag("th", one, scope="col") for one in columns))
        rows = []
        for one in grouping.groups[:_MOST_GROUPS]:
            judged = one.gap_low is not None and one.gap_high is not None
            gap = f"{signed(one.gap_low or 0.0)} to {signed(one.gap_high or 0.0)}" if judged else "not judged"
            wide = "–" if one.gap is None else signed(one.gap)
            interval = "–" if one.low is None else f"{cell(one.low)} to {cell(one.high)}"
            worse = one.gap_low is not None and one.gap_low > 0
            texts = [f"{one.num_rows:,}", cell(one.score), interval, wide, gap]
            cells = (tag("td", text) for text in texts)
            rows.append(
                tag("tr", tag("th", cut(one.value, 80), scope="row"), *cells, class_="worse" if worse else None)
            )
        found.append(data_table(f"Scores by {grouping.name}", header, rows))
        if len(grouping.groups) > _MOST_GROUPS:
            found.append(tag("p", f"And {len(grouping.groups) - _MOST_GROUPS:,} more groups.", class_="note"))
    found.append(
        tag(
            "p",
            "“Served worse by” compares a group with all other rows. Its intervals are widened so that all of a column "
            "hold at once with 95 %. A group of few rows is not judged; that none is shown to be served worse does not "
            "show that all are served alike.",
            class_="note",
        )
    )
    return join(*found)


def data_table(caption: str, header: Html, rows: Sequence[Html], *, class_: str = "data") -> Html:
    """A table that scrolls where it is wider than the page."""
    inner = tag("table", tag("caption", caption), tag("thead", header), tag("tbody", *rows), class_=class_)
    return tag("div", inner, class_="scroll", tabindex="0", role="region", aria_label=caption)


def _named(baselines: Sequence[Comparison], sign: int) -> str:
    names = [cut(one.name, 80) for one in baselines if (one.low > 0) - (one.high < 0) == sign]
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + f" and {names[-1]}" if names else ""


def _is(names: str) -> str:
    return "are" if " and " in names else "is"


def _class(one: Comparison) -> str:
    return "good" if one.low > 0 else "bad" if one.high < 0 else "even"
