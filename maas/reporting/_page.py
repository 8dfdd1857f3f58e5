"""The page around the sections: one file without scripts, that asks nothing of the network."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence

from maas.reporting._html import Html, join, tag
from maas.reporting._style import STYLE


def page(title: str, lead: str, sections: Sequence[tuple[str, str]]) -> str:
    """A whole HTML document.

    Args:
        title: of the window and the page.
        lead: what stands before the first section.
        sections: pairs of a heading and what stands below it; empty ones are left out.
    """
    # What is put in cannot run or fetch anything, even if it escaped its escaping.
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode("ascii")
    policy = f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", Html(STYLE)),
    )
    shown = [(heading, content) for heading, content in sections if content]
    body = tag(
        "body",
        tag("header", tag("h1", title), lead),
        tag("main", *(tag("section", tag("h2", heading), content) for heading, content in shown)),
    )
    return "<!DOCTYPE html>\n" + join(tag("html", head, body, lang="en")) + "\n"
