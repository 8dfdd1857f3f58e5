"""What sections are made of: figures, tables, sentences, scores as text."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from maas.metrics._text import score_text, signed_text
from maas.reporting._html import Html, tag

cell = partial(score_text, missing="–")
signed = partial(signed_text, minus="−")


def figure(title: str, *children: str) -> Html:
    """A chart, and what belongs to it, below its title."""
    return tag("figure", tag("figcaption", title), *children)


def heads(*names: str) -> Html:
    """The row of a table that says what its columns are."""
    return tag("tr", *(tag("th", name, scope="col") for name in names))


def data_table(caption: str, header: Html, rows: Sequence[Html], *, class_: str = "data") -> Html:
    """A table that scrolls where it is wider than the page."""
    inner = tag("table", tag("caption", caption), tag("thead", header), tag("tbody", *rows), class_=class_)
    return tag("div", inner, class_="scroll", tabindex="0", role="region", aria_label=caption)


def sentence(clause: str) -> str:
    """A clause with a capital letter and a full stop."""
    return clause[:1].upper() + clause[1:] + "."


def title_of(score: str) -> str:
    """A score's name as people write it."""
    known = {"roc_auc": "ROC AUC", "f1": "F1", "ece": "ECE", "mae": "MAE", "rmse": "RMSE", "r2": "R²"}
    return known.get(score, score.replace("_", " "))
