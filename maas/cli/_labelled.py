"""Rows with their target, for a model that is already there."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from maas.cli._corpus import corpus
from maas.cli._options import reading_of
from maas.errors import DataError

if TYPE_CHECKING:
    from maas.data import Rows
    from maas.model import Model

_IN_PYTHON_ONLY = {
    "ranking": "maas.data.read_interactions(...).split(...)",
    "forecast": "maas.data.windows(...).split(...)",
}


def labelled(options: Namespace, model: Model, path: str) -> Rows:
    """Rows with their target, of a table or of what the model's one field is read from."""
    from maas import data

    if model.task.kind in _IN_PYTHON_ONLY:
        raise DataError(
            f"the command line has no rows to score a {model.task.kind} by: they are split off in Python, "
            f"{_IN_PYTHON_ONLY[model.task.kind]}, and go to model.evaluate and maas.report"
        )
    if model.task.kind == "generation":
        return corpus(options, path, getattr(model.preprocess, "context", None))
    kinds = [field.kind for field in model.schema.fields]
    readers = {"image": data.read_images, "audio": data.read_audio}
    if len(kinds) == 1 and kinds[0] in readers and kinds[0] == model.schema.names[0]:  # as these readers name fields
        is_table = Path(path).suffix.lower() in (".csv", ".tsv", ".parquet")
        name = options.target or model.target
        target = name.split(",") if model.task.kind == "multilabel" and "," in name else name
        return readers[kinds[0]](
            path, target=target if is_table else None, task=model.task.kind, separator=options.separator
        )
    if kinds == ["sequence"] and Path(path).suffix.lower() == ".ts":
        return data.read_sequences(path, task=model.task.kind)
    classes = model.task.state()[0].get("classes", [])
    rows, errors = data.read_columns(
        path,
        model.schema,
        target=options.target or model.target,
        task=model.task.kind,
        text_target=any(isinstance(label, str) for label in classes),
        separator=options.separator,
        side=options.groups,
        **reading_of(options),
    )
    if errors:
        raise errors[min(errors)]
    return rows
