"""Fewer bits for the numbers of a network: for how they are stored, and where it pays for how they are multiplied."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn

from maas.compress._budget import hold, lineage
from maas.compress._fold import find_folds
from maas.compress._int8 import Plan, int8_network, plan
from maas.compress._transformed import transformed
from maas.data import Rows, as_rows
from maas.errors import CompressionError, show
from maas.metrics import Scores, check_max_drop
from maas.model import Model
from maas.nn.transforms import Bfloat16Weights, Int8Weights, Transform

METHODS = ("int8", "int8_weights", "bfloat16")
_KINDS = ("int8", "int8_weights", "bfloat16_weights")
_CALIBRATION = 256
_A_BATCH = 32


def quantize(
    model: Model, data: Any, *, method: str = "int8", max_drop: float = 0.005, calibration: Any = None
) -> Model:
    """A copy of a model whose numbers take fewer bits, if it answers about as well.

    Args:
        model: a trained one; it stays as it is.
        data: rows with their target that judge, which the model has not seen.
        method: "int8": batch normalisation is folded, heavy linear layers, convolutions over images and tables of
            vectors compute in 8-bit integers, and all other weights are stored in int8. "int8_weights": weights are
            stored in int8, a quarter of the bytes, and compute in float32. "bfloat16": the same with half the bytes.
        max_drop: by how much the primary score may be worse: a portion such as accuracy by this much, an error by this
            share of itself; from 0 to below 1. Layers that cost too much in integers stay in float32.
        calibration: rows, with or without target, whose numbers the integers of "int8" are to span; 256 of them are
            read. By default those of `data`.

    Returns:
        A model with `recipe.transforms`, which is saved, packaged and served as any other, and cannot be trained on.

    Raises:
        CompressionError: the budget is not met, the message has the score before and after; or the model was quantised
            before, or is not in float32.
        DataError: an argument is out of its range, or `data` has no target.
    """
    if method not in METHODS:
        raise CompressionError(f"`method` must be one of {', '.join(METHODS)}, got {show(method)}")
    check_max_drop(max_drop)
    if done := [one.kind for one in model.recipe.transforms if one.kind in _KINDS]:
        raise CompressionError(f"the model went through {done[0]!r} already; quantize the one that it was made from")
    dtypes = {str(one.dtype) for one in model.network.state_dict().values() if one.is_floating_point()}
    if other := dtypes - {"torch.float32"}:
        raise CompressionError(f"a network in float32 can be quantised, this one has {min(other)}")
    if method == "int8" and model.task.streams:
        raise CompressionError(
            f"a {model.task.kind} answers token by token, and its network does not compute in integers; use "
            f"method='int8_weights' or 'bfloat16'"
        )
    rows = as_rows(data, task=model.task.kind)
    before = model.score(rows)
    if method == "int8":
        spanned = rows if calibration is None else as_rows(calibration, task=model.task.kind)
        made, after = _in_integers(model, rows, spanned, before, max_drop)
    else:
        weights = Int8Weights() if method == "int8_weights" else Bfloat16Weights()
        made = _made(model, copy.deepcopy(model.network), [weights])
        after = made.score(rows)
    outcome = hold(f"quantize {method}", before, after, max_drop=max_drop, fingerprint=rows.fingerprint())
    lineage(model, made, outcome)
    return made


def _in_integers(model: Model, rows: Rows, spanned: Rows, before: Scores, max_drop: float) -> tuple[Model, Scores]:
    """The model in int8, with as many layers in float32 as the budget asks for, and its scores."""
    batches = list(_batches(model, spanned))
    if not batches:
        raise CompressionError("`calibration` has no row that the model can read; give a few hundred of its kind")
    network = copy.deepcopy(model.network).cpu()
    folds = find_folds(network, batches[0])
    network = folds.folded(network) if folds.pairs else network
    planned = plan(network, batches)
    begun: list[Transform] = [folds] if folds.pairs else []
    order: Sequence[str] = ()
    left = 0
    while True:
        int8, changed = int8_network(network, planned, order[:left])
        transforms = [*begun, *([int8] if int8.layers or int8.embeddings else []), Int8Weights()]
        made = _made(model, changed, transforms)
        after = made.score(rows)
        if before.drop_to(after) <= max_drop or left >= len(planned.layers):
            return made, after
        order = order or _by_cost(network, planned, batches)
        left = min(max(1, 2 * left), len(planned.layers))


def _by_cost(network: nn.Module, planned: Plan, batches: Sequence[dict[str, torch.Tensor]]) -> list[str]:
    """The layers, first the one that alone in integers changes the outputs most."""
    costs: dict[str, float] = {}
    with torch.no_grad():
        wanted = [network(**inputs) for inputs in batches]
        for name in planned.layers:
            _, changed = int8_network(network, planned, set(planned.layers) - {name})
            costs[name] = sum(
                float((changed(**inputs) - one).square().sum()) for inputs, one in zip(batches, wanted, strict=True)
            )
    return sorted(costs, key=costs.__getitem__, reverse=True)


def _made(model: Model, network: nn.Module, transforms: Sequence[Transform]) -> Model:
    """The model of a changed network, with the very numbers that will be read from its file."""
    *_, weights = transforms
    tensors = network.state_dict()
    network.load_state_dict(weights.restored(weights.stored(tensors)))
    return transformed(model, network, transforms)


def _batches(model: Model, rows: Rows) -> Iterator[dict[str, torch.Tensor]]:
    """Rows from all over, as the network is given them, a few at once."""
    step = max(1, len(rows) // _CALIBRATION)
    for prepared in model.prepared(rows.take(range(0, len(rows), step)[:_CALIBRATION])):
        for start in range(0, len(prepared.kept), _A_BATCH):
            yield dict(prepared.batch[start : start + _A_BATCH].trimmed().inputs)
