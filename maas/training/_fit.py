"""`maas.fit`: from a recipe and rows to a model."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from maas.data import Rows, as_rows
from maas.errors import DataError, RowError, show
from maas.model import Model
from maas.nn import Recipe
from maas.preprocess import Learner
from maas.schema import Schema
from maas.task import Batch, TaskLearner, task_class
from maas.training._feed import Augment, Augmented, Feed, Resident, Streamed, fits, num_workers
from maas.training._freeze import Freeze, Pace
from maas.training._keeper import Keeper
from maas.training._loop import Outcome, num_threads
from maas.training._loop import train as train_network
from maas.training._parts import carve, is_share, located, teaching
from maas.training._plan import Plan
from maas.training._run import Run
from maas.training._schedule import Schedule
from maas.training._settings import Optimizer, Settings
from maas.training._speed import check_speed
from maas.training._start import Start, head_of, learner_for, put_in, reopened, source_of
from maas.training._watch import Watch
from maas.training._weights import whole
from maas.training._world import World, check_distribute, shard

_SHOWN = 5


def fit(
    recipe: Recipe,
    train: Any,
    validation: Any = None,
    *,
    task: str | TaskLearner | None = None,
    preprocess: Learner | None = None,
    augment: Augment | None = None,
    start: Start | None = None,
    freeze: Freeze | None = None,
    rate_factors: Mapping[str, float] | None = None,
    epochs: int = 50,
    batch_size: int = 32,
    accumulate: int = 1,
    optimizer: str | Optimizer = "adamw",
    learning_rate: float = 1e-3,
    weight_decay: float = 0.01,
    clip_norm: float | None = None,
    schedule: str | Schedule = "constant",
    ema: float | None = None,
    precision: str = "float32",
    keep: str = "best",
    patience: int | None = None,
    non_finite: str = "raise",
    seed: int = 0,
    device: str | torch.device | None = None,
    distribute: str = "ddp",
    speed: str = "eager",
    workers: int | None = None,
    run: Run | str | Path | None = None,
    progress: bool | None = None,
) -> Model:
    """Train a network on rows.

    Everything that is learned (preprocessing, the target's encoding, the weights) is learned from the training rows
    without the validation part; that part chooses the epoch, and the threshold of a task that has one to choose.
    Classification minimises cross entropy, regression the mean squared error of the standardised target, several labels
    the binary cross entropy of each, an anomaly the network's own error. What users touched in a ranking's validation
    part teaches nothing, but is theirs: it is not recommended to them. A network that learns in closed form is solved
    in one go: it needs none of the settings of the loop, and learns from the validation part too where that was not
    given.

    Args:
        recipe: what to train: `maas.recipe(maas.nn.MLP, hidden=(64, 64))`.
        train: rows with their target: `maas.data.Rows`, a pair `(X, y)` of arrays or tensors, or a torch `Dataset`.
        validation: the same, kept from learning; or the share of `train` to carve out by the policy that split
            `train` off (by class, by group, by time), by default a tenth; or 0 for none, with `keep="last"`.
        task: its name, such as "classification" or "regression", or the task with options, such as
            `maas.task.Classification.with_options(label_smoothing=0.1)`; by default what the rows say.
        preprocess: the preprocessing to learn: a class, or one with options, as
            `maas.preprocess.Image.with_options(size=32)`; by default the one that goes with `start`, or else the one
            that takes these fields.
        augment: random changes to each training batch, such as `maas.preprocess.AugmentImages(flip=True, crop=2)`.
        start: weights to start from, put in by name; only the head may be new. A model or the folder of a saved one,
            whose preprocessing is kept; a file of a state dict, .safetensors, .pt or .pth; tensors by name; or, for a
            `maas.nn.Backbone`, published weights such as "IMAGENET1K_V1" or "DEFAULT", which are downloaded once.
            A backbone's files and published weights go with `maas.preprocess.Image.published(name)`.
        freeze: parts of the network that keep the weights they start with: a name such as "body", several, or for how
            many epochs by name, as `{"body": 3}`. Batch statistics in them stay too.
        rate_factors: what the learning rate of a part is multiplied by, as `{"body": 0.1}`.
        epochs: passes over the training rows, at most.
        batch_size: rows a forward pass; of several processes, of all together.
        accumulate: forward passes a step. A step is that of one batch as large as all of them, the last of an epoch
            too, but for networks with batch normalisation, whose statistics are those of a pass, and for dropout.
        optimizer: "adamw", "adam", "sgd" with momentum .9, or a `maas.training.Optimizer` with options.
        learning_rate: step size; with a schedule its greatest value.
        weight_decay: decoupled for "adamw", an L2 penalty for the others.
        clip_norm: greatest norm of the gradient of all parameters together; a larger one is scaled down to it.
        schedule: of the learning rate: "constant", "cosine" (down to 0), "one_cycle" (up, then down), "step" (a tenth
            after each third), "plateau" (a tenth after 10 epochs without a lower validation loss), or a
            `maas.training.Schedule` with options.
        ema: decay of a moving average of the weights, such as 0.999, which then judges epochs and answers.
        precision: of the forward pass of training steps: "float32", "tf32" (float32 with the shorter products of
            NVIDIA's tensor cores), "bfloat16", or "float16" with its losses scaled; weights, evaluation and answers
            stay float32.
        keep: the weights of the "best" epoch by validation loss, or of the "last", as schedules that end at 0 want.
        patience: stop after so many epochs without a lower validation loss; None: never.
        non_finite: what to do about a step whose loss or gradient is not finite: "raise", or "skip" it, so that it
            changes nothing; the card counts such steps.
        seed: of initial weights, order of rows and dropout: on one device, with the same versions and number of
            threads, the same seed gives the same model.
        device: such as "cuda" or "cpu"; by default CUDA where there is one.
        distribute: how processes that `torchrun` started train together, each on a part of every batch: "ddp", with
            the whole network in each and gradients added up after the backward pass; or "fsdp", with the parameters
            sharded, for networks that outgrow a device.
        speed: how steps are computed: "eager"; "compile", by torch.compile, forward, backward and update as one;
            "graph", recorded as a CUDA graph; "compile+graph"; or "auto", the fastest of these in a short race whose
            losses agree. What does not serve a network or machine is said, and steps then run eagerly.
        workers: processes that make rows ready as they are needed; 0: this one does. By default rows that fit are made
            ready once and stay on the device, and only more than that streams.
        run: keep the run in a folder, with checkpoints to go on from: a path, or a `maas.Run` with options.
        progress: show a bar; by default when standard error is a terminal.

    Returns:
        A model. `model.card["training"]` holds settings, history, how steps were computed, and under `receipt` what one
        took: microseconds in all, of a bare loop of the same network (of runs above 5 seconds), and waiting for
        rows; and how often the host waited for the device.

    Raises:
        DataError: the rows or an argument cannot be used.
        DivergedError: a loss or a gradient is not finite.
        RunError: the run's folder cannot be used, or holds another run.
        RecipeError: the recipe does not fit the rows.
        ArtifactError: the saved model to start from cannot be loaded.
    """
    if not isinstance(recipe, Recipe):
        raise DataError(f"`recipe` must be a recipe, such as maas.recipe(maas.nn.MLP), got {show(recipe)}")
    settings = Settings(
        epochs=epochs,
        batch_size=batch_size,
        accumulate=accumulate,
        optimizer=Optimizer.of(optimizer),
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        clip_norm=clip_norm,
        schedule=Schedule.of(schedule),
        ema=ema,
        precision=precision,
        keep=keep,
        patience=patience,
        non_finite=non_finite,
        seed=seed,
    )
    check_speed(speed)
    kept = Run.of(run)
    if workers is not None and (type(workers) is not int or workers < 0):
        raise DataError(f"`workers` must be a number of processes, 0 or more, got {show(workers)}")
    _check_options(task, preprocess, augment)
    pace = Pace.of(freeze, rate_factors)
    source = None if start is None else source_of(start, recipe)
    if pace.frozen and source is None:
        warnings.warn("`freeze` without `start` keeps weights as they were drawn at random", stacklevel=2)
    where = _device(device)
    world = World.of(where)
    check_distribute(distribute, world)
    named = task if task is None or isinstance(task, str) else task.kind
    given = as_rows(train, task=named)
    if (kind := named or given.task) is None:
        raise DataError("the rows have no target to learn; name it with maas.data.read_table(..., target=...)")
    learner = task_class(kind) if task is None or isinstance(task, str) else task
    needs_target = task_class(kind).needs_target
    carved = validation is None or is_share(validation)
    in_one_go = recipe.learns == "closed_form" and validation is None
    learning, held_out, positions = carve(given, 0 if in_one_go else validation, seed, named)
    if held_out is None and not in_one_go and (keep == "best" or patience is not None):
        raise DataError('without a validation part there is no best epoch: give keep="last" and no `patience`')
    for rows in (learning, held_out):
        if rows is not None and rows.target is None and needs_target:
            raise DataError("the rows have no target to learn; name it with maas.data.read_table(..., target=...)")

    learning = learning.observed()
    fingerprint = given.fingerprint()
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
        raise located(error, learning, given) from error
    given_sizes = prepared.outputs, answer.num_outputs
    resolved = reopened(recipe, source, *given_sizes).resolve(*given_sizes)
    with torch.random.fork_rng(devices=[where] if where.type == "cuda" else []):
        torch.manual_seed(seed)
        network = resolved.build()
        begun = None
        if source is not None:
            begun = put_in(network, source, head=head_of(resolved, *given_sizes), task=answer)
        network.to(where)
        parts: dict[str, Any] = {
            "schema": learning.schema,
            "preprocess": prepared,
            "task": answer,
            "target": given.target_name,
        }
        model = Model(network, recipe=resolved, **parts)
        if recipe.learns == "closed_form":
            network.solve(lambda: _batches(model, learning, given))  # type: ignore[operator]
            outcome = Outcome([], 0, stopped_early=False)
        else:
            choosing, source_rows = held_out, given if carved or held_out is None else held_out
            if held_out is not None and held_out.target is not None:
                choosing = teaching(held_out, answer.teaching(held_out.target))
            feed, lengths = _feed(model, learning, given, workers, world)
            plan = Plan(len(learning), batch_size, accumulate, seed, lengths, positions)
            if distribute == "fsdp":
                shard(network, where)
            identity = {
                "recipe": resolved.to_json(),
                "data": fingerprint,
                "validation": None if kept is None or held_out is None else held_out.fingerprint(),
                "task": _named(learner),
                "preprocess": _named(learns),
                "augment": _named(augment),
                "start": begun,
                **pace.to_json(),
                "settings": settings.to_json(),
            }
            outcome = train_network(
                network,
                answer,
                feed if augment is None else Augmented(feed, augment, seed),
                None if choosing is None else _validation(model, choosing, source_rows),
                plan,
                settings,
                pace=pace,
                world=world,
                sharded=distribute == "fsdp",
                speed=speed,
                keeper=Keeper(kept, world, identity, fixed_end=settings.schedule.knows_the_end),
                watch=_watch(kept, settings, world, progress),
            )
            if distribute == "fsdp":
                tensors = {name: whole(tensor) for name, tensor in network.state_dict().items()}
                network = resolved.build()
                network.load_state_dict(tensors)
                model = Model(network.to(where), recipe=resolved, **parts)
    network.eval()
    if held_out is not None and not answer.is_settled:
        model.task = answer.settle(model.predict(held_out), held_out.target)  # type: ignore[arg-type]
    if held_out is not None and held_out.target is not None:
        model.preprocess = answer.remembering(prepared, held_out.columns, held_out.target)
    model.card["training"] = {
        **settings.to_json(),
        "task": None if task is None else repr(task),
        "settled": None if answer.is_settled else model.task.state()[0],
        "augment": None if augment is None else repr(augment),
        **pace.to_json(),
        "device": where.type,
        "processes": world.size,
        "threads": num_threads(network, batch_size),
        "best_epoch": outcome.best_epoch,
        "stopped_early": outcome.stopped_early,
        "skipped_steps": outcome.skipped,
        "speed": outcome.speed,
        "receipt": outcome.receipt,
        "history": outcome.history,
    }
    model.card["data"] = {
        "source": Path(given.source).name,
        "num_rows": len(learning),
        "num_validation_rows": 0 if held_out is None else len(held_out),
        "fingerprint": fingerprint,
        "split": given.policy.kind if given.policy else None,
    }
    model.card["lineage"] = {"parent": source.digest if isinstance(source, Model) else None, "start": begun}
    return model


def _check_options(task: Any, preprocess: Any, augment: Any) -> None:
    if task is not None and not isinstance(task, str) and not callable(getattr(task, "learn", None)):
        raise DataError(
            f"`task` must be a name, or a task such as maas.task.Classification.with_options(...), got {show(task)}"
        )
    if preprocess is not None and not callable(getattr(preprocess, "learn", None)):
        raise DataError(
            f"`preprocess` must be a preprocessing such as maas.preprocess.Image.with_options(size=32), got "
            f"{show(preprocess)}"
        )
    if augment is not None and (not callable(augment) or isinstance(augment, type)):
        raise DataError(
            f"`augment` must be a function of a batch such as maas.preprocess.AugmentImages(flip=True), got "
            f"{show(augment)}"
        )


def _named(value: Any) -> str:
    """What tells a value from another one, in another process too: its repr without addresses in memory."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))


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


def _batches(model: Model, rows: Rows, given: Rows) -> Iterator[Batch]:
    """The rows, prepared in parts that fit in memory, on the model's device."""
    size = model.rows_at_once
    for start in range(0, len(rows), size):
        yield _batch(model, rows.take(range(start, min(start + size, len(rows)))), given).to(model.device)


def _batch(model: Model, rows: Rows, given: Rows) -> Batch:
    prepared = model.prepare(rows)
    if prepared.errors:
        raise located(prepared.errors[min(prepared.errors)], rows, given)
    return Batch(prepared.batch.inputs, None if rows.target is None else model.task.encode(rows.target))


def _feed(model: Model, rows: Rows, given: Rows, workers: int | None, world: World) -> tuple[Feed, torch.Tensor | None]:
    """Where batches come from, and the lengths of the rows where they differ."""
    if workers is None and fits(len(rows) * model.row_bytes, model.device):
        batch = _batch(model, rows, given)
        return Resident(batch, model.device, world, channels_last=_convolves(model.network)), batch.lengths()
    processes = num_workers() if workers is None else workers
    prepare = partial(_prepare, model, rows, given)
    return Streamed(prepare, workers=processes, device=model.device, world=world), None


def _prepare(model: Model, rows: Rows, given: Rows, index: torch.Tensor) -> Batch:
    return _batch(model, rows.take(index.numpy()), given)


def _convolves(network: torch.nn.Module) -> bool:
    return any(isinstance(module, torch.nn.Conv2d) for module in network.modules())


@dataclass(frozen=True, eq=False)
class _Validation:
    """The validation rows in parts, prepared anew for each pass: there are too many to keep."""

    model: Model
    rows: Rows
    given: Rows

    def __iter__(self) -> Iterator[Batch]:
        return _batches(self.model, self.rows, self.given)


def _validation(model: Model, rows: Rows, given: Rows) -> Batch | _Validation:
    """The validation rows, prepared where they fit.

    Raises:
        DataError: one of them is nothing that the model would answer, judged by the rows that it learns from.
    """
    try:
        if fits(2 * len(rows) * model.row_bytes, model.device):
            return _batch(model, rows, given).to(model.device)
        for _ in _batches(model, rows, given):  # to find what cannot be answered before the training, not after it
            pass
        return _Validation(model, rows, given)
    except RowError as error:
        raise DataError(
            f"a validation row cannot be answered by what the training rows showed: {error}; correct or remove such "
            f"rows, or give other `validation` rows"
        ) from error


def _watch(run: Run | None, settings: Settings, world: World, progress: bool | None) -> Watch:
    if not world.writes:
        return Watch()
    history = None if run is None else Path(run.folder) / "history.csv"
    trackers = () if run is None else run.trackers
    return Watch(progress=progress, history=history, trackers=trackers, config=settings.to_json())


def _device(wish: str | torch.device | None) -> torch.device:
    if wish is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(wish)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise DataError(f"`device` {show(str(wish))} cannot be used here: {str(error).splitlines()[0]}") from error
    return device
