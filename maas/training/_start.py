"""Starting weights: where they come from, and which preprocessing and recipe go with them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from maas import preprocess as preprocessing
from maas.artifact import is_artifact
from maas.errors import DataError, MaasError, RecipeError, show
from maas.model import Model
from maas.nn import Backbone, Recipe, network_class
from maas.preprocess import Image, Learner, Preprocess, for_schema
from maas.schema import Columns, Schema, TensorSpec
from maas.training._hub import PublishedWeights

Start = str | os.PathLike[str] | Model | Mapping[str, torch.Tensor]
Source = Path | PublishedWeights | Model | Mapping[str, torch.Tensor]
_PUBLISHED = re.compile(r"[A-Z][A-Z0-9_]*")
TORCH_SUFFIXES = (".pt", ".pth")


def source_of(start: Any, recipe: Recipe) -> Source:
    """What `start` of `maas.fit` means.

    Raises:
        DataError: it is nothing that weights can come from.
        ArtifactError: it is an artifact that cannot be loaded.
    """
    if recipe.learns == "closed_form":
        raise DataError(
            f"`start` cannot be used: a {recipe.kind} learns in closed form and has no weights to start from"
        )
    if isinstance(start, Model):
        return start
    if isinstance(start, Mapping):
        return dict(start)
    if not isinstance(start, (str, os.PathLike)):
        raise DataError(
            f"`start` must be a model, a path, the name of published weights or tensors by name, got {show(start)}"
        )
    path = Path(start)
    if isinstance(start, str) and _PUBLISHED.fullmatch(start) and not path.exists():
        return PublishedWeights.of(recipe, start)
    if path.is_dir():
        if not is_artifact(path):
            raise DataError(f"`start` {path} is a folder, but no saved model; give one, or a file of weights")
        return Model.load(path)
    if path.suffix not in (".safetensors", *TORCH_SUFFIXES):
        raise DataError(
            f"`start` must be a saved model's folder, a .safetensors, .pt or .pth file, or the name of published "
            f"weights such as 'IMAGENET1K_V1', got {show(str(start))}"
        )
    return path


def learner_for(recipe: Recipe, schema: Schema, source: Source | None) -> Learner:
    """The preprocessing that goes with starting weights: the one they were trained with, as far as that is known."""
    if isinstance(source, Model):
        return _Kept(source)
    name = recipe.arguments.get("name")
    if recipe.kind != "backbone" or name not in Backbone.names or not Image.takes(schema):
        return for_schema(schema)
    if source is None:
        return Image.with_options(channels=3)
    return Image.published(name, weights=source.weights if isinstance(source, PublishedWeights) else "DEFAULT")


class _Kept:
    """A model's preprocessing, learned already."""

    def __init__(self, model: Model) -> None:
        self.model = model

    def learn(self, schema: Schema, columns: Columns) -> Preprocess:
        before = self.model.schema
        remedy = "give `preprocess` to learn a new one, and know that the weights have not seen what it makes"
        if len(before.fields) != len(schema.fields):
            raise DataError(
                f"the preprocessing of `start` takes {len(before.fields)} fields, the rows have {len(schema.fields)}; "
                f"{remedy}"
            )
        for old, new in zip(before.fields, schema.fields, strict=True):
            if (old.name, old.kind, old.dtype) != (new.name, new.kind, new.dtype):
                raise DataError(
                    f"the preprocessing of `start` takes {show(old.name)}, a {old.kind} {old.dtype}, the rows have "
                    f"{show(new.name)}, a {new.kind} {new.dtype}; {remedy}"
                )
        state, arrays = self.model.preprocess.state()
        try:
            return preprocessing.from_state(self.model.preprocess.kind, schema, state, arrays)
        except (MaasError, LookupError, TypeError, ValueError) as error:
            raise DataError(f"the preprocessing of `start` does not take these rows: {error}; {remedy}") from error


def reopened(recipe: Recipe, source: Source | None, inputs: Mapping[str, TensorSpec], num_outputs: int) -> Recipe:
    """A recipe; where it is the very one of the model to start from, without the sizes that the new data gives."""
    if not isinstance(source, Model) or recipe != source.recipe:
        return recipe
    given = _sizes(recipe, inputs, num_outputs)
    return replace(recipe, arguments={name: value for name, value in recipe.arguments.items() if name not in given})


def head_of(recipe: Recipe, inputs: Mapping[str, TensorSpec], num_outputs: int) -> frozenset[str]:
    """Names of the tensors whose shape follows from the number of outputs.

    Args:
        recipe: resolved for `inputs` and `num_outputs`.
    """
    try:
        other = recipe.with_arguments(**_sizes(recipe, inputs, num_outputs + 1))
        with torch.device("meta"):
            here, there = recipe.build().state_dict(), other.build().state_dict()
    except RecipeError:  # a network whose outputs are bound to its inputs has no head of its own
        return frozenset()
    return frozenset(name for name, tensor in here.items() if name not in there or tensor.shape != there[name].shape)


def _sizes(recipe: Recipe, inputs: Mapping[str, TensorSpec], num_outputs: int) -> dict[str, Any]:
    cls = network_class(recipe.kind)
    return dict(cls.sizes(inputs, num_outputs)) if hasattr(cls, "sizes") else {}
