"""Why a model answers as it does: what each field of a row adds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from maas.errors import DataError
from maas.model._prepared import Prepared, as_one
from maas.nn import integrated_gradients
from maas.preprocess import Explains

if TYPE_CHECKING:
    from maas.model._model import Model

_ROWS_AT_ONCE = 16  # the gradients of all layers are kept


def explained(model: Model, rows: Any, label: Any) -> list[dict[str, Any]]:
    """The explanation of each row; see `Model.explain`."""
    found: list[dict[str, Any]] = []
    for prepared in model.prepared(rows):
        if errors := prepared.errors:
            raise as_one(errors, len(errors) + len(prepared.kept))
        found += _explained(model, prepared, label)
    return found


def _explained(model: Model, prepared: Prepared, label: Any) -> list[dict[str, Any]]:
    if not isinstance(model.preprocess, Explains):
        raise DataError(
            f"rows of the kind {model.preprocess.kind!r} cannot be explained: their preprocessing does not say how its "
            f"tensors lead back to fields; tables, images, texts and sequences can be"
        )
    if stuck := [one.kind for one in model.recipe.transforms if not one.differentiable]:
        raise DataError(
            f"a network that went through {stuck[0]!r} has no gradients, so its answers cannot be explained; explain "
            f"those of the model that it was made from"
        )
    baselines = model.preprocess.baselines()
    found = []
    for start in range(0, len(prepared.kept), _ROWS_AT_ONCE):
        batch = prepared.batch[start : start + _ROWS_AT_ONCE].trimmed().to(model.device)
        with torch.no_grad():
            aim, labels = model.task.aim(model.network(**batch.inputs).float(), label)
        result = integrated_gradients(model.network, batch.inputs, baselines, aim)
        rows = prepared.kept[start : start + _ROWS_AT_ONCE]
        parts = {name: part.detach().cpu().numpy() for name, part in result.parts.items()}
        fields = model.preprocess.attribute({name: one[rows] for name, one in prepared.columns.items()}, parts)
        numbers = zip(labels, *(one.tolist() for one in (result.outputs, result.baselines, result.gap)), strict=True)
        for (about, output, baseline, gap), attributions in zip(numbers, fields, strict=True):
            told = {"output": output, "baseline": baseline, "gap": gap, "attributions": attributions}
            found.append(told if about is None else {"label": about, **told})
    return found
