"""`maas.fit`: from a recipe and rows to a model."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch

from maas import task as tasks
from maas.data import Rows, as_rows, duplicates
from maas.errors import DataError, show
from maas.model import Model
from maas.nn import Recipe
from maas.preprocess import Learner, for_schema
from maas.task import Batch
from maas.training._loop import Augment, num_threads
from maas.training._loop import train as train_network
from maas.training._settings import Settings

VALIDATION_SHARE = 0.1
_FEWEST_ROWS = 4


def fit(
    recipe: Recipe,
    train: Any,
    validation: Any = None,
    *,
    task: str | None = None,
    preprocess: Learner | None = None,
    augment: Augment | None = None,
    epochs: int = 50,
    batch_size: int = 32,
    optimizer: str = "adamw",
    learning_rate: float = 1e-3,
    weight_decay: float = 0.01,
    momentum: float = 0.9,
    patience: int | None = None,
    seed: int = 0,
    device: str | torch.device | None = None,
    progress: bool | None = None,
) -> Model:
    """Train a network on rows.

    Everything that is learned (preprocessing, the target's encoding, the weights) is learned from the training rows
    without the validation part; that part chooses the epoch. Classification minimises cross entropy, regression
    the mean squared error of the standardised target.

    Args:
        recipe: what to train: `maas.recipe(maas.nn.MLP, hidden=(64, 64))`.
        train: rows with their target: `maas.data.Rows`, a pair `(X, y)` of arrays or tensors, or a torch `Dataset`.
        validation: the same, kept from learning; by default a tenth of `train`, carved out by the policy that split
            `train` off (by class, by group, by time).
        task: "classification" or "regression"; by default what the rows say.
        preprocess: the preprocessing to learn: a class, or one with options, as
            `maas.preprocess.Image.with_options(size=32)`; by default the one that takes these fields.
        augment: random changes to each training batch, such as `maas.preprocess.AugmentImages(flip=True, crop=2)`.
        epochs: passes over the training rows, at most.
        batch_size: rows a step.
        optimizer: "adamw" (Loshchilov and Hutter 2019), "adam" (Kingma and Ba 2015) or "sgd".
        learning_rate: step size.
        weight_decay: decoupled for "adamw", an L2 penalty for the others.
        momentum: of "sgd"; the others pass it over.
        patience: stop after so many epochs without a lower validation loss; None: never.
        seed: of initial weights, order of rows and dropout: on one device, with the same versions and number of
            threads, the same seed gives the same model.
        device: such as "cuda" or "cpu"; by default CUDA where there is one.
        progress: show a bar; by default when standard error is a terminal.

    Returns:
        A model with the weights of its best epoch. `model.card["training"]` holds settings and history.

    Raises:
        DataError: the rows or an argument cannot be used, or the loss is not finite.
        RecipeError: the recipe does not fit the rows.
    """
    if not isinstance(recipe, Recipe):
        raise DataError(f"`recipe` must be a recipe, such as maas.recipe(maas.nn.MLP), got {show(recipe)}")
    settings = Settings(epochs, batch_size, optimizer, learning_rate, weight_decay, momentum, patience, seed)
    where = _device(device)
    given = as_rows(train, task=task)
    learning, held_out = _carve(given, validation, seed, task)
    learning = learning.observed()
    kind = task or learning.task
    if kind is None or learning.target is None or held_out.target is None:
        raise DataError("the rows have no target to learn; name it with maas.data.read_table(..., target=...)")

    answer = tasks.learn(kind, learning.target, learning.target_name)
    prepared = (preprocess or for_schema(learning.schema)).learn(learning.schema, learning.columns)
    resolved = recipe.resolve(prepared.outputs, answer.num_outputs)
    with torch.random.fork_rng(devices=[where] if where.type == "cuda" else []):
        torch.manual_seed(seed)
        network = resolved.build().to(where)
        model = Model(
            network,
            recipe=resolved,
            schema=learning.schema,
            preprocess=prepared,
            task=answer,
            target=given.target_name,
        )
        outcome = train_network(
            network,
            answer,
            _batch(model, learning).to(where),
            _batch(model, held_out).to(where),
            settings,
            augment=augment,
            progress=progress,
        )
    network.eval()
    model.card["training"] = {
        **settings.to_json(),
        "augment": None if augment is None else repr(augment),
        "device": where.type,
        "threads": num_threads(network, batch_size),
        "best_epoch": outcome.best_epoch,
        "stopped_early": outcome.stopped_early,
        "history": outcome.history,
    }
    model.card["data"] = {
        "source": Path(given.source).name,
        "num_rows": len(learning),
        "num_validation_rows": len(held_out),
        "fingerprint": given.fingerprint(),
        "split": given.policy.kind if given.policy else None,
    }
    model.card["lineage"] = {"parent": None}
    return model


def _carve(given: Rows, validation: Any, seed: int, task: str | None) -> tuple[Rows, Rows]:
    """The rows to learn from and those to choose the epoch by."""
    if validation is None:
        if len(given) < _FEWEST_ROWS:
            raise DataError(
                f"{len(given)} rows are too few to carve a validation part out of; give at least {_FEWEST_ROWS}, or "
                f"`validation` rows"
            )
        policy = given.policy
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # `split` has told of duplicates; copies in a validation part do no harm
            learning, held_out = given.split(
                VALIDATION_SHARE,
                seed=seed,
                group=policy.group if policy else None,
                time=policy.time if policy else None,
                stratify=False if policy and policy.stratify is False else None,
            )
        return _keep_classes(given, learning, held_out)
    held_out = as_rows(validation, task=task)
    if held_out.schema.names != given.schema.names:
        raise DataError(
            f"`validation` must have the fields of `train`: got {', '.join(held_out.schema.names)}, "
            f"want {', '.join(given.schema.names)}"
        )
    if same := duplicates(given, held_out)[0]:
        warnings.warn(f"{same} validation rows stand in the training rows too", stacklevel=3)
    return given, held_out


def _keep_classes(given: Rows, learning: Rows, held_out: Rows) -> tuple[Rows, Rows]:
    """Without validation rows of a class that the other part lacks: a class is learned before it is asked for."""
    if given.target is None or learning.target is None or held_out.target is None or given.task != "classification":
        return learning, held_out
    known = set(learning.target.tolist())
    common = [row for row, label in enumerate(held_out.target.tolist()) if label in known]
    if len(common) == len(held_out):
        return learning, held_out
    if not common:
        raise DataError("no validation row is of a class that the other rows have; give `validation` rows")
    return learning, held_out.take(common)


def _batch(model: Model, rows: Rows) -> Batch:
    prepared = model.prepare(rows)
    if prepared.errors:
        raise prepared.errors[min(prepared.errors)]
    assert rows.target is not None
    return Batch(prepared.batch.inputs, model.task.encode(rows.target))


def _device(wish: str | torch.device | None) -> torch.device:
    if wish is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(wish)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise DataError(f"`device` {show(str(wish))} cannot be used here: {str(error).splitlines()[0]}") from error
    return device
