"""Whether the parts of a model fit together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import nn

from maas.errors import DataError, MaasError, RecipeError, show
from maas.nn import Recipe

if TYPE_CHECKING:
    from maas.model._model import Model


def check_describes(recipe: Recipe, tensors: Mapping[str, torch.Tensor]) -> nn.Module:
    """The recipe's network on the meta device, once names, shapes and dtypes are found to be those of `tensors`."""
    with torch.device("meta"):
        network = recipe.build()
    wanted = network.state_dict()
    for name in sorted({*wanted, *tensors}):
        if name not in tensors or name not in wanted:
            raise RecipeError(f"the recipe {recipe.kind!r} does not describe this network: only one has {show(name)}")
        want, have = wanted[name], tensors[name]
        if want.shape != have.shape or want.dtype != have.dtype:
            raise RecipeError(
                f"the recipe {recipe.kind!r} does not describe this network: {show(name)} is {want.dtype} "
                f"{tuple(want.shape)} by the recipe, {have.dtype} {tuple(have.shape)} in the network"
            )
    return network


def check_fits(model: Model) -> None:
    """Whether the network takes what the preprocessing makes, and gives what the task wants."""
    rows = model.preprocess.examples(2)
    try:
        prepared = model.prepare(rows)
        if prepared.errors:
            raise prepared.errors[min(prepared.errors)]
        with torch.inference_mode():
            wrong = model.task.misfit(model.network, prepared.batch.to(model.device))
    except (MaasError, TypeError, ValueError, RuntimeError) as error:
        raise DataError(f"the network does not take what the preprocessing makes: {first_line(error)}") from error
    if wrong is not None:
        raise DataError(wrong)


def first_line(error: Exception) -> str:
    """What an error says, without the backtrace that torch may append."""
    return (str(error).splitlines() or [type(error).__name__])[0][:500]
