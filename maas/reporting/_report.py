"""`maas.report`: an evaluation as a page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from maas import data
from maas.data import Rows
from maas.errors import DataError, show
from maas.metrics import Details, Evaluation
from maas.model import Model
from maas.reporting._classes import class_table, confusion, precision_recall, reliability, roc
from maas.reporting._facts import data_facts, model_facts, stated
from maas.reporting._groups import group_tables
from maas.reporting._html import Html, cut, join, tag
from maas.reporting._page import page
from maas.reporting._pareto import compression
from maas.reporting._rows import worst_rows
from maas.reporting._scores import beside_baselines, tiles, verdict, warnings
from maas.reporting._values import by_step, learning_curves, predicted_against_true, residuals
from maas.storage import write_atomic


def report(evaluation: Evaluation, path: str | Path, *, model: Model | None = None, test: Any = None) -> Path:
    """Write an evaluation as one HTML page that needs no network, no script and no other file.

    Every score on it is the evaluation's: nothing is measured again. An evaluation that `model.evaluate` gave holds
    what the curves and the worst rows are made of; one out of a card holds scores, baselines, confusion, calibration
    and groups only, and the page has the fewer sections.

    The page shows a few test rows as they are when `test` is given. Mind who may see them.

    Args:
        evaluation: of `model.evaluate`, or `Evaluation.from_json(model.card["evaluation"])`.
        path: the file to write; one that stands there is replaced.
        model: the model that was evaluated: for learning curves, facts, intended use and limits.
        test: the rows it was evaluated on: to show those answered worst.

    Returns:
        The path.

    Raises:
        DataError: `test` are other rows than the evaluation's, or `path` is a folder.
        FormatError: the model's card holds what no maas wrote.
    """
    path = Path(path)
    if path.is_dir():
        raise DataError(f"`path` must be a file such as report.html, got the folder {path}")
    if not isinstance(evaluation, Evaluation):
        raise DataError(f"`evaluation` must be what model.evaluate gives, got {show(evaluation)}")
    rows = None
    if test is not None:
        rows = data.as_rows(test, task=evaluation.task)
        if rows.fingerprint() != evaluation.fingerprint:
            raise DataError(
                f"`test` has other rows than the evaluation: {len(rows):,} rows where {evaluation.num_rows:,} were "
                f"evaluated, or others in another order; give the rows that went to model.evaluate"
            )
    write_atomic(path, _page(evaluation, model, rows).encode("utf-8", "replace"))
    return path


def _page(evaluation: Evaluation, model: Model | None, test: Rows | None) -> str:
    details = evaluation.details or Details()
    card: dict[str, Any] = {} if model is None else model.card
    named = f"{cut(model.target, 80)}: {evaluation.task}" if model is not None else evaluation.task.capitalize()
    lead = join(
        tag("p", verdict(evaluation), class_="verdict"),
        *(tag("p", one, class_="warning") for one in warnings(evaluation)),
        tiles(evaluation),
    )
    sections = [
        ("Beside simple baselines" if evaluation.baselines else "Scores", beside_baselines(evaluation)),
        ("Who is served worse", group_tables(evaluation.groups) if evaluation.groups else ""),
        ("Classes", _classes(evaluation)),
        ("Charts", _charts(evaluation, details, card)),
        ("Answered worst", _worst(details, test)),
        ("Compression", compression(card["compression_search"]) if card.get("compression_search") else ""),
        ("Intended use and limits", "" if model is None else stated(card)),
        ("Data", data_facts(evaluation, card)),
        ("Model", "" if model is None else model_facts(model)),
    ]
    return page(f"{named} on {evaluation.num_rows:,} test rows", lead, sections)


def _classes(evaluation: Evaluation) -> Html:
    if evaluation.labels is None or evaluation.confusion is None:
        return Html("")
    matrix = tag("div", confusion(evaluation.labels, evaluation.confusion))
    return tag("div", matrix, tag("div", class_table(evaluation)), class_="pair")


def _charts(evaluation: Evaluation, details: Details, card: dict[str, Any]) -> Html:
    charts = [learning_curves(card.get("training"))]
    if details.curves:
        charts += [roc(details.curves), precision_recall(details.curves)]
    if evaluation.calibration is not None and evaluation.calibration.count:
        charts.append(reliability(evaluation.calibration, len(evaluation.labels or ())))
    if details.pairs is not None:
        charts.append(predicted_against_true(details.pairs, evaluation.num_rows))
    if details.residuals is not None:
        charts.append(residuals(*details.residuals))
    if details.steps:
        charts.append(by_step(details.steps))
    return tag("div", *charts, class_="charts") if any(charts) else Html("")


def _worst(details: Details, test: Rows | None) -> Html:
    if not details.worst:
        return Html("")
    note = "The rows with the largest loss, the worst first. They may be mistakes of the network, or of the labels."
    return join(tag("p", note, class_="note"), worst_rows(details.worst, test))
