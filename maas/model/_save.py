"""A model written as an artifact, with golden rows and the answers that it gives them now."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from maas import artifact
from maas._version import __version__
from maas.data import Rows
from maas.errors import ArtifactError
from maas.metrics import Evaluation
from maas.model._stored import description_of, tolerance_of

if TYPE_CHECKING:
    from maas.model._model import Model

_NUM_EXAMPLES = 4


def saved(
    model: Model, path: Path, evaluation: Evaluation | None, examples: Sequence[Mapping[str, Any]] | None
) -> Path:
    """What `Model.save` does."""
    rows = [dict(row) for row in examples] if examples else model.preprocess.examples(_NUM_EXAMPLES)
    precision = model.precision
    try:
        answers = model.set_precision("float32")._answers(rows)
    finally:
        model.set_precision(precision)
    if not answers.finite().all():
        raise ArtifactError("the model answers its example rows with NaN or infinity and will not be saved")
    columns, _ = model.schema.rows_to_columns(rows)
    description, tensors = description_of(model)
    artifact.write(
        path,
        description=description,
        card={
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": {
                "maas": __version__,
                "torch": torch.__version__,
                "python": platform.python_version(),
            },
            "num_parameters": sum(parameter.numel() for parameter in model.network.parameters()),
            **model.card,
            "evaluation": model.card.get("evaluation") if evaluation is None else evaluation.to_json(),
        },
        example={
            "rows": Rows(model.schema, columns).to_dicts(),
            "answers": answers.to_dicts(),
            "tolerance": tolerance_of(model),
            "unit": model.task.unit,
        },
        tensors=tensors,
    )
    return path
