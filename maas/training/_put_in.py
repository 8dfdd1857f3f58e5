"""Putting starting weights into a new network by name, once they are found to be those of such a network."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import nn

from maas.errors import DataError, show
from maas.model import Model
from maas.storage import sha256
from maas.task import Task
from maas.training._hub import PublishedWeights
from maas.training._start import TORCH_SUFFIXES, Source
from maas.training._torch_file import is_plain, read_state_dict

_SPARE_BYTES = 1 << 28  # what a file may hold beside twice the network's bytes: float64, another head
_SHOWN = 4


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
    if path.suffix in TORCH_SUFFIXES:
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
