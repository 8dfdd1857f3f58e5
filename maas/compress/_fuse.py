"""Fewer passes over the same numbers: batch normalisation, activations and sums become part of convolutions."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from maas.compress._budget import hold, lineage
from maas.compress._fold import are_near, find_folds
from maas.compress._trace import PASSING, Trace, trace
from maas.compress._transformed import transformed
from maas.data import as_rows
from maas.errors import CompressionError
from maas.metrics import check_max_drop
from maas.model import Model
from maas.model._precision import check_precision, is_vouched
from maas.nn.transforms import Fused, FusedForm, Narrowed
from maas.nn.transforms._fused import MODULES, block_types, is_plain
from maas.nn.transforms._int8 import padding_of


def fuse(model: Model, data: Any, *, precision: str = "float32", max_drop: float = 0.005) -> Model:
    """A copy of a model whose convolutions over images do more in one pass; in float32 its answers stay what they are.

    Batch normalisation is folded, a ReLU, hard-swish or SiLU and the sum of a residual block become part of the
    convolution before them, and weights are laid out once for the processor's kernels. What is not recognised stays.

    Args:
        model: a trained one, which may be pruned or distilled; it stays as it is.
        data: rows with their target that judge, which the model has not seen.
        precision: "float32", or "bfloat16": the fused model is also vouched for (`Model.vouch`), so that a worker with
            units for it computes in bfloat16, and the one that is returned does.
        max_drop: by how much the primary score may be worse, as in `Model.vouch`.

    Returns:
        A model with `recipe.transforms`, which is saved, packaged and served as any other, and cannot be trained on.

    Raises:
        CompressionError: there is no convolution over images; the model was fused or quantised before; or bfloat16
            costs more than `max_drop`, or is no faster here.
        DataError: an argument is out of its range, or `data` has no target.
    """
    check_precision(precision)
    check_max_drop(max_drop)
    if done := [one.kind for one in model.recipe.transforms if not isinstance(one, Narrowed)]:
        raise CompressionError(f"the model went through {done[0]!r} already; fuse the one that it was made from")
    rows = as_rows(data, task=model.task.kind)
    before = model.score(rows)
    made = fused(model)
    after = made.score(rows)
    if precision == "bfloat16":
        found = made.vouch(rows, max_drop=max_drop)
        after = made.set_precision(precision).score(rows)
        if found["held"] and not is_vouched(made.card, made.device):
            raise CompressionError(f"bfloat16 is {found['times_as_fast']:g} times as fast here; stay in float32")
    method = "fuse" if precision == "float32" else f"fuse {precision}"
    outcome = hold(method, before, after, max_drop=max_drop, fingerprint=rows.fingerprint())
    lineage(model, made, outcome)
    return made


def is_fusible(network: nn.Module) -> bool:
    """Whether there is anything to fuse."""
    return any(type(one) is nn.Conv2d for one in network.modules())


def fused(model: Model) -> Model:
    """The fused model in float32, once it is found to answer made-up rows as it did."""
    inputs = model.prepare(model.preprocess.examples(2)).batch.inputs
    network = copy.deepcopy(model.network).cpu()
    folds = find_folds(network, inputs)
    folded = folds.folded(network)
    found = find_fused(folded, inputs)
    if not found.layers and not found.blocks:
        raise CompressionError(f"a {model.recipe.kind} has no convolution over images that could be fused")
    made = found.apply(folded)
    with torch.no_grad():
        before, after = network(**inputs), made(**inputs)
    if not are_near(before, after):
        raise CompressionError(f"this {model.recipe.kind} answers otherwise when it is fused; leave it as it is")
    return transformed(model, made, [*([folds] if folds.pairs else []), found])


def find_fused(network: nn.Module, inputs: Mapping[str, torch.Tensor]) -> Fused:
    """What of a folded network can be fused."""
    known = block_types()
    blocks = tuple(name for name, one in network.named_modules() if type(one) in known and is_plain(one))
    inside = tuple(f"{name}." for name in blocks)
    found = trace(network, inputs)
    layers: list[FusedForm] = []
    idle: list[str] = []
    for name in found.alone(nn.Conv2d):
        layer = found.modules[name]
        assert isinstance(layer, nn.Conv2d)
        if padding_of(layer) is None or name.startswith(inside):
            continue
        activation = _activation(found, name)
        kind = "none" if activation is None else MODULES[type(found.modules[activation])]
        layers.append(FusedForm(name, kind))
        idle += [] if activation is None else [activation]
    return Fused(tuple(layers), tuple(idle), blocks)


def _activation(found: Trace, name: str) -> str | None:
    """The activation that alone reads what a layer gives, and nothing else."""
    pooled = False
    for reader, _ in found.after(name):
        module = found.modules[reader]
        if type(module) in MODULES:
            # The greatest of rectified numbers is the greatest one rectified; of no other activation.
            return reader if found.calls[reader] == 1 and (not pooled or type(module) is nn.ReLU) else None
        if type(module) is nn.MaxPool2d:
            pooled = True
        elif type(module) not in PASSING:
            return None
    return None
