"""Pages opened in a real browser: nothing fails, nothing is fetched, and they fit a dark and a narrow screen.

Screenshots lie in pytest's temporary folder (`--basetemp`), one a test. Where there is no browser these are skipped.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import maas
from maas.data import Rows
from maas.reporting import pareto, report

from .test_pareto import search

SCRIPTS = Path(__file__).parents[2] / "scripts"
NARROW, WIDE = 390, 1100
DRAWINGS = """[...document.querySelectorAll('svg.chart')].map(one => {
    const box = one.getBoundingClientRect(), marks = one.querySelectorAll('.line, .dot, .bar');
    return [box.left >= 0 && box.right <= innerWidth && box.width > 200, marks.length];
})"""
BRIGHTNESS = """getComputedStyle(document.body).{}.match(/[0-9]+/g).slice(0, 3)
    .reduce((sum, one) => sum + +one / 765, 0)"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SCRIPTS))
        module = importlib.import_module("browser")
    command = module.find()
    if command is None:
        pytest.skip(f"no browser here ({', '.join(module.NAMES)}, or CHROMIUM=PATH): how pages look was NOT checked")
    with module.Browser(command) as found:
        yield found


@pytest.fixture(scope="module")
def page(cancer_model: maas.Model, cancer_split: tuple[Rows, Rows], tmp_path_factory: pytest.TempPathFactory) -> Path:
    train, test = cancer_split
    evaluation = cancer_model.evaluate(test, baselines_from=train, groups="mean_radius")
    return report(evaluation, tmp_path_factory.mktemp("page") / "report.html", model=cancer_model, test=test)


@pytest.mark.parametrize(("width", "dark"), [(WIDE, False), (WIDE, True), (NARROW, False), (NARROW, True)])
def test_a_report_on_screens_of_all_kinds(browser: Any, page: Path, width: int, dark: bool, tmp_path: Path) -> None:
    browser.open(page, width=width, dark=dark)
    assert browser.picture(tmp_path / "report.png").stat().st_size > 50_000
    assert browser.said == []
    assert browser.asked == [page.as_uri()]
    assert browser.value("document.documentElement.scrollWidth") <= width
    drawings = browser.value(DRAWINGS)
    assert len(drawings) >= 5
    assert all(fits and marks for fits, marks in drawings)
    behind, written = (browser.value(BRIGHTNESS.format(what)) for what in ("backgroundColor", "color"))
    assert (behind < 0.2 and written > 0.8) if dark else (behind > 0.8 and written < 0.2)


def test_the_picture_of_a_search_is_one(browser: Any, tmp_path: Path) -> None:
    found = search(("slim", 0.88, 2.5, 500), ("wreck", 0.1, 1.0, 500), machine="Intel(R) Xeon(R) Processor, 1 thread")
    picture = pareto(found, tmp_path / "pareto.svg")
    browser.open(picture, width=800, height=600)
    browser.picture(tmp_path / "pareto.png", whole=False)
    assert browser.said == []
    assert browser.asked == [picture.as_uri()]
    outside = """[...document.querySelectorAll('text')].filter(one => {
        const box = one.getBBox(), seen = document.documentElement.viewBox.baseVal;
        return one.transform.baseVal.length == 0 && (box.x < 0 || box.x + box.width > seen.width);
    }).map(one => one.textContent)"""
    assert browser.value(outside) == []


def test_what_a_page_does_amiss_is_seen(browser: Any, tmp_path: Path) -> None:
    """The proof that the tests above can fail."""
    amiss = tmp_path / "amiss.html"
    amiss.write_text("<img src='http://localhost:1/x.png'><script>nothing()</script><p style='width:900px'>wide")
    browser.open(amiss, width=NARROW)
    assert "http://localhost:1/x.png" in browser.asked
    assert any("Uncaught" in one for one in browser.said)
    assert browser.value("document.documentElement.scrollWidth") > NARROW
