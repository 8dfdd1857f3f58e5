"""Whether what was written answers golden rows as the model does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from maas.errors import ExportError, SkewError
from maas.exporting._formats import Run
from maas.exporting._graph import Graph, padded
from maas.model import Model
from maas.model._stored import check_answers
from maas.task import Batch

TOLERANCE = 1e-4
"""By how much outputs may differ, times the larger of 1 and the greatest output: other kernels round otherwise."""
_MORE_STEPS = 5
_MOST_SAID = 500


class Elsewhere(nn.Module):
    """What was written, in the place of the network.

    Args:
        run: it.
        model: whose network it is.
        steps: to which inputs are padded.
    """

    def __init__(self, run: Run, model: Model, steps: int) -> None:
        super().__init__()
        self._run, self._model, self._steps = run, model, steps

    def forward(self, **inputs: torch.Tensor) -> torch.Tensor:
        """As the network's own."""
        return self._run({name: padded(self._model, name, one, self._steps) for name, one in inputs.items()})


def check(model: Model, run: Run, graph: Graph, batch: Batch, rows: Sequence[Any], format: str) -> float:
    """By how much the outputs differ at most: all golden rows at once, each alone, and all with more padding.

    Raises:
        ExportError: by more than the tolerance, or the answers do.
    """
    least = max(graph.least.values())
    longest = max((one.shape[1] for one in batch.inputs.values() if one.dim() > 1), default=0)
    tries = [(batch, least), (batch, max(least, longest + _MORE_STEPS))]
    tries += [(batch[at : at + 1], least) for at in range(len(batch))]
    with torch.inference_mode():
        differs = max(_gap(model, Elsewhere(run, model, steps), part.trimmed(), format) for part, steps in tries)
        answers = model.task.join(model.task.run(Elsewhere(run, model, least), batch)).to_dicts()
    try:
        check_answers(model.predict(rows).to_dicts(), answers, TOLERANCE, model.task.unit)
    except SkewError as error:
        raise ExportError(f"the network as {format} answers otherwise than the model: {error}") from error
    return differs


def why(model: Model, error: Exception) -> str:
    """What an exporter's error says, and what to do."""
    if model.recipe.transforms:
        kinds = ", ".join(one.kind for one in model.recipe.transforms)
        remedy = f"it was compressed ({kinds}): export the model that it was made of"
    else:
        remedy = "docs/export.md lists the networks of maas.nn that can be"
    first: BaseException = error
    while first.__cause__ is not None:  # the outer ones say in which step of theirs it happened
        first = first.__cause__
    said = (str(first).splitlines() or [type(first).__name__])[0][:_MOST_SAID]
    return f"{said.partition(' For more information')[0].rstrip('. ')}; {remedy}"


def _gap(model: Model, elsewhere: Elsewhere, batch: Batch, format: str) -> float:
    wanted = model.network(**batch.inputs)
    try:
        found = elsewhere(**batch.inputs)
    except Exception as error:
        raise ExportError(f"the network as {format} does not run on {len(batch)} rows: {why(model, error)}") from error
    if found.shape != wanted.shape:
        raise ExportError(
            f"the network as {format} gives outputs of the shape {tuple(found.shape)}, the model {tuple(wanted.shape)}"
        )
    gap, room = float((found - wanted).abs().max()), TOLERANCE * max(1.0, float(wanted.abs().max()))
    if not gap <= room:  # NaN neither
        raise ExportError(
            f"the network as {format} answers otherwise than the model: outputs differ by {gap:g}, and may by {room:g}"
        )
    return gap
