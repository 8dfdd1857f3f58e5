"""`maas.fit`: from a recipe and rows to a model."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from maas.data import Rows, as_rows
from maas.errors import DataError, RowError, show
from maas.model import Model
from maas.nn import Recipe
from maas.preprocess import Learner
from maas.schema import Schema
from maas.task import Batch, TaskLearner, task_class
from maas.training._freeze import Freeze, Pace
from maas.training._loop import Augment, Outcome, num_threads
from maas.training._loop import train as train_network
from maas.training._parts import carve, is_share, located, teaching
from maas.training._settings import Settings
from maas.training._start import Start, head_of, learner_for, put_in, reopened, source_of

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
    optimizer: str = "adamw",
    learning_rate: float = 1e-3,
    weight_decay: float = 0.01,
    momentum: float = 0.9,
    schedule: str = "constant",
    warmup: float | None = None,
    precision: str = "float32",
    keep: str = "best",
    patience: int | None = None,
    seed: int = 0,
    device: str | torch.device | None = None,
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
        batch_size: rows a step.
        optimizer: "adamw" (Loshchilov and Hutter 2019), "adam" (Kingma and Ba 2015) or "sgd".
        learning_rate: step size; with a schedule its greatest value.
        weight_decay: decoupled for "adamw", an L2 penalty for the others.
        momentum: of "sgd"; the others pass it over.
        schedule: of the learning rate over all steps: "constant", "cosine" (down to 0) or "one_cycle" (up, then down).
        warmup: share of the steps over which the learning rate rises first; by default 0, and 0.3 for "one_cycle".
        precision: "float32", or "bfloat16" for the forward pass of training steps; weights, evaluation and answers
            stay float32.
        keep: the weights of the "best" epoch by validation loss, or of the "last", as schedules that end at 0 want.
        patience: stop after so many epochs without a lower validation loss; None: never.
        seed: of initial weights, order of rows and dropout: on one device, with the same versions and number of
            threads, the same seed gives the same model.
        device: such as "cuda" or "cpu"; by default CUDA where there is one.
        progress: show a bar; by default when standard error is a terminal.

    Returns:
        A model. `model.card["training"]` holds settings and history.

    Raises:
        DataError: the rows or an argument cannot be used, or the loss is not finite.
        RecipeError: the recipe does not fit the rows.
        ArtifactError: the saved model to start from cannot be loaded.
    """
    if not isinstance(recipe, Recipe):
        raise DataError(f"`recipe` must be a recipe, such as maas.recipe(maas.nn.MLP), got {show(recipe)}")
    settings = Settings(
        epochs,
        batch_size,
        optimizer,
        learning_rate,
        weight_decay,
        momentum,
        schedule,
        warmup,
        precision,
        keep,
        patience,
        seed,
    )
    _check_options(task, preprocess, augment)
    pace = Pace.of(freeze, rate_factors)
    source = None if start is None else source_of(start, recipe)
    if pace.frozen and source is None:
        warnings.warn("`freeze` without `start` keeps weights as they were drawn at random", stacklevel=2)
    where = _device(device)
    named = task if task is None or isinstance(task, str) else task.kind
    given = as_rows(train, task=named)
    if (kind := named or given.task) is None:
        raise DataError("the rows have no target to learn; name it with maas.data.read_table(..., target=...)")
    learner = task_class(kind) if task is None or isinstance(task, str) else task
    needs_target = task_class(kind).needs_target
    carved = validation is None or is_share(validation)
    in_one_go = recipe.learns == "closed_form" and validation is None
    learning, held_out = carve(given, 0 if in_one_go else validation, seed, named)
    if held_out is None and not in_one_go and (keep == "best" or patience is not None):
        raise DataError('without a validation part there is no best epoch: give keep="last" and no `patience`')
    for rows in (learning, held_out):
        if rows is not None and rows.target is None and needs_target:
            raise DataError("the rows have no target to learn; name it with maas.data.read_table(..., target=...)")

    learning = learning.observed()
    answer = learner.learn(learning.target, learning.target_name, learning.schema)  # type: ignore[arg-type]
    if held_out is None and not answer.is_settled:
        raise DataError(f"this {kind} chooses by validation rows: give `validation`")
    if learning.target is not None:
        learning = teaching(learning, answer.teaching(learning.target)).observed()
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
        model = Model(
            network,
            recipe=resolved,
            schema=learning.schema,
            preprocess=prepared,
            task=answer,
            target=given.target_name,
        )
        if recipe.learns == "closed_form":
            network.solve(lambda: _batches(model, learning, given))  # type: ignore[operator]
            outcome = Outcome([], 0, stopped_early=False)
        else:
            choosing, source_rows = held_out, given if carved or held_out is None else held_out
            if held_out is not None and held_out.target is not None:
                choosing = teaching(held_out, answer.teaching(held_out.target))
            outcome = train_network(
                network,
                answer,
                _batch(model, learning, given).to(where),
                None if choosing is None else _choosing(model, choosing, source_rows).to(where),
                settings,
                pace=pace,
                augment=augment,
                progress=progress,
            )
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
        "threads": num_threads(network, batch_size),
        "best_epoch": outcome.best_epoch,
        "stopped_early": outcome.stopped_early,
        "history": outcome.history,
    }
    model.card["data"] = {
        "source": Path(given.source).name,
        "num_rows": len(learning),
        "num_validation_rows": 0 if held_out is None else len(held_out),
        "fingerprint": given.fingerprint(),
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


def _choosing(model: Model, rows: Rows, given: Rows) -> Batch:
    """The validation rows, prepared.

    Raises:
        DataError: one of them is nothing that the model would answer, judged by the rows that it learns from.
    """
    try:
        return _batch(model, rows, given)
    except RowError as error:
        raise DataError(
            f"a validation row cannot be answered by what the training rows showed: {error}; correct or remove such "
            f"rows, or give other `validation` rows"
        ) from error


def _device(wish: str | torch.device | None) -> torch.device:
    if wish is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(wish)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise DataError(f"`device` {show(str(wish))} cannot be used here: {str(error).splitlines()[0]}") from error
    return device
