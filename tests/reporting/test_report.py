"""Pages of each kind of evaluation: whole, self-contained, honest, and safe whatever the data say."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest

import maas
from maas.data import Rows, read_table
from maas.errors import DataError
from maas.metrics import Comparison, Evaluation, Scores
from maas.reporting import report

VOID = {"meta", "img", "br"}
HOSTILE = "</style></script><script>alert(1)</script><img src=x onerror=alert(1)>\u202e\0"


class Page(HTMLParser):
    """What a page holds, each element closed in its turn."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.policy = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in VOID or self.get_starttag_text().endswith("/>")  # type: ignore[union-attr]
        self.open.append(tag)
        self.handle_startendtag(tag, attrs)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if ("http-equiv", "Content-Security-Policy") in attrs:
            self.policy = dict(attrs)["content"] or ""

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data + " "

    @property
    def words(self) -> str:
        return " ".join(self.text.split())


def read(path: Path) -> Page:
    page = Page(path.read_text("utf-8"))
    assert not {"script", "link", "iframe", "object", "embed", "form", "base"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on") or name in ("style", "href", "srcset")]
    assert all(value.startswith("data:image/png;base64,") for name, value in page.attributes if name == "src")
    assert "http://" not in path.read_text("utf-8")
    assert "https://" not in path.read_text("utf-8")
    return page


def test_a_classification_of_two(cancer_model: maas.Model, cancer_split: tuple[Rows, Rows], tmp_path: Path) -> None:
    train, test = cancer_split
    evaluation = cancer_model.evaluate(test, baselines_from=train, groups="mean_radius")
    page = read(report(evaluation, tmp_path / "r.html", model=cancer_model, test=test))
    for heading in ("Beside simple baselines", "Who is served worse", "Classes", "Answered worst", "Data", "Model"):
        assert heading in page.words
    for chart in ("Learning curves", "ROC", "Precision and recall", "Reliability", "Gain over each baseline"):
        assert chart in page.words
    assert evaluation.scores["roc_auc"] is not None
    assert f"malignant, area {evaluation.scores['roc_auc']:.4f}" in page.words
    assert f"Expected calibration error {evaluation.scores['ece']:.4f}" in page.words
    assert evaluation.details is not None
    assert f"row {evaluation.details.worst[0].position} " in page.words
    assert test.fingerprint() in page.words
    assert "Intended use Not stated." in page.words
    assert page.words.count("24 more") == 12


def test_three_classes_have_a_curve_each(wine_model: maas.Model, wine_split: tuple[Rows, Rows], tmp_path: Path) -> None:
    evaluation = wine_model.evaluate(wine_split[1])
    page = read(report(evaluation, tmp_path / "r.html", model=wine_model))
    assert page.words.count(", average precision ") == 3
    assert "No baseline was measured beside this network" in page.words
    assert "The test has 44 rows only" in page.words


def test_a_regression(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(200, 3))
    x[0, 1] = np.nan
    rows = maas.data.from_arrays(x, np.nan_to_num(x) @ [1.0, 2.0, 3.0])
    train, test = rows.split(0.3, seed=0)
    model = maas.fit(maas.recipe(maas.nn.MLP), train, epochs=2, device="cpu", progress=False)
    evaluation = model.evaluate(test, baselines_from=train)
    page = read(report(evaluation, tmp_path / "r.html", model=model, test=test))
    assert "A baseline wins: mean, ridge regression and boosted trees are better" in page.words
    assert page.tags.count("circle") >= 60
    for words in ("Predicted against true", "Residuals", "off by"):
        assert words in page.words


def test_a_forecast(tmp_path: Path) -> None:
    rows = maas.data.windows(np.sin(np.arange(300) / 5), window=20, horizon=4)
    train, test = rows.split(0.3)
    model = maas.fit(maas.recipe(maas.nn.RNN, hidden_size=4), train, epochs=1, device="cpu", progress=False)
    evaluation = model.evaluate(test, baselines_from=train)
    page = read(report(evaluation, tmp_path / "r.html", model=model, test=test))
    for words in ("Error by step ahead", "ridge regression: ", "sequence: 20 steps", "truth forecast RMSE"):
        assert words in page.words


def test_images_are_shown_as_stored_again_by_us(tmp_path: Path) -> None:
    """A comment in the file of an image does not get into the page; its pixels do."""
    from torchvision.io import decode_png

    images = np.random.default_rng(0).integers(0, 255, (24, 300, 200, 3), np.uint8)
    rows = maas.data.read_images((images, ["<b>cat</b>", "dog"] * 12))
    column = rows.columns["image"]
    column[:] = [one + b"<script>stowaway</script>" for one in column]
    recipe = maas.recipe(maas.nn.CNN, filters=(2,))
    small = maas.preprocess.Image.with_options(size=8)
    model = maas.fit(recipe, rows, preprocess=small, epochs=1, device="cpu", progress=False)
    path = report(model.evaluate(rows), tmp_path / "r.html", model=model, test=rows)
    page = read(path)
    shown = [base64.b64decode(value.split(",")[1]) for name, value in page.attributes if name == "src"]
    assert len(shown) == 12
    import torch

    for png in shown:
        assert b"stowaway" not in png
        assert decode_png(torch.frombuffer(bytearray(png), dtype=torch.uint8)).shape == (3, 160, 107)
    assert "<b>cat</b>" in page.words


@pytest.fixture(scope="module")
def hostile() -> tuple[maas.Model, Rows]:
    """Texts, labels, the target's name and the card say what would run if it were HTML."""
    texts = [f"{word} {place} {HOSTILE}".replace("\0", "") for place in range(20) for word in ("good", "bad")]
    rows = maas.data.read_texts((texts, [HOSTILE, "fine & <b>dandy</b>"] * 20))
    rows = replace(rows, target_name=HOSTILE, side={HOSTILE: np.array(["<i>a</i>", HOSTILE] * 20, object)})
    recipe = maas.recipe(maas.nn.TextCNN, embedding_dim=4, channels=2)
    model = maas.fit(recipe, rows, epochs=1, device="cpu", progress=False)
    model.card |= {"intended_use": HOSTILE, "limits": HOSTILE, "created": HOSTILE, "versions": {HOSTILE: HOSTILE}}
    model.card["data"]["source"] = HOSTILE
    return model, rows


def test_hostile_words_are_shown_and_do_not_run(hostile: tuple[maas.Model, Rows], tmp_path: Path) -> None:
    model, rows = hostile
    evaluation = model.evaluate(rows, baselines_from=rows, groups=HOSTILE)
    one = replace(evaluation.baselines[0], name=HOSTILE)
    evaluation = replace(evaluation, baselines=(one,), scores={**evaluation.scores, HOSTILE: 1.0})
    page = read(report(evaluation, tmp_path / "r.html", model=model, test=rows))
    assert "<script>alert(1)</script>" in page.words  # as text
    assert "img" not in page.tags
    assert "\u202e" not in page.text
    assert "\\u202e\\x00" in page.words


def test_hostile_labels_and_fields_of_other_tasks_are_shown_and_do_not_run(tmp_path: Path) -> None:
    """Several labels a row, and anomalies: labels, names and values of the table are hostile."""
    words = HOSTILE.replace("\0", "")
    generator = np.random.default_rng(0)
    table = pandas.DataFrame(
        {
            words: generator.normal(size=60),
            "kind": [words, "plain"] * 30,
            "state": ["ok"] * 50 + [words] * 10,
            "labels": [f"{words}|a", "a", ""] * 20,
        }
    )
    many = read_table(table, target="labels", task="multilabel", drop=["state"])
    odd = read_table(table, target="state", task="anomaly", drop=["labels"])
    options = maas.task.Anomaly.with_options(normal="ok", false_alarms=0.2)
    for rows, recipe, task in (
        (many, maas.recipe(maas.nn.MLP, hidden=(2,)), None),
        (odd, maas.recipe(maas.nn.AutoEncoder, hidden=(2,), code=1), options),
    ):
        model = maas.fit(recipe, rows, task=task, epochs=1, device="cpu", progress=False)
        evaluation = model.evaluate(rows, baselines_from=rows, groups="kind")
        page = read(report(evaluation, tmp_path / "r.html", model=model, test=rows))
        assert "<script>alert(1)</script>" in page.words  # as text
        assert "img" not in page.tags
        assert "\u202e" not in page.text
        assert "Answered worst" in page.words


def test_the_policy_allows_the_pages_own_style_and_nothing_else(
    hostile: tuple[maas.Model, Rows], tmp_path: Path
) -> None:
    path = report(hostile[0].evaluate(hostile[1]), tmp_path / "r.html")
    style = re.search("<style>(.*?)</style>", path.read_text("utf-8"), re.DOTALL)
    assert style
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert read(path).policy == (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )


def test_the_same_evaluation_gives_the_same_bytes(
    cancer_model: maas.Model, cancer_split: tuple[Rows, Rows], tmp_path: Path
) -> None:
    train, test = cancer_split
    paths = [tmp_path / "one.html", tmp_path / "other.html"]
    for path in paths:
        report(cancer_model.evaluate(test, baselines_from=train), path, model=cancer_model, test=test)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_an_evaluation_out_of_a_card_has_fewer_sections(
    wine_model: maas.Model, wine_split: tuple[Rows, Rows], tmp_path: Path
) -> None:
    train, test = wine_split
    stored = json.loads(json.dumps(wine_model.evaluate(test, baselines_from=train).to_json()))
    page = read(report(Evaluation.from_json(stored), tmp_path / "r.html"))
    assert "Classes" in page.words
    assert "Reliability" in page.words
    assert "Gain over each baseline" in page.words
    assert "ROC: " not in page.words
    assert "Answered worst" not in page.words


def test_a_task_that_it_does_not_know_has_scores_and_baselines(tmp_path: Path) -> None:
    per_row = np.linspace(0, 1, 50)
    one, other = (Scores({"ndcg@10": float(part.mean())}, "ndcg@10", True, part) for part in (per_row, per_row / 2))
    evaluation = Evaluation.compare("ranking", one, {"popularity": other}, fingerprint="f" * 64)
    page = read(report(evaluation, tmp_path / "r.html"))
    assert "The network is better than popularity in ndcg@10." in page.words
    assert "Charts" not in page.words


def compared(*ends: tuple[float, float]) -> Callable[[Evaluation], Evaluation]:
    names = ("trees", "linear", "mean")
    found = tuple(Comparison(name, {}, sum(pair) / 2, *pair) for name, pair in zip(names, ends, strict=False))
    return lambda evaluation: replace(evaluation, baselines=found)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (compared((0.1, 0.2)), "The network is better than trees in accuracy."),
        (
            compared((0.1, 0.2), (0.1, 0.2), (0.1, 0.2)),
            "The network is better than trees, linear and mean in accuracy.",
        ),
        (compared((-0.1, 0.2)), "No difference in accuracy is shown between this network and trees."),
        (compared((-0.1, 0.2), (0.1, 0.2)), "better than linear in accuracy; no difference is shown to trees."),
        (compared((-0.2, -0.1)), "A baseline wins: trees is better than this network in accuracy."),
        (
            compared((-0.2, -0.1), (-0.3, -0.1), (0.2, 0.3)),
            "A baseline wins: trees and linear are better than this network in accuracy. The network beats mean only.",
        ),
        (lambda one: replace(one, num_duplicates=7), "7 of the 44 test rows stand among the training rows too"),
    ],
)
def test_the_verdict_in_a_plain_sentence(
    change: Any, sentence: str, wine_model: maas.Model, wine_split: tuple[Rows, Rows], tmp_path: Path
) -> None:
    path = report(change(wine_model.evaluate(wine_split[1])), tmp_path / "r.html")
    assert sentence in read(path).words


