"""A model around another network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from maas.model import Model
from maas.nn import Recipe


def with_network(model: Model, network: nn.Module, recipe: Recipe, card: Mapping[str, Any]) -> Model:
    """A model that reads rows and gives answers as another one does, on its device.

    Args:
        model: that other one; it is left as it is.
        network, recipe, card: of the new one.
    """
    return Model(
        network.to(model.device),
        recipe=recipe,
        schema=model.schema,
        preprocess=model.preprocess,
        task=model.task,
        target=model.target,
        card=card,
    )
