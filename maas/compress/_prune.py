"""Structured pruning: the units that matter least are taken away, and what is left learns on."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from maas import data as sources
from maas.compress._budget import hold, lineage
from maas.compress._importance import by_size
from maas.compress._learn import check_options, learned, teachable, unsettled
from maas.compress._units import cut, groups_of, kept_of
from maas.errors import CompressionError, DataError, show
from maas.metrics import check_max_drop
from maas.model import Model
from maas.nn.transforms import Narrowed, sizes_of
from maas.training._with_network import with_network


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
    kind the share goes whose weights are smallest. Inputs, outputs and what a network needs to be as wide stay.

    With `train` the rest learns on, from the labels and from the answers of the model as it was. By default the
    learning rate goes up and down to 0 and the last epoch stays; `data` judges nothing but the result.

    Args:
        model: it is left as it is. One that was pruned can be pruned again.
        data: rows with their target, of which the model has seen none: they tell what the pruning costs.
        share: of the units, above 0 and below 1; at least one stays of each kind.
        train: rows to learn on with: those that the model learned from.
        epochs: passes over them.
        max_drop: by how much the primary score may be worse, as in `Model.vouch`.
        fit_options: of `maas.fit`. By default `schedule="one_cycle"`, `keep="last"` and, unless the task chooses a
            threshold, `validation=0`.

    Returns:
        A model of the same preprocessing and task, with what was done in its card.

    Raises:
        CompressionError: it costs more than `max_drop`; the network has no unit that can go; or the model was
            compressed in a way that cannot be trained.
        DataError: an argument is out of its range, or rows cannot be used.
    """
    if not is_portion(share):
        raise DataError(f"`share` must be above 0 and below 1, got {show(share)}")
    check_max_drop(max_drop)
    check_options(fit_options)
    if model.task.streams:
        raise CompressionError(f"a {model.task.kind} cannot be pruned; use quantize, with method='int8_weights'")
    _check_plain(model)
    if train is None and fit_options:
        raise DataError(f"`{next(iter(fit_options))}` is for learning on: give rows to learn with in `train`")
    judges = sources.as_rows(data, task=model.task.kind)
    before = model.score(judges)
    rows = None if train is None else sources.as_rows(train, task=model.task.kind)
    narrower = _narrower(model, share)
    method = f"prune(share={share:g})"
    if rows is not None:
        options = {"epochs": epochs, **_defaults(model, fit_options), **fit_options}
        teaching: dict[str, Any] | None = {} if teachable(model.task) else None
        narrower = learned(narrower.recipe, rows, model, options, teaching=teaching, start=narrower)
        method = f"prune(share={share:g}, epochs={epochs})"
    outcome = hold(method, before, narrower.score(judges), max_drop=max_drop, fingerprint=judges.fingerprint())
    lineage(model, narrower, outcome)
    return narrower


def is_portion(share: Any) -> bool:
    """Whether it is a number above 0 and below 1."""
    return isinstance(share, (int, float)) and not isinstance(share, bool) and 0 < share < 1


def _check_plain(model: Model) -> None:
    """Raise CompressionError for a model that was compressed in another way than by pruning."""
    if others := [one.kind for one in model.recipe.transforms if not isinstance(one, Narrowed)]:
        raise CompressionError(
            f"a model that went through {others[0]!r} cannot be pruned: prune the model it was made of, and do the "
            f"other again afterwards"
        )


def _narrower(model: Model, share: float) -> Model:
    """The model without the units that matter least, as it is before it learns on."""
    inputs = model.prepare(model.preprocess.examples(2)).batch.inputs
    groups = groups_of(model.network, inputs)
    if not groups:
        raise CompressionError(
            f"a {model.recipe.kind} has no hidden units that could go; maas.compress.quantize makes its weights smaller"
        )
    gone = [(group, _least(by_size(model.network, group), share)) for group in groups]
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
    return with_network(model, network, replace(model.recipe, transforms=(Narrowed(sizes),)), card={})


def _defaults(model: Model, given: Mapping[str, Any]) -> dict[str, Any]:
    """Options of `maas.fit` where none are given: all rows teach, unless some of them have something to choose."""
    if "keep" in given or "patience" in given or not unsettled(model.task).is_settled:
        return {"schedule": "one_cycle", **({} if "patience" in given else {"keep": "last"})}
    return {"schedule": "one_cycle", "keep": "last", "validation": 0}


def _least(worth: torch.Tensor, share: float) -> torch.Tensor:
    """The places of the share that is worth least; one at least stays."""
    return worth.argsort()[: min(len(worth) - 1, round(share * len(worth)))]