@pytest.mark.parametrize(
    "card",
    [
        {"training": 3, "data": [], "versions": "x", "limits": {"a": 1}},
        {"training": {"history": [{"train_loss": 10**400}, {"train_loss": None}, 7], "best_epoch": "x"}},
        {"training": {"history": [{"train_loss": -1e308}, {"train_loss": 1e308}] * 5, "best_epoch": 10**30}},
        {"training": {"history": "abc", "optimizer": ["x"], "seed": 10**4000}},
    ],
)
def test_a_hostile_card_spoils_no_page(
    card: dict[str, Any], wine_model: maas.Model, wine_split: tuple[Rows, Rows], tmp_path: Path
) -> None:
    evaluation = wine_model.evaluate(wine_split[1])
    before = dict(wine_model.card)
    try:
        wine_model.card.update(card)
        page = read(report(evaluation, tmp_path / "r.html", model=wine_model))
    finally:
        wine_model.card.clear()
        wine_model.card.update(before)
    assert "Learning curves" not in page.words


@pytest.mark.parametrize(("low", "high"), [(-1e308, 1e308), (0.0, 5e-324), (-1e308, -1e307)])
def test_gains_beyond_any_chart_spoil_no_page(low: float, high: float, tmp_path: Path) -> None:
    """Out of a card, which may come from anyone."""
    scores: dict[str, float | None] = {"accuracy": high}
    baseline = Comparison("guess", scores, low, low, high)
    evaluation = Evaluation("x", 200, None, scores, "accuracy", (baseline,), None, None, "f")
    stored = Evaluation.from_json(json.loads(json.dumps(evaluation.to_json())))
    assert "Beside simple baselines" in read(report(stored, tmp_path / "r.html")).words


