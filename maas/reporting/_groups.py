"""Scores by group of rows: who is served worse."""

from __future__ import annotations

from collections.abc import Sequence

from maas.metrics import Grouping
from maas.reporting._elements import cell, data_table, heads, sentence, signed, title_of
from maas.reporting._html import Html, cut, join, tag

_MOST_GROUPS = 50


def group_tables(groupings: Sequence[Grouping]) -> Html:
    """A sentence and a table for each column that rows were grouped by."""
    found: list[str] = []
    for grouping in groupings:
        found.append(tag("p", tag("b", sentence(grouping.verdict))))
        columns = ("rows", title_of(grouping.primary), "95 % interval", "served worse by", "interval of that")
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
        found.append(data_table(f"Scores by {grouping.name}", heads(grouping.name, *columns), rows))
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
