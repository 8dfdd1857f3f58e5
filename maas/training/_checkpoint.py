"""One checkpoint: a folder of tensors and numbers with the SHA-256 of each file, written whole or not at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError

from maas.errors import RunError
from maas.storage import atomic_folder, sha256

FORMAT = 1
_TENSORS, _NUMBERS, _SUMS = "state.safetensors", "state.json", "SHA256SUMS"


class Broken(Exception):
    """Why a checkpoint cannot be used."""


def name_of(steps: int) -> str:
    """The folder of the checkpoint after so many steps."""
    return f"step-{steps:010}"


def found(folder: Path) -> list[Path]:
    """The checkpoints in a folder, newest first, whole or not."""
    return sorted((one for one in folder.glob("step-*") if one.is_dir()), reverse=True)


def write(folder: Path, steps: int, tensors: Mapping[str, torch.Tensor], numbers: Mapping[str, Any]) -> Path:
    """Write a checkpoint and read it back.

    Args:
        folder: of all checkpoints; what an earlier process left half done in it is removed.
        tensors: on the CPU, contiguous, no two sharing memory.

    Raises:
        RunError: the disk is full, or the folder cannot be written; the older checkpoints are as they were.
    """
    path = folder / name_of(steps)
    files = {
        _TENSORS: safetensors.torch.save(dict(tensors)),
        _NUMBERS: json.dumps({"format": FORMAT, **numbers}).encode(),
    }
    sums = {name: sha256(data) for name, data in files.items()}
    try:
        for orphan in folder.glob(".step-*"):
            shutil.rmtree(orphan) if orphan.is_dir() else orphan.unlink()
        with atomic_folder(path) as fresh:
            for name, data in files.items():
                (fresh / name).write_bytes(data)
            (fresh / _SUMS).write_text("".join(f"{digest}  {name}\n" for name, digest in sums.items()))
        for name, digest in sums.items():
            with (path / name).open("rb") as file:
                if sha256(file) != digest:
                    raise RunError(f"{path / name} was not read back as it was written; the disk may be failing")
    except OSError as error:
        raise RunError(
            f"the checkpoint {path} cannot be written: {error.strerror or error}; older ones are as they were"
        ) from error
    return path


def let_go(newest: Path, keep: int) -> None:
    """Remove all checkpoints but the newest, which is whole, and those before it, `keep` in all.

    Later ones are of steps that are now taken anew: they were found broken when the run went on from an older one.
    """
    others = [one for one in found(newest.parent) if one != newest]
    later = [one for one in others if one.name > newest.name]
    for one in later + [one for one in others if one not in later][keep - 1 :]:
        shutil.rmtree(one)


def read(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The tensors and numbers of a checkpoint.

    Raises:
        Broken: it is not whole.
        RunError: it is whole, but of another format.
    """
    try:
        files = {name: (path / name).read_bytes() for name in (_TENSORS, _NUMBERS)}
        lines = (path / _SUMS).read_text("ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise Broken(f"{getattr(error, 'strerror', None) or error}") from error
    if lines != [f"{sha256(data)}  {name}" for name, data in files.items()]:
        raise Broken("its bytes are not those that were written")
    try:
        numbers, tensors = json.loads(files[_NUMBERS]), safetensors.torch.load(files[_TENSORS])
        version = numbers.get("format")
    except (ValueError, AttributeError, SafetensorError, RecursionError) as error:
        raise Broken(f"its files are not JSON and safetensors: {error}") from error
    if version != FORMAT:
        raise RunError(
            f"{path} has format {version!r}, this version of maas reads {FORMAT}; go on with the version that began "
            f"the run, or begin anew in another folder"
        )
    return tensors, numbers