def test_many_classes_are_cut_to_what_a_page_can_hold(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    labels = [f"class {place}" for place in range(60)]
    scores = maas.metrics.classification_scores(
        generator.integers(0, 60, 500), generator.dirichlet(np.ones(60), 500), labels
    )
    path = report(Evaluation.compare("classification", scores, {}, fingerprint="f"), tmp_path / "r.html")
    page = read(path)
    assert "The 50 of 60 classes with the lowest F1." in page.words
    assert "The most common mistakes" in page.words
    assert "Truth by row" not in page.words


def test_other_rows_than_the_evaluations_are_refused(
    wine_model: maas.Model, wine_split: tuple[Rows, Rows], tmp_path: Path
) -> None:
    train, test = wine_split
    evaluation = wine_model.evaluate(test)
    with pytest.raises(DataError, match=f"`test` has other rows than the evaluation: {len(train)} rows where 44"):
        report(evaluation, tmp_path / "r.html", test=train)
    assert not (tmp_path / "r.html").exists()


def test_what_cannot_be_written_is_refused(
    wine_model: maas.Model, wine_split: tuple[Rows, Rows], tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"`path` must be a file such as report\.html, got the folder"):
        report(wine_model.evaluate(wine_split[1]), tmp_path)
    with pytest.raises(DataError, match=r"`evaluation` must be what model\.evaluate gives, got 'wine'"):
        report("wine", tmp_path / "r.html")  # type: ignore[arg-type]


def test_words_are_escaped_once(hostile: tuple[maas.Model, Rows], tmp_path: Path) -> None:
    path = report(hostile[0].evaluate(hostile[1]), tmp_path / "r.html")
    assert html.escape("fine & <b>dandy</b>") in path.read_text("utf-8")
    assert "&amp;amp;" not in path.read_text("utf-8")
