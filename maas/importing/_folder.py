"""A Hugging Face folder, read as one reads what a stranger sent."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from maas.artifact import parse_json
from maas.errors import DataError, FormatError, show
from maas.importing._card import licence_of
from maas.importing._checkpoint import Checkpoint
from maas.storage import sha256

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
_MOST_BYTES = 1 << 26  # of a JSON file, as in an artifact
_SHARD = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*\.safetensors")


class Folder:
    """The files of a folder: regular ones of a sane size, and none that a link fetches from elsewhere.

    Raises:
        DataError: there is no such folder.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_dir():
            raise DataError(f"`folder` must be a folder with a model's files, or a .gguf file, got {show(str(path))}")
        self.path = path.resolve()
        self._within = [self.path]
        if self.path.parent.name == "snapshots":  # a folder of the hub's cache is made of links to its blobs
            self._within.append(self.path.parent.parent / "blobs")

    def file(self, name: str) -> Path | None:
        """Where a file lies; None: nowhere.

        Raises:
            FormatError: it is no regular file, or lies elsewhere.
        """
        path = self.path / name
        if not os.path.lexists(path):
            return None
        real = path.resolve()
        if not any(real.is_relative_to(one) for one in self._within):
            raise FormatError(f"{name} is a link out of its folder, to {real}; put the file itself there")
        if not real.exists() or not stat.S_ISREG(real.stat().st_mode):
            raise FormatError(f"{name} is not a regular file")
        return real

    def read(self, name: str, most_bytes: int = _MOST_BYTES) -> bytes | None:
        """A small file's bytes; None: there is no such file."""
        path = self.file(name)
        if path is None:
            return None
        with open(path, "rb") as file:
            data = file.read(most_bytes + 1)
        if len(data) > most_bytes:
            raise FormatError(f"{name} has more than {most_bytes:,} bytes, which is no model's")
        return data

    def text(self, name: str, most_bytes: int = _MOST_BYTES) -> str | None:
        """A small file's text; None: there is no such file."""
        data = self.read(name, most_bytes)
        try:
            return None if data is None else data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise FormatError(f"{name} is not UTF-8: {error}") from error

    def json(self, name: str) -> dict[str, Any] | None:
        """A JSON object; None: there is no such file."""
        data = self.read(name)
        return None if data is None else parse_json(name, data)


def read_folder(path: Path) -> Checkpoint:
    """A model in a folder as `save_pretrained` and the hub lay it out.

    Raises:
        DataError: there is no such folder.
        FormatError: a file is missing, or is not what it should be.
    """
    folder = Folder(path)
    config = folder.json("config.json")
    if config is None:
        raise FormatError(f"{path} has no config.json: it is no folder of a Hugging Face model")
    files = _weight_files(folder)
    tokenizer = folder.text("tokenizer.json")
    if tokenizer is None:
        raise FormatError(
            f"{path} has no tokenizer.json; where it has a tokenizer in another form, such as tokenizer.model, write "
            f"it with transformers: AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR)"
        )
    tokenizer_config = dict(folder.json("tokenizer_config.json") or {})
    for name, token in (folder.json("special_tokens_map.json") or {}).items():
        tokenizer_config.setdefault(name, token)
    if (template := folder.text("chat_template.jinja")) is not None:
        tokenizer_config["chat_template"] = template
    weights = _Weights(folder, files)
    names = ("config.json", "tokenizer.json", "generation_config.json", "tokenizer_config.json")
    digests = {name: sha256(data) for name in names if (data := folder.read(name)) is not None}
    return Checkpoint(
        config,
        weights.shapes,
        weights.tensor,
        tokenizer,
        tokenizer_config,
        folder.json("generation_config.json") or {},
        {"format": "huggingface", "name": folder.path.name, "sha256": digests, **licence_of(folder.text)},
    )


def _weight_files(folder: Folder) -> list[str]:
    index = folder.json(INDEX)
    if folder.file(WEIGHTS) is not None:  # as transformers: the one file goes before an index
        return [WEIGHTS]
    if index is None:
        if pickled := sorted(one.name for one in folder.path.glob("*.bin")):
            raise FormatError(
                f"{folder.path} has its weights in {pickled[0]}, a pickle, which can run code as it is read, and none "
                f"in safetensors; where you trust it, write them with transformers: "
                f"AutoModelForCausalLM.from_pretrained(DIR).save_pretrained(OTHER)"
            )
        raise FormatError(f"{folder.path} has neither {WEIGHTS} nor {INDEX}: no weights that maas reads")
    mapped = index.get("weight_map")
    if type(mapped) is not dict or not mapped or not all(type(name) is str for name in mapped.values()):
        raise FormatError(f"{INDEX} has no `weight_map` of file names")
    for name in (names := sorted(set(mapped.values()))):
        if not _SHARD.fullmatch(name):
            raise FormatError(f"{INDEX} names {show(name)}, which is no name of a safetensors file in its folder")
    return names


class _Weights:
    """The tensors of some files, mapped into memory and read when asked for."""

    def __init__(self, folder: Folder, names: list[str]) -> None:
        self._files: dict[str, Any] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        for name in names:
            path = folder.file(name)
            if path is None:
                raise FormatError(f"{INDEX} names {name}, which is missing")
            try:
                file: Any = safe_open(path, framework="pt")
                found = {one: tuple(file.get_slice(one).get_shape()) for one in file.keys()}  # noqa: SIM118
            except (SafetensorError, OSError, ValueError, RuntimeError) as error:
                raise FormatError(f"{name} is not a safetensors file: {str(error)[:300]}") from error
            if repeated := sorted(set(found) & set(self.shapes)):
                raise FormatError(f"tensor {show(repeated[0])} stands in two files")
            self.shapes |= found
            self._files |= dict.fromkeys(found, file)

    def tensor(self, name: str) -> torch.Tensor:
        found: torch.Tensor = self._files[name].get_tensor(name)
        return found
