"""Starting weights: where they come from, and how they are put into a new network by name."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import nn

from maas import preprocess as preprocessing
from maas.artifact import is_artifact
from maas.errors import DataError, MaasError, RecipeError, show
from maas.model import Model
from maas.nn import Backbone, Recipe, network_class
from maas.preprocess import Image, Learner, Preprocess, for_schema
from maas.schema import Columns, Schema, TensorSpec
from maas.storage import sha256
from maas.task import Task
from maas.training._hub import PublishedWeights
from maas.training._torch_file import is_plain, read_state_dict

Start = str | os.PathLike[str] | Model | Mapping[str, torch.Tensor]
Source = Path | PublishedWeights | Model | Mapping[str, torch.Tensor]
_PUBLISHED = re.compile(r"[A-Z][A-Z0-9_]*")
_TORCH_SUFFIXES = (".pt", ".pth")
_SPARE_BYTES = 1 << 28  # what a file may hold beside twice the network's bytes: float64, another head
_SHOWN = 4


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
    if path.suffix not in (".safetensors", *_TORCH_SUFFIXES):
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


def put_in(network: nn.Module, source: Source, *, head: frozenset[str], task: Task) -> dict[str, Any]:
    """Put starting weights into a network, by name.

    The tensors of its head stay new where those of the source have another shape, are not there, or stand for other
    answers; every other tensor must be there, and none may be left over.

    Args:
        network: newly built, on the CPU.
        head: names of the tensors that follow from the number of outputs.
        task: what the outputs mean.

    Returns:
        What was done, for the model's card: `kind` and `name` of the source, its `sha256`, how many tensors were
        `loaded` and which are `new`.

    Raises:
        DataError: the source cannot be read, or does not fit.
    """
    wanted = network.state_dict()
    tensors, record = _read(source, 2 * sum(one.numel() * one.element_size() for one in wanted.values()) + _SPARE_BYTES)
    if foreign := [name for name, tensor in tensors.items() if not isinstance(name, str) or not is_plain(tensor)]:
        raise DataError(f"`start` must hold dense tensors by name, got another thing under {show(foreign[0])}")
    if hasattr(network, "adopt"):
        tensors = network.adopt(tensors)  # type: ignore[operator]
    other_answers = isinstance(source, Model) and _meaning(source.task) != _meaning(task)
    new = {name for name in head if other_answers or name not in tensors or tensors[name].shape != wanted[name].shape}
    taken = {name: tensor for name, tensor in tensors.items() if name not in new}
    # Files from before torch counted batches lack the count; only a momentum of None reads it.
    missing = [
        name for name in wanted if name not in taken and name not in new and not name.endswith("num_batches_tracked")
    ]
    wrong = {
        "lacks": [show(name, 90) for name in missing],
        "has besides": [show(name, 90) for name in taken if name not in wanted],
        "has of another shape or dtype": [
            f"{show(name, 90)} {tuple(tensor.shape)} in place of {tuple(wanted[name].shape)}"
            for name, tensor in taken.items()
            if name in wanted and not _fits(tensor, wanted[name])
        ],
    }
    if found := [f"it {what} {_some(names)}" for what, names in wrong.items() if names]:
        only = f"; only {_some(sorted(head))} may differ" if head else ""
        raise DataError(
            f"`start` does not fit this network: {'; '.join(found)}{only}: give weights of the same network"
        )
    for name, tensor in taken.items():
        if not torch.isfinite(tensor.to(wanted[name].dtype)).all():  # float64 may hold more than float32
            raise DataError(f"`start` holds NaN or infinity in {show(name, 90)}; training cannot start from it")
    with torch.no_grad():
        for name, tensor in taken.items():
            wanted[name].copy_(tensor)
    return {**record, "loaded": len(taken), "new": sorted(new)}


def _read(source: Source, most_bytes: int) -> tuple[Mapping[str, torch.Tensor], dict[str, Any]]:
    if isinstance(source, Model):
        tensors = source.network.state_dict()
        return tensors, {"kind": "model", "name": source.recipe.kind, "sha256": source.digest or _digest(tensors)}
    if isinstance(source, Mapping):
        plain = {str(name): tensor for name, tensor in source.items() if is_plain(tensor)}
        return source, {"kind": "tensors", "name": None, "sha256": _digest(plain)}
    path = source.fetch() if isinstance(source, PublishedWeights) else source
    content = _bytes_of(path, most_bytes)
    if isinstance(source, PublishedWeights):
        source.check(path, content)
        record = {"kind": "published", "name": f"{source.name} {source.weights}"}
    else:
        record = {"kind": "file", "name": path.name}
    if path.suffix in _TORCH_SUFFIXES:
        tensors = dict(read_state_dict(path, content))
    else:
        try:
            tensors = safetensors.torch.load(content)
        except (SafetensorError, ValueError, KeyError, OSError, RuntimeError) as error:
            raise DataError(f"`start` {path.name} is not a safetensors file: {error}") from error
        if tensors and all(name.startswith(("network.", "preprocess.", "task.")) for name in tensors):
            raise DataError(f"`start` {path.name} is a part of a saved model; give its folder {path.parent}")
    return tensors, {**record, "sha256": sha256(content)}


def _bytes_of(path: Path, most_bytes: int) -> bytes:
    """A file's bytes, once it is known to be a file of a size that the network accounts for."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe must not hang
    except OSError as error:
        raise DataError(f"`start` {path} cannot be read: {error.strerror}") from error
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise DataError(f"`start` {path} is not a regular file")
        if found.st_size > most_bytes:
            raise DataError(
                f"`start` {path.name} has {found.st_size:,} bytes, this network's weights take at most {most_bytes:,}; "
                f"give a file of the network's state dict alone"
            )
        data: bytes = file.read(most_bytes)
        return data


def _sizes(recipe: Recipe, inputs: Mapping[str, TensorSpec], num_outputs: int) -> dict[str, Any]:
    cls = network_class(recipe.kind)
    return dict(cls.sizes(inputs, num_outputs)) if hasattr(cls, "sizes") else {}


def _meaning(task: Task) -> tuple[str, dict[str, Any]]:
    """What outputs stand for: a task's kind and state, without numbers such as a threshold."""
    return task.kind, {name: value for name, value in task.state()[0].items() if not isinstance(value, float)}


def _fits(tensor: torch.Tensor, wanted: torch.Tensor) -> bool:
    alike = tensor.dtype == wanted.dtype or (tensor.is_floating_point() and wanted.is_floating_point())
    return tensor.shape == wanted.shape and alike


def _digest(tensors: Mapping[str, torch.Tensor]) -> str:
    return sha256(
        safetensors.torch.save({name: one.detach().cpu().clone().contiguous() for name, one in tensors.items()})
    )


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
