"""What stands before the first step: which rows teach, what preprocessing and task learn from them, and the network."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from maas.data import Rows, as_rows
from maas.errors import DataError, RecipeError, RowError, show
from maas.metrics import distribution
from maas.model import Model
from maas.nn import Recipe
from maas.nn.transforms import LowRank
from maas.preprocess import Learner
from maas.schema import Schema
from maas.task import Batch, Task, TaskLearner, task_class
from maas.training._adapt import adapted
from maas.training._feed import Feed, Resident, Streamed, fits, num_workers
from maas.training._parts import NO_TARGET, carve, is_share, located, teaching
from maas.training._plan import Plan
from maas.training._put_in import put_in
from maas.training._start import Start, head_of, learner_for, reopened, source_of
from maas.training._with_network import with_network
from maas.training._world import World

_SHOWN = 5


@dataclass(eq=False)
class Setup:
    """A model whose weights have not moved, with the rows that will move them.

    Args:
        model: the preprocessing and the task have learned; the network is new, or has the weights to start from.
        given: the rows as the user gave them.
        learning: those that teach.
        positions: where they stand among those given.
        held_out: those that choose the epoch, and where their positions in errors count from.
        fingerprint: of the rows given.
        task: as learned; of `model` it may be another once a threshold was chosen.
    """

    model: Model
    given: Rows
    learning: Rows
    positions: np.ndarray[Any, Any]
    held_out: Rows | None
    held_out_given: Rows | None
    fingerprint: str
    task: Task
    _lengths: torch.Tensor | None = None
    _laid_out: int | None = None  # rows to learn from, where these are others than those given

    def batches(self) -> Iterator[Batch]:
        """The rows that teach, prepared in parts that fit in memory, on the model's device."""
        if (laid_out := _lessons(self.model, self.learning, self.given)) is not None:
            return iter([laid_out.to(self.model.device)])
        return _batches(self.model, self.learning, self.given)

    def feed(self, workers: int | None, world: World) -> Feed:
        """Where batches come from: rows ready on the device if they fit and no `workers` are asked for."""
        model, rows = self.model, self.learning
        convolves = any(isinstance(module, nn.Conv2d) for module in model.network.modules())
        options: dict[str, Any] = {"workers": num_workers() if workers is None else workers, "device": model.device}
        if (laid_out := _lessons(model, rows, self.given, self.positions)) is not None:
            self._laid_out = len(laid_out)
            num_bytes = sum(tensor.nbytes for tensor in laid_out.inputs.values())
            if workers is None and (model.device.type == "cpu" or fits(num_bytes, model.device)):
                return Resident(laid_out, model.device, world)
            return Streamed(laid_out.take, world=world, **options)
        if workers is None and fits(len(rows) * model.row_bytes, model.device):
            batch = _batch(model, rows, self.given, self.positions)
            self._lengths = batch.lengths()
            return Resident(batch, model.device, world, channels_last=convolves)
        prepare = partial(_prepare, model, rows, self.given, self.positions)
        if any(name.endswith("_lengths") for name in model.preprocess.outputs):
            parts = [[part] for part in torch.split(torch.arange(len(rows)), model.rows_at_once)]
            with closing(Streamed(prepare, world=World(), **options)) as feed:
                found = [portion.batch.lengths() for (portion,) in feed(parts, 0)]
            self._lengths = torch.cat([one.cpu() for one in found if one is not None])
        return Streamed(prepare, world=world, channels_last=convolves, **options)

    def plan(self, batch_size: int, accumulate: int, seed: int) -> Plan:
        """Which rows each step learns from; rows of like length together where `feed` found lengths."""
        if self._laid_out is not None:
            return Plan(self._laid_out, batch_size, accumulate, seed)
        return Plan(len(self.learning), batch_size, accumulate, seed, self._lengths, self.positions)

    def validation(self) -> Batch | _Parts | None:
        """The validation rows that judge, prepared: in one part where they fit.

        Raises:
            DataError: one of them is nothing that the model would answer, judged by the rows that it learns from.
        """
        rows, given, model = self.held_out, self.held_out_given, self.model
        if rows is None or given is None:
            return None
        if rows.target is not None:
            rows = teaching(rows, self.task.teaching(rows.target))
        try:
            if (laid_out := _lessons(model, rows, given)) is not None:
                return laid_out
            if fits(2 * len(rows) * model.row_bytes, model.device):
                return _batch(model, rows, given).to(model.device)
            for _ in _batches(model, rows, given):  # what cannot be answered is found before the training
                pass
            return _Parts(model, rows, given)
        except RowError as error:
            raise DataError(
                f"a validation row cannot be answered by what the training rows showed: {error}; correct or remove "
                f"such rows, or give other `validation` rows"
            ) from error

    def with_weights(self, tensors: Mapping[str, torch.Tensor]) -> Model:
        """The model with a network of these weights, in place of one that was sharded."""
        network = self.model.recipe.build()
        network.load_state_dict(tensors)
        return with_network(self.model, network, self.model.recipe, self.model.card)

    def finish(self, model: Model) -> None:
        """Let the validation rows choose what is left once the network is trained, and let the model remember them."""
        model.network.eval()
        rows = self.held_out
        if rows is None:
            return
        if not self.task.is_settled:
            model.task = self.task.settle(model.predict(rows), rows.target)  # type: ignore[arg-type]
        if rows.target is not None:
            model.preprocess = self.task.remembering(model.preprocess, rows.columns, rows.target)


