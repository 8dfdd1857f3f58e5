"""The picture of a search, alone and on a page."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

import maas
from maas.compress import Candidate, Measured, Search
from maas.data import Rows
from maas.errors import DataError, FormatError
from maas.reporting import pareto, report

HOSTILE = "</style><script>alert(1)</script>\u202e"
CIRCLE, TEXT = "{http://www.w3.org/2000/svg}circle", "{http://www.w3.org/2000/svg}text"


def search(*more: tuple[str, float, float, int], **how: Any) -> Search:
    """Of an accuracy of 0.9 at 4 ms and 4,000 bytes, of int8, and of these: a name, an accuracy, a p50, bytes."""
    lines = [("as it is", 0.9, 4.0, 4000), ("int8", 0.895, 2.0, 1000), *more]
    candidates = [
        Candidate(name, score, round(0.9 - score, 9), Measured(size, 2 * size, None, p50, p50, p50, p50, (p50,) * 4))
        for name, score, p50, size in lines
    ]
    given = {"primary": "accuracy", "greater_is_better": True, "max_drop": 0.01, "optimize": "latency"}
    given |= {"machine": "a CPU", **how}
    skipped = Candidate("distilled", skipped="needs rows")
    return Search(**given, num_rows=500, fingerprint="f", candidates=(*candidates, skipped))


def dots(drawing: ElementTree.Element, kind: str) -> list[tuple[float, float]]:
    """Where the dots of a kind stand in the two charts, one chart after the other."""
    circles = [one for group in drawing for one in group.iter(CIRCLE) if group.get("class") == "chart"]
    return [(float(one.get("cx", "")), float(one.get("cy", ""))) for one in circles if one.get("class") == kind]


def test_a_dot_for_each_candidate_where_its_numbers_say(tmp_path: Path) -> None:
    drawn = ElementTree.parse(pareto(search(("slim", 0.88, 2.5, 500)), tmp_path / "p.svg")).getroot()
    first, second = dots(drawn, "dot s0")[:2], dots(drawn, "dot s0")[2:]
    assert first[0][0] > first[1][0]  # int8 is quicker
    assert first[0][1] < first[1][1]  # and answers worse; SVG counts downwards
    assert len(second) == 2
    over = dots(drawn, "dot bad")
    assert len(over) == 2
    assert over[0][1] > first[1][1]
    assert dots(drawn, "ring") == [first[1], second[1]]
    words = [one.text for one in drawn.iter(TEXT)]
    assert "2  int8" in words
    assert "3  slim" in words
    assert not [one for one in words if one and "distilled" in one]
    assert "500 rows judge, accuracy may be worse by 0.01; a CPU" in words


def test_what_is_far_off_stands_at_the_edge(tmp_path: Path) -> None:
    drawn = ElementTree.parse(pareto(search(("wreck", 0.1, 1.0, 500)), tmp_path / "p.svg")).getroot()
    ticks = [float(one.text) for one in drawn.iter(TEXT) if re.fullmatch(r"0\.8\d*|0\.9\d*", one.text or "")]
    assert min(ticks) > 0.85
    assert [one.text for one in drawn.iter(TEXT)][-1].endswith("at the edge, for worse than the chart shows: 3")


def test_of_an_error_the_edge_is_above(tmp_path: Path) -> None:
    one = search(("wreck", 5.0, 1.0, 500), primary="rmse", greater_is_better=False, max_drop=0.01)
    drawn = ElementTree.parse(pareto(one, tmp_path / "p.svg")).getroot()
    words = [text.text for text in drawn.iter(TEXT)]
    assert "RMSE, lower is better" in words
    assert str(words[-1]).endswith("at the edge, for worse than the chart shows: 3")


def test_it_needs_nothing_else_and_obeys_nobody(tmp_path: Path) -> None:
    text = pareto(search((HOSTILE, 0.9, 1.0, 500)), tmp_path / "p.svg").read_text("utf-8")
    ElementTree.fromstring(text)
    assert "<script" not in text
    assert "\u202e" not in text
    assert "var(" not in text
    assert re.findall(r'(?:href|src|url)[=(]"?[^"]*', text) == []


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"`path` must be a file such as pareto\.svg"):
        pareto(search(), tmp_path)


def test_a_page_shows_the_search_that_chose_the_model(
    wine_model: maas.Model, wine_split: tuple[Rows, Rows], tmp_path: Path
) -> None:
    evaluation = wine_model.evaluate(wine_split[1])
    plain = report(evaluation, tmp_path / "r.html", model=wine_model).read_text("utf-8")
    assert "<h2>Compression</h2>" not in plain
    parts = {name: getattr(wine_model, name) for name in ("recipe", "schema", "preprocess", "task", "target")}
    model = maas.Model(wine_model.network, **parts)
    model.card["compression_search"] = search((HOSTILE, 0.7, 1.0, 500)).to_json()
    page = report(evaluation, tmp_path / "r.html", model=model).read_text("utf-8")
    assert "<h2>Compression</h2><p>Chosen for latency: int8, 4.0 times smaller and 2.00 times as fast" in page
    assert "skipped: needs rows" in page
    assert "<script" not in page
    assert "http://" not in page
    model.card["compression_search"] = {"candidates": 3}
    with pytest.raises(FormatError, match="the card does not hold a search"):
        report(evaluation, tmp_path / "r.html", model=model)
