"""Texts for a language model, and the options of its prompts."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from maas.data import Rows

_CONTEXT = 512


def corpus(options: Namespace, path: str, context: int | None = None) -> Rows:
    """The texts of a file, a folder or a table's column, cut so that what is measured fits into the context."""
    from maas.data import read_corpus

    longest = (context or options.context or _CONTEXT) - 1
    return read_corpus(path, text=options.target, longest=max(1, longest), encoding=options.encoding or "utf8")


def prompts_of(options: Namespace) -> dict[str, Any]:
    """What `maas.fit` is told of the prompts: nothing where the task is another one."""
    from maas.preprocess import Prompt

    if options.task != "generation":
        return {}
    given = {name: getattr(options, name) for name in ("tokenizer", "vocabulary", "context")}
    return {"preprocess": Prompt.with_options(**{name: value for name, value in given.items() if value is not None})}
