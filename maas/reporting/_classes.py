"""Charts and tables of a classification: confusion, classes, curves, calibration."""

from __future__ import annotations

from collections.abc import Sequence

from maas.metrics import Calibration, Curve, Evaluation
from maas.reporting._charts import Area, Axis, legend
from maas.reporting._elements import cell, data_table, figure, heads
from maas.reporting._html import Html, cut, join, tag

_MOST_CLASSES = 25
_MOST_MISTAKES = 10
_MOST_ROWS = 50
_SHADES = 9


def confusion(labels: Sequence[str], counts: Sequence[Sequence[int]]) -> Html:
    """Counts by truth and answer, each shaded by its share of the row; of many classes the common mistakes only."""
    parts: list[str] = []
    if len(labels) <= _MOST_CLASSES:
        header = [
            tag("tr", tag("th", "truth", rowspan=2, scope="col"), tag("th", "answer", colspan=len(labels))),
            tag("tr", *(tag("th", cut(one, 24), scope="col") for one in labels)),
        ]
        rows = []
        for place, row in enumerate(counts):
            total = sum(row) or 1
            cells = (
                tag("td", f"{count:,}", class_=_shade(count / total, right=place == column))
                for column, count in enumerate(row)
            )
            rows.append(tag("tr", tag("th", cut(labels[place], 24), scope="row"), *cells))
        parts.append(data_table("Truth by row, answer by column", join(*header), rows, class_="data heat"))
    mistakes = [
        (count, labels[truth], labels[answer])
        for truth, row in enumerate(counts)
        for answer, count in enumerate(row)
        if truth != answer and count
    ]
    mistakes.sort(key=lambda one: -one[0])
    if mistakes and len(labels) > 2:
        named = (
            tag("li", f"{cut(truth, 60)} taken for {cut(answer, 60)}: {count:,}")
            for count, truth, answer in mistakes[:_MOST_MISTAKES]
        )
        parts.append(tag("h3", "The most common mistakes"))
        parts.append(tag("ol", *named))
    return join(*parts)


def class_table(evaluation: Evaluation) -> Html:
    """Precision, recall, F1 and rows of each class; of many classes those with the lowest F1."""
    scores = list(evaluation.by_class())
    note = ""
    if len(scores) > _MOST_ROWS:
        scores.sort(key=lambda one: -1.0 if one.f1 is None else one.f1)
        note = tag("p", f"The {_MOST_ROWS} of {len(scores):,} classes with the lowest F1.", class_="note")
    names = ("class", "precision", "recall", "F1", "rows")
    rows = [
        tag(
            "tr",
            tag("th", cut(one.label, 60), scope="row"),
            *(tag("td", cell(value)) for value in (one.precision, one.recall, one.f1)),
            tag("td", f"{one.support:,}"),
        )
        for one in scores[:_MOST_ROWS]
    ]
    return join(data_table("Class by class", heads(*names), rows), note)


def roc(curves: Sequence[Curve]) -> Html:
    """ROC curves: of the second class, or of each class against the rest."""
    area = Area(Axis("false positive rate", 0, 1), Axis("true positive rate", 0, 1))
    marks = [area.line([(0, 0), (1, 1)], "guess")]
    marks += [area.line(one.roc.tolist(), f"s{place}") for place, one in enumerate(curves)]
    names = ((f"line s{place}", f"{cut(one.label, 40)}, area {cell(one.area)}") for place, one in enumerate(curves))
    chart = area.svg("ROC: true positive rate by false positive rate", *marks)
    return figure("ROC", chart, legend(*names, ("line guess", "guessing, area 0.5")))


def precision_recall(curves: Sequence[Curve]) -> Html:
    """Precision by recall, of the same classes."""
    area = Area(Axis("recall", 0, 1), Axis("precision", 0, 1))
    marks = [area.line(one.precision_recall.tolist(), f"s{place}") for place, one in enumerate(curves)]
    names = [
        (f"line s{place}", f"{cut(one.label, 40)}, average precision {cell(one.average_precision)}")
        for place, one in enumerate(curves)
    ]
    if len(curves) == 1:
        share = curves[0].share
        marks.insert(0, area.line([(0, share), (1, share)], "guess"))
        names.append(("line guess", f"guessing, {cell(share)}"))
    return figure("Precision and recall", area.svg("Precision by recall", *marks), legend(*names))


def reliability(found: Calibration, num_classes: int) -> Html:
    """Share of right answers by the probability given to them, over how many rows that is."""
    least = 0.5 if num_classes == 2 and min(found.confidence) >= 0.5 else 0.0  # the likelier of two has at least half
    area = Area(Axis("probability of the answer", least, 1), Axis("share right", 0, 1))
    most = max(found.count)
    marks = [area.line([(least, least), (1, 1)], "guess")]
    bins = list(zip(found.confidence, found.accuracy, found.count, strict=True))
    marks += [area.line([(sure, sure), (sure, right)], "gap") for sure, right, _ in bins]
    marks += [area.dots([(sure, right)], "s0", radius=2.5 + 5 * (count / most) ** 0.5) for sure, right, count in bins]
    note = (
        f"Expected calibration error {cell(found.error)}: how far, in the mean over the rows, the probability of an "
        f"answer is from the share of answers that are right, in 15 bins of equal width. A dot below the line: "
        f"answers given too surely. The larger the dot, the more rows."
    )
    return figure("Reliability", area.svg("Share of right answers by probability given", *marks), tag("p", note))


def _shade(share: float, *, right: bool) -> str:
    level = round(min(1.0, max(0.0, share)) * _SHADES)
    level = level or int(share > 0)
    return f"{'right' if right else 'wrong'} h{level}"
