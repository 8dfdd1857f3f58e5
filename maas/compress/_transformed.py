"""A model whose network went through transforms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from torch import nn

from maas.model import Model
from maas.nn.transforms import Transform
from maas.training._with_network import with_network

_PARENTS_OWN = ("created", "versions", "num_parameters", "evaluation", "precision", "lineage")  # entries of its card


def transformed(model: Model, network: nn.Module, transforms: Sequence[Transform]) -> Model:
    """A model around what its network became, whose recipe says so; its card lacks what is true of the parent alone."""
    recipe = replace(model.recipe, transforms=(*model.recipe.transforms, *transforms))
    card = {key: value for key, value in model.card.items() if key not in _PARENTS_OWN}
    return with_network(model, network, recipe, card)
