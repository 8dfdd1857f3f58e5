"""`maas.fit`: from a recipe and rows to a model."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import torch

from maas.errors import DataError, show
from maas.model import Model
from maas.nn import Recipe
from maas.nn.transforms import LowRank
from maas.preprocess import Learner
from maas.task import TaskLearner
from maas.training._feed import Augment, Augmented
from maas.training._freeze import Freeze, Pace
from maas.training._generators import forked
from maas.training._keeper import Keeper
from maas.training._loop import Outcome, num_threads
from maas.training._loop import train as train_network
from maas.training._run import Run
from maas.training._schedule import Schedule
from maas.training._settings import Optimizer, Settings
from maas.training._setup import device_of, set_up
from maas.training._speed import check_speed
from maas.training._start import Start
from maas.training._watch import Watch
from maas.training._weights import whole
from maas.training._world import World, check_distribute, shard


def fit(
    recipe: Recipe,
    train: Any,
    validation: Any = None,
    *,
    task: str | TaskLearner | None = None,
    preprocess: Learner | None = None,
    augment: Augment | None = None,
    start: Start | None = None,
    adapt: LowRank | None = None,
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
        adapt: `maas.training.LowRank(rank=8)`: thin matrices beside linear layers, and only these learn; the weights of
            `start` stay as they are to the bit. `maas.training.merged` adds them into those.
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
            ready once and stay on the device, and only more than that streams. It makes no difference to the model;
            rows of different lengths are made ready once more, for their lengths.
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
    if augment is not None and (not callable(augment) or isinstance(augment, type)):
        raise DataError(
            f"`augment` must be a function of a batch such as maas.preprocess.AugmentImages(flip=True), got "
            f"{show(augment)}"
        )
    if adapt is not None and not isinstance(adapt, LowRank):
        raise DataError(f"`adapt` must be a maas.training.LowRank, got {show(adapt)}")
    if adapt is not None and start is None:
        raise DataError("`adapt` needs `start`, the model to adapt: without it, what stays frozen was drawn at random")
    pace = Pace.of(freeze, rate_factors)
    if pace.frozen and start is None:
        warnings.warn("`freeze` without `start` keeps weights as they were drawn at random", stacklevel=2)
    where = device_of(device)
    world = World.of(where)
    check_distribute(distribute, world, settings)
    made = set_up(
        recipe,
        train,
        validation,
        task=task,
        preprocess=preprocess,
        start=start,
        adapt=adapt,
        seed=seed,
        device=where,
        chooses=keep == "best" or patience is not None,
    )
    model, network = made.model, made.model.network
    with forked(where):
        if recipe.learns == "closed_form":
            network.solve(made.batches)  # type: ignore[operator]
            outcome = Outcome([], 0, stopped_early=False)
        else:
            feed, plan = made.feed(workers, world), made.plan(batch_size, accumulate, seed)
            judges = made.validation()
            judged_by = made.held_out if kept is not None or world.size > 1 else None
            identity = {
                "recipe": model.recipe.to_json(),
                "data": made.fingerprint,
                "validation": None if judged_by is None else judged_by.fingerprint(),
                "task": made.task.kind if task is None or isinstance(task, str) else _named(task),
                "preprocess": None if preprocess is None else _named(preprocess),
                "augment": None if augment is None else _named(augment),
                "start": model.card["lineage"]["start"],
                **({} if adapt is None else {"adapt": adapt.to_json()}),
                **pace.to_json(),
                "settings": settings.to_json(),
            }
            if world.size > 1:
                world.check_alike({**identity, "distribute": distribute})
                world.copy_from_first(network.state_dict().values())
            if distribute == "fsdp":
                shard(network, where)
            with closing(feed):
                outcome = train_network(
                    network,
                    model.task,
                    feed if augment is None else Augmented(feed, augment, seed),
                    judges,
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
                model = made.with_weights({name: whole(tensor) for name, tensor in network.state_dict().items()})
    made.finish(model)
    model.card["training"] = {
        **settings.to_json(),
        "task": None if task is None else repr(task),
        "settled": None if made.task.is_settled else model.task.state()[0],
        "augment": None if augment is None else repr(augment),
        **pace.to_json(),
        "device": where.type,
        "processes": world.size,
        "threads": num_threads(network, made.task, batch_size),
        "best_epoch": outcome.best_epoch,
        "stopped_early": outcome.stopped_early,
        "skipped_steps": outcome.skipped,
        "speed": outcome.speed,
        "receipt": outcome.receipt,
        "history": outcome.history,
    }
    return model


def _named(value: Any) -> str:
    """What tells a value from another one, in another process too: its repr without addresses in memory."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))


def _watch(run: Run | None, settings: Settings, world: World, progress: bool | None) -> Watch:
    if not world.writes:
        return Watch()
    history = None if run is None else Path(run.folder) / "history.csv"
    trackers = () if run is None else run.trackers
    return Watch(progress=progress, history=history, trackers=trackers, config=settings.to_json())
