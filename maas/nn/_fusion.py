"""Several networks, one for each part of a row, joined before the head."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from maas.errors import RecipeError, show
from maas.nn._arguments import check_positive
from maas.nn._mlp import ACTIVATIONS, MLP
from maas.nn._recipe import Recipe
from maas.nn._register import kind_of, network
from maas.schema import TensorSpec

_BETWEEN = "__"  # of a part's name and its input's
_MOST_PARTS = 16
_WIDTH = 64


@network("fusion")
class Fusion(nn.Module):
    """An encoder for each part of a row; their features beside each other, activation, dropout, and an `MLP` as head.

    The parts are those of `maas.preprocess.Mixed`: an encoder takes the inputs whose names begin with its part's, so
    `photo__image` is the `image` of the encoder of `photo`.

    Args:
        parts: by part, the recipe of its encoder, as `maas.recipe(maas.nn.CNN, ...)`, which gives `width` outputs a
            row. In a recipe the parts left out get one that suits their inputs: images a `CNN`, texts a `TextCNN`,
            sequences a `CNN1d`, table fields an `MLP`.
        out_features: outputs a row; raw scores, no softmax.
        width: features that each encoder gives.
        hidden: sizes of the head's hidden layers.
        activation: of the joined features and the head; as of `maas.nn.MLP`.
        dropout: share of joined features and hidden units dropped in training, from 0 to below 1.

    Raises:
        RecipeError: an argument is out of its range, or a part's recipe cannot be built.
    """

    def __init__(
        self,
        parts: Mapping[str, Recipe | Mapping[str, Any]],
        out_features: int,
        *,
        width: int = _WIDTH,
        hidden: Sequence[int] = (64,),
        activation: str = "relu",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        recipes = _recipes(parts)
        if not 0 < len(recipes) <= _MOST_PARTS:
            raise RecipeError(f"`parts` must be 1 to {_MOST_PARTS} recipes, got {len(recipes)}")
        check_positive(width=width)
        self.names = tuple(sorted(recipes))  # the order of the features must outlive any order of JSON's
        self.width = width
        self.encoders = nn.ModuleList(recipes[name].build() for name in self.names)
        self.head = MLP(len(recipes) * width, out_features, hidden=hidden, activation=activation, dropout=dropout)
        self.join = nn.Sequential(ACTIVATIONS[activation](), nn.Dropout(dropout))

    @classmethod
    def resolve(
        cls, arguments: Mapping[str, Any], inputs: Mapping[str, TensorSpec], num_outputs: int
    ) -> dict[str, Any]:
        """The arguments with the recipe of every part resolved.

        Raises:
            RecipeError: the data does not give several parts, or a recipe does not suit its part.
        """
        grouped: dict[str, dict[str, TensorSpec]] = {}
        for name, spec in inputs.items():
            part, between, rest = name.partition(_BETWEEN)
            if not between:
                raise RecipeError(
                    f"a Fusion takes the inputs of mixed rows, as photo{_BETWEEN}image, the data gives "
                    f"{', '.join(inputs)}; use a network for the one kind there is"
                )
            grouped.setdefault(part, {})[rest] = spec
        given = _recipes(arguments.get("parts", {}))
        if unknown := sorted(set(given) - set(grouped)):
            raise RecipeError(f"the rows have no part {show(unknown[0])}, they have {', '.join(grouped)}")
        width = arguments.get("width", _WIDTH)
        check_positive(width=width)
        parts = {}
        for part, specs in grouped.items():
            chosen = given[part] if part in given else _encoder(part, specs)
            try:
                parts[part] = chosen.resolve(specs, width).to_json()
            except RecipeError as error:
                raise RecipeError(f"part {show(part)}: {error}") from error
        return {**arguments, "parts": parts}

    @classmethod
    def sizes(cls, inputs: Mapping[str, TensorSpec], num_outputs: int) -> dict[str, Any]:
        """The sizes that the data gives, beside those of the parts."""
        return {"out_features": num_outputs}

    def forward(self, **inputs: torch.Tensor) -> torch.Tensor:
        """The inputs of all parts, each named `part__input` -> (batch, out_features)."""
        grouped: dict[str, dict[str, torch.Tensor]] = {name: {} for name in self.names}
        for name, tensor in inputs.items():
            part, _, rest = name.partition(_BETWEEN)
            if part not in grouped:
                raise RecipeError(f"the network has no part for the input {show(name)}, it has {', '.join(self.names)}")
            grouped[part][rest] = tensor
        found = []
        for name, encoder in zip(self.names, self.encoders, strict=True):
            features = encoder(**grouped[name])
            if features.shape[1:] != (self.width,):
                raise RecipeError(
                    f"the encoder of the part {show(name)} must give {self.width} features a row (`width`), it gives "
                    f"{tuple(features.shape[1:])}"
                )
            found.append(features)
        outputs: torch.Tensor = self.head(self.join(torch.cat(found, dim=1)))
        return outputs


def _recipes(parts: Any) -> dict[str, Recipe]:
    """Recipes out of what a person or an artifact gives.

    Raises:
        RecipeError: one is none, or is a Fusion: the parts of a row have no parts.
    """
    if not isinstance(parts, Mapping):
        raise RecipeError(f"`parts` must be recipes by part, as {{'photo': maas.recipe(...)}}, got {show(parts)}")
    found = {}
    for name, one in parts.items():
        if isinstance(one, Mapping) and one.keys() == {"kind", "arguments"}:
            if type(one["kind"]) is not str or not isinstance(one["arguments"], Mapping):
                raise RecipeError(f"the part {show(name)} must be {{kind: string, arguments: object}}, got {show(one)}")
            one = Recipe(one["kind"], one["arguments"])
        if not isinstance(one, Recipe):
            raise RecipeError(f"the part {show(name)} must be a recipe, as maas.recipe(maas.nn.MLP), got {show(one)}")
        if one.kind == kind_of(Fusion):
            raise RecipeError(f"the part {show(name)} is a Fusion itself, and a part of a row has no parts")
        if one.learns != "gradient":
            raise RecipeError(
                f"the part {show(name)} learns in closed form, which an encoder cannot; give another network"
            )
        found[name] = one
    return found


def _encoder(part: str, inputs: Mapping[str, TensorSpec]) -> Recipe:
    """What suits a part of which nothing was said."""
    names = set(inputs)
    if names == {"x"}:
        return Recipe("mlp", {"hidden": [64]})
    if names == {"tokens", "tokens_lengths"}:
        return Recipe("text_cnn")
    if names == {"sequence", "sequence_lengths"}:
        return Recipe("cnn1d")
    if names == {"image"}:
        side = min(size or 1 for size in inputs["image"].shape[1:])
        blocks = max(1, min(5, int(math.log2(side / 4)))) if side >= 4 else 1  # until about 4 to 8 pixels are left
        filters = [min(128, 32 << block) for block in range(blocks)]
        return Recipe("cnn", {"filters": filters, "padding": "same", "normalization": "batch"})
    raise RecipeError(
        f"no encoder is known for the inputs {', '.join(inputs)} of the part {show(part)}; give one, as "
        f"parts={{{part!r}: maas.recipe(...)}}"
    )
