"""Structured pruning: the units that matter least are taken away, and what is left learns on."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from maas import data as sources
from maas.compress._budget import hold, lineage
from maas.compress._importance import by_loss, by_size
from maas.compress._learn import check_plain, learned, teachable
from maas.compress._units import Group, cut, groups_of, kept_of
from maas.data import Rows
from maas.errors import CompressionError, DataError, show
from maas.metrics import check_max_drop
from maas.model import Model
from maas.nn.transforms import Narrowed, sizes_of
from maas.task import Batch

_DEFAULTS: dict[str, Any] = {"schedule": "one_cycle", "keep": "last"}
_ROWS, _ROWS_A_BATCH = 1024, 32  # of the training rows, to find what units are worth


def prune(
    model: Model,
    data: Any,
    *,
    share: float = 0.5,
    train: Any = None,
    epochs: int = 10,
    max_drop: float = 0.005,
    **fit_options: Any,
) -> Model:
    """A model with fewer hidden units and channels: smaller tensors, which any kernel computes faster.

    Which numbers of which layers are one unit is found by trying, for any network: an MLP's hidden units, channels with
    their batch statistics and all that is added to them, states of recurrent layers, numbers of an embedding. Of each
    kind the share goes that matters least: by the loss on some training rows where there are any, else by the size of
    the weights. Inputs, outputs and what a network needs to be as wide stay.

    With `train` the rest learns on, from the labels and from the answers of the model as it was. The epochs are judged
    by a part of `train`, as in `maas.fit`, so that `data` judges nothing but the result.

    Args:
        model: it is left as it is. One that was pruned can be pruned again.
        data: rows with their target, of which the model has seen none: they tell what the pruning costs.
        share: of the units, above 0 and below 1; at least one stays of each kind.
        train: rows to learn on with: those that the model learned from.
        epochs: passes over them.
        max_drop: by how much the primary score may be worse, as in `Model.vouch`.
        fit_options: of `maas.fit`, where they are to differ; see `docs/compress.md`.

    Returns:
        A model of the same preprocessing and task, with what was done in its card.

    Raises:
        CompressionError: it costs more than `max_drop`; the network has no unit that can go; or the model was
            compressed in a way that cannot be trained.
        DataError: an argument is out of its range, or rows cannot be used.
    """
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 < share < 1:
        raise DataError(f"`share` must be above 0 and below 1, got {show(share)}")
    check_max_drop(max_drop)
    check_plain(model, "pruned")
    if train is None and fit_options:
        raise DataError(f"`{next(iter(fit_options))}` is for learning on: give rows to learn with in `train`")
    before = model.score(data)
    rows = None if train is None else sources.as_rows(train, task=model.task.kind)
    narrower = _narrower(model, share, None if rows is None else _batches(model, rows))
    method = f"prune(share={share:g})"
    if rows is not None:
        options = {"epochs": epochs, **_DEFAULTS, **fit_options}
        teaching: dict[str, Any] | None = {} if teachable(model.task) else None
        narrower = learned(narrower.recipe, rows, model, teaching, start=narrower, **options)
        method = f"prune(share={share:g}, epochs={epochs})"
    judges = sources.as_rows(data, task=model.task.kind)
    outcome = hold(method, before, narrower.score(judges), max_drop=max_drop, fingerprint=judges.fingerprint())
    lineage(model, narrower, outcome)
    return narrower


def _narrower(model: Model, share: float, batches: Iterator[Batch] | None) -> Model:
    """The model without the units that matter least, as it is before it learns on."""
    inputs = model.prepare(model.preprocess.examples(2)).batch.inputs
    groups = groups_of(model.network, inputs)
    if not groups:
        raise CompressionError(
            f"a {model.recipe.kind} has no hidden units that could go; maas.compress.quantize makes its weights smaller"
        )
    worth = by_size(model.network, groups) if batches is None else by_loss(model.network, groups, model.task, batches)
    gone = _gone(groups, worth, share)
    network = copy.deepcopy(model.network)
    kept = kept_of(network, gone)
    before, after = dict(model.network.named_modules()), dict(cut(network, kept).named_modules())
    sizes: dict[str, list[int | None]] = {}
    for one in model.recipe.transforms:
        if isinstance(one, Narrowed):
            sizes |= {name: list(pair) for name, pair in one.sizes.items()}
    for name in kept:
        old, was, now = sizes.get(name, [None, None]), sizes_of(before[name]), sizes_of(after[name])
        assert was is not None
        assert now is not None
        sizes[name] = [new if new != had else told for new, had, told in zip(now, was, old, strict=True)]
    others = tuple(one for one in model.recipe.transforms if not isinstance(one, Narrowed))
    return Model(
        network,
        recipe=replace(model.recipe, transforms=(Narrowed(sizes), *others)),
        schema=model.schema,
        preprocess=model.preprocess,
        task=model.task,
        target=model.target,
    )


def _gone(groups: list[Group], worth: list[torch.Tensor], share: float) -> list[tuple[Group, torch.Tensor]]:
    """The units that go, the same share of each group: of a group of few, rounded so that one stays."""
    return [
        (group, one.argsort()[: min(len(group) - 1, round(share * len(group)))])
        for group, one in zip(groups, worth, strict=True)
    ]


def _batches(model: Model, rows: Rows) -> Iterator[Batch]:
    """Some of the training rows, prepared, with their target."""
    places = np.random.default_rng(0).permutation(len(rows))[:_ROWS]
    some = rows.take(np.sort(places))
    prepared = model.prepare(some)
    if prepared.errors:
        raise min(prepared.errors.items())[1]
    target = None if some.target is None else model.task.encode(some.target)
    for start in range(0, len(some), _ROWS_A_BATCH):
        part = Batch(prepared.batch.inputs, target)[start : start + _ROWS_A_BATCH]
        yield part.trimmed().to(model.device)
