"""The command fit, and what all commands that train share."""

from __future__ import annotations

import os
import warnings
from argparse import Namespace
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from maas.cli._corpus import corpus, prompts_of
from maas.cli._kept import fit_with, run_of
from maas.cli._options import pair, reading_of, value_of
from maas.cli._print import print_json, tell
from maas.cli._task import target_of, task_of
from maas.errors import ArtifactError, DataError

if TYPE_CHECKING:
    from maas.data import Rows, Split
    from maas.model import Model
    from maas.nn import Recipe
    from maas.task import TaskLearner

_Result = TypeVar("_Result")


def fit(options: Namespace) -> int:
    import maas
    from maas.cli import _prove

    if options.proof is not None:
        return _prove.train(options)
    if options.preflight:
        return _preflight(options)
    if options.prove_resume:
        return _prove.prove_resume(options)
    follows = maas.training.rank() > 0  # torchrun started this process beside one that tells, saves and evaluates
    if follows:
        options.json = True  # it prints nothing: what would be printed at the end is not made
        warnings.simplefilter("ignore")
    else:
        check_output(options)
    run = run_of(options)
    recipe, rows, task = given(options)
    train, test = held_out(options, rows)
    model = learned(fit_with(options, run), options, recipe, train, task)
    if not follows:
        keep(options, model, train, test)
    return False


def _preflight(options: Namespace) -> bool:
    """Look for what would waste the training; whether something would."""
    from maas.training import Preflight, preflight

    recipe, rows, task = given(options)
    train, _ = held_out(options, rows)
    wanted = ("task", "batch_size", "learning_rate", "seed", "device", *prompts_of(options))

    def look(recipe: Recipe, train: Rows, **settings: Any) -> Preflight:
        return preflight(recipe, train, options.validation, **{name: settings[name] for name in wanted})

    found = learned(look, options, recipe, train, task)
    tell(options, str(found))
    print_json(options, found.to_json())
    return not found.is_fine


def check_output(options: Namespace) -> None:
    """Raise DataError where the model could not be saved."""
    from maas.artifact import check_replaceable

    output = Path(options.output)
    try:
        check_replaceable(output)  # before the training, not after it
    except ArtifactError as error:
        raise DataError(f"--output: {error}") from error
    output.parent.mkdir(parents=True, exist_ok=True)
    if not os.access(output.parent, os.W_OK):
        raise DataError(f"{output.parent} cannot be written; choose another --output")


def given(options: Namespace) -> tuple[Recipe, Rows, str | TaskLearner | None]:
    """The recipe, the rows of the table, and the task, with options where some are given."""
    import maas

    kind = options.network or ("causal_transformer" if options.task == "generation" else "mlp")
    types = dict(pair(text, "--type") for text in options.type)
    arguments = {name: value_of(text) for name, text in (pair(text, "--set") for text in options.set)}
    recipe = maas.nn.Recipe(kind, arguments)
    if options.task == "generation":
        return recipe, corpus(options, options.data), task_of(options, None)
    for name in ("tokenizer", "vocabulary", "context"):
        if getattr(options, name) is not None:
            raise DataError(f"--{name} is for --task generation; leave it out")
    rows = maas.data.read_table(
        options.data,
        target=target_of(options),
        task=options.task,
        separator=options.separator,
        drop=options.drop,
        types=types,
        **reading_of(options),
    )
    return recipe, rows, task_of(options, rows)


def held_out(options: Namespace, rows: Rows) -> Split:
    """The rows to learn from and those to test by."""
    import maas

    maas.data.group_values(rows, options.groups)  # before the training, not after it
    split = rows.split(options.test, seed=options.seed, group=options.group, time=options.time)
    tell(options, f"{rows}\n{split.report}")
    return split


def learned(
    fit: Callable[..., _Result], options: Namespace, recipe: Recipe, train: Rows, task: str | TaskLearner | None
) -> _Result:
    """What `maas.fit`, or another that takes its settings, makes of the rows by the options."""
    return fit(
        recipe,
        train,
        task=task,
        epochs=options.epochs,
        batch_size=options.batch_size,
        optimizer=options.optimizer,
        learning_rate=options.learning_rate,
        weight_decay=options.weight_decay,
        patience=options.patience,
        seed=options.seed,
        device=options.device,
        **prompts_of(options),
    )


def keep(options: Namespace, model: Model, train: Rows, test: Rows, found: Mapping[str, Any] | None = None) -> None:
    """Save the model, measure it, and print what was `found` beside it."""
    output = Path(options.output)
    for name in ("intended_use", "limits"):
        if text := getattr(options, name):
            model.card[name] = text
    model.save(output)  # first: whatever the evaluation meets, the training is not lost
    best = model.card["training"]["best_epoch"]
    tell(options, f"{model}, best of {len(model.card['training']['history'])} epochs: {best}")
    if receipt := model.card["training"]["receipt"]:
        tell(options, _receipt(receipt))
    measured = None
    if test.target is None:
        remedy = f"maas evaluate {output} DATA --target COLUMN"
        if not options.normal:
            remedy = "for maas evaluate say here with --normal LABEL which label normal rows will have there"
        tell(options, f"not evaluated: the rows have no target; {remedy}")
    else:
        evaluation = model.evaluate(test, baselines_from=train, groups=options.groups)
        model.save(output, evaluation=evaluation)
        tell(options, f"\n{evaluation}")
        measured = evaluation.to_json()
    tell(options, f"\nsaved in {output}; next: maas package {output}")
    print_json(options, {"artifact": str(output), "evaluation": measured, **(found or {})})


def _receipt(receipt: Mapping[str, Any]) -> str:
    """What the steps took, in a line."""
    bare = receipt.get("microseconds_of_a_bare_step")
    return (
        f"{receipt['steps']:,} steps of {receipt['microseconds_a_step']:,.0f} us each"
        + (f" (a bare loop: {bare:,.0f})" if bare is not None else "")
        + f", {receipt['of_them_waiting_for_rows']:,.0f} of them waiting for rows; "
        f"{receipt['synchronisations']:,} looks at the device"
    )
