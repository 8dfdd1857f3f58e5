"""Learning by a few matrices beside a model's own."""

from __future__ import annotations

from dataclasses import replace

from maas.errors import DataError
from maas.model import Model
from maas.nn import Recipe
from maas.nn.transforms import LowRank
from maas.training._with_network import with_network


def adapted(recipe: Recipe, adapt: LowRank) -> Recipe:
    """A resolved recipe whose network has matrices of low rank beside its own."""
    return replace(recipe, transforms=(*recipe.transforms, adapt))


def merged(model: Model) -> Model:
    """A model whose matrices of low rank are added into its own: of the recipe that it was adapted from.

    It answers the same but for rounding: in float32 by about 1 in a million, in bfloat16 by about 1 in 200.

    Args:
        model: learned with `maas.fit(..., adapt=LowRank(...))`; it is left as it is.

    Raises:
        DataError: it has none.
    """
    places = [place for place, one in enumerate(model.recipe.transforms) if isinstance(one, LowRank)]
    if not places:
        raise DataError("the model has no matrices of low rank to merge; maas.fit(..., adapt=LowRank(...)) adds them")
    one = model.recipe.transforms[places[0]]
    assert isinstance(one, LowRank)
    rest = tuple(other for other in model.recipe.transforms if other is not one)
    recipe = replace(model.recipe, transforms=rest)
    return with_network(model, one.merged(model.network), recipe, {**model.card, "merged": one.to_json()})