def set_up(
    recipe: Recipe,
    train: Any,
    validation: Any,
    *,
    task: str | TaskLearner | None,
    preprocess: Learner | None,
    start: Start | None,
    adapt: LowRank | None = None,
    seed: int,
    device: torch.device,
    chooses: bool,
) -> Setup:
    """Learn all that is learned before the weights. The arguments are those of `maas.fit`.

    Args:
        chooses: whether an epoch is to be chosen by validation rows.
    """
    check_recipe(recipe)
    _check_options(task, preprocess)
    source = None if start is None else source_of(start, recipe)
    named = task if task is None or isinstance(task, str) else task.kind
    given = as_rows(train, task=named)
    if (kind := named or given.task) is None:
        raise DataError(NO_TARGET)
    learner = task_class(kind) if task is None or isinstance(task, str) else task
    needs_target = task_class(kind).needs_target
    carved = validation is None or is_share(validation)
    in_one_go = recipe.learns == "closed_form" and validation is None
    learning, held_out, positions = carve(given, 0 if in_one_go else validation, seed, named)
    if held_out is None and not in_one_go and chooses:
        raise DataError('without a validation part there is no best epoch: give keep="last" and no `patience`')
    for rows in (learning, held_out):
        if rows is not None and rows.target is None and needs_target:
            raise DataError(NO_TARGET)

    learning = learning.observed()
    answer = learner.learn(learning.target, learning.target_name, learning.schema)  # type: ignore[arg-type]
    if held_out is None and not answer.is_settled:
        raise DataError(f"this {kind} chooses by validation rows: give `validation`")
    if learning.target is not None:
        mask = answer.teaching(learning.target)
        learning = teaching(learning, mask).observed()
        positions = positions if mask is None else positions[np.flatnonzero(mask)]
    learns = preprocess or learner_for(recipe, learning.schema, source)
    _check_takes(learns, learning.schema)
    try:
        prepared = learns.learn(learning.schema, learning.columns)
    except RowError as error:
        raise located(error, learning, given, positions) from error
    answer = answer.knowing(prepared)
    sizes = prepared.outputs, answer.num_outputs
    resolved = reopened(recipe, source, *sizes).resolve(*sizes)
    if adapt is not None:
        resolved = adapted(resolved, adapt)
    if stuck := [one.kind for one in resolved.transforms if not one.trainable]:
        raise RecipeError(
            f"a network cannot be trained once it went through {stuck[0]!r}: train the model it was made of, and "
            f"compress that again"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = resolved.build()
    begun = None
    if source is not None:
        head = head_of(resolved, *sizes)
        new = head if adapt is None else head | {*adapt.added(network)}
        begun = put_in(network, source, head=new, task=answer)
    model = Model(
        network.to(device),
        recipe=resolved,
        schema=learning.schema,
        preprocess=prepared,
        task=answer,
        target=given.target_name,
    )
    fingerprint = given.fingerprint()
    model.card["data"] = {
        "source": Path(given.source).name,
        "num_rows": len(learning),
        "num_validation_rows": 0 if held_out is None else len(held_out),
        "fingerprint": fingerprint,
        "split": given.policy.kind if given.policy else None,
        "split_from": given.policy.split_from if given.policy else None,
        "distribution": distribution(learning.schema, learning.columns),
    }
    model.card["lineage"] = {"parent": source.digest if isinstance(source, Model) else None, "start": begun}
    judges = given if carved or held_out is None else held_out
    return Setup(model, given, learning, positions, held_out, judges, fingerprint, answer)


def check_recipe(recipe: Any) -> None:
    """Raise DataError for what is no recipe."""
    if not isinstance(recipe, Recipe):
        raise DataError(f"`recipe` must be a recipe, such as maas.recipe(maas.nn.MLP), got {show(recipe)}")


def device_of(wish: str | torch.device | None) -> torch.device:
    """The device to train on; under `torchrun` each process of a machine takes a GPU of its own.

    Raises:
        DataError: it cannot be used here.
    """
    if wish is None:
        wish = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(wish)
        if device == torch.device("cuda") and "LOCAL_RANK" in os.environ:
            wish = device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise DataError(f"`device` {show(str(wish))} cannot be used here: {str(error).splitlines()[0]}") from error
    return device


def _check_options(task: Any, preprocess: Any) -> None:
    if task is not None and not isinstance(task, str) and not callable(getattr(task, "learn", None)):
        raise DataError(
            f"`task` must be a name, or a task such as maas.task.Classification.with_options(...), got {show(task)}"
        )
    if preprocess is not None and not callable(getattr(preprocess, "learn", None)):
        raise DataError(
            f"`preprocess` must be a preprocessing such as maas.preprocess.Image.with_options(size=32), got "
            f"{show(preprocess)}"
        )


def _check_takes(learner: Learner, schema: Schema) -> None:
    """Raise DataError for a preprocessing of other fields: it would pass over those it does not know."""
    takes: Any = getattr(learner, "takes", None)  # a class has it, one of a user's with options may not
    if takes is not None and not takes(schema):
        fields = ", ".join(f"{show(field.name)} ({field.kind})" for field in schema.fields[:_SHOWN])
        more = f" and {len(schema.fields) - _SHOWN} more" if len(schema.fields) > _SHOWN else ""
        raise DataError(
            f"`preprocess` does not take the fields of these rows: {fields}{more}; leave it out, or give one that "
            f"does: of rows with fields of several kinds, Mixed.with_options(NAME=...) for each"
        )


@dataclass(frozen=True, eq=False)
class _Parts:
    """Rows in parts, prepared anew for each pass: there are too many to keep."""

    model: Model
    rows: Rows
    given: Rows

    def __iter__(self) -> Iterator[Batch]:
        return _batches(self.model, self.rows, self.given)


def _lessons(model: Model, rows: Rows, given: Rows, positions: np.ndarray[Any, Any] | None = None) -> Batch | None:
    """What the network learns from rows, on the CPU, where that is laid out otherwise than rows are answered."""
    try:
        return model.task.lessons(rows.columns)
    except RowError as error:
        raise located(error, rows, given, positions) from error


def _batches(model: Model, rows: Rows, given: Rows) -> Iterator[Batch]:
    size = model.rows_at_once
    for start in range(0, len(rows), size):
        yield _batch(model, rows.take(range(start, min(start + size, len(rows)))), given).to(model.device)


def _batch(model: Model, rows: Rows, given: Rows, positions: np.ndarray[Any, Any] | None = None) -> Batch:
    prepared = model.prepare(rows)
    if prepared.errors:
        raise located(prepared.errors[min(prepared.errors)], rows, given, positions)
    return Batch(prepared.batch.inputs, None if rows.target is None else model.task.encode(rows.target))


def _prepare(model: Model, rows: Rows, given: Rows, positions: np.ndarray[Any, Any], index: torch.Tensor) -> Batch:
    places = index.numpy()
    return _batch(model, rows.take(places), given, positions[places])
