"""Knowledge distillation: a smaller network learns from a larger model's answers."""

from __future__ import annotations

from typing import Any

from maas import data as sources
from maas.compress._budget import hold, lineage
from maas.compress._learn import check_options, learned
from maas.errors import DataError, RecipeError, show
from maas.metrics import check_max_drop
from maas.model import Model
from maas.nn import Recipe


def distil(
    model: Model,
    data: Any,
    *,
    recipe: Recipe,
    train: Any,
    epochs: int = 30,
    max_drop: float = 0.005,
    temperature: float = 2.0,
    teacher_share: float = 0.9,
    **fit_options: Any,
) -> Model:
    """A model of another, smaller network that learned from the labels and from what a larger one answers.

    The preprocessing and the task are the larger model's, so both see the same tensors; it answers each batch as it
    comes, augmented too. Epochs are judged by a part of `train` and by the labels alone, as in `maas.fit`, so that
    `data` judges nothing but the result. Classes, several labels, regressions and forecasts can be taught; of numbers
    what is learned is the mean of label and answer, by their shares.

    Args:
        model: the larger one; it is left as it is. It may be compressed already.
        data: rows with their target, of which no model has seen any: they tell what the exchange costs.
        recipe: of the smaller network, which takes the same inputs: `maas.recipe(maas.nn.MLP, hidden=(16,))`.
        train: rows to learn from: those that the model learned from, or more.
        epochs: passes over them.
        max_drop: by how much the primary score may be worse than the larger model's, as in `Model.vouch`.
        temperature: what the scores of classes and labels are divided by before they are compared, above 0 and at most
            100: above 1 the unlikely ones count for more.
        teacher_share: how much of the loss is the teacher's, above 0 and at most 1.
        fit_options: of `maas.fit`.

    Returns:
        The smaller model, with what was done in its card.

    Raises:
        CompressionError: it costs more than `max_drop`, or answers of this task cannot be taught.
        DataError: an argument is out of its range, or rows cannot be used.
        RecipeError: the recipe does not fit what the preprocessing makes, or learns in closed form.

    Source: Hinton, Vinyals and Dean 2015, arXiv:1503.02531.
    """
    if not isinstance(recipe, Recipe):
        raise DataError(
            f"`recipe` must be a recipe, such as maas.recipe(maas.nn.MLP, hidden=(16,)), got {show(recipe)}"
        )
    if recipe.learns != "gradient":
        raise RecipeError(f"a {recipe.kind} learns in closed form, and no answers can teach it; give another `recipe`")
    check_max_drop(max_drop)
    check_options(fit_options)
    judges = sources.as_rows(data, task=model.task.kind)
    before = model.score(judges)
    rows = sources.as_rows(train, task=model.task.kind)
    teaching = {"temperature": temperature, "share": teacher_share}
    smaller = learned(recipe, rows, model, {"epochs": epochs, **fit_options}, teaching=teaching)
    method = f"distil({smaller.recipe.kind}, epochs={epochs})"
    outcome = hold(method, before, smaller.score(judges), max_drop=max_drop, fingerprint=judges.fingerprint())
    lineage(model, smaller, outcome)
    return smaller
