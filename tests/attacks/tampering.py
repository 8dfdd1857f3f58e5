"""Ways to change an artifact, such that its digests are right unless they are what is changed."""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

Attack = Callable[[Path], None]


WEIGHTS = "model.safetensors"


def rehash(folder: Path) -> None:
    """Write SHA256SUMS anew, for the files that are there now."""
    names = sorted(name for name in os.listdir(folder) if name != "SHA256SUMS")
    lines = [f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    (folder / "SHA256SUMS").write_text("".join(lines))


def raw_bytes(name: str, change: Callable[[bytes], bytes]) -> Attack:
    """Other bytes, with their right digest."""

    def attack(folder: Path) -> None:
        (folder / name).write_bytes(change((folder / name).read_bytes()))
        if name != "SHA256SUMS":
            rehash(folder)

    return attack


def put(value: Any, *path: str | int, file: str = "artifact.json") -> Attack:
    """Another value at a path of keys in a JSON file; `...` takes the key away."""

    def attack(folder: Path) -> None:
        document = json.loads((folder / file).read_text())
        parent = document
        for key in path[:-1]:
            parent = parent[key]
        if value is ...:
            del parent[path[-1]]
        else:
            parent[path[-1]] = value
        (folder / file).write_text(json.dumps(document))
        rehash(folder)

    return attack


def argument(name: str, value: Any) -> Attack:
    return put(value, "recipe", "arguments", name)


def narrowed(sizes: Any) -> Attack:
    return put([{"kind": "narrowed", "arguments": {"sizes": sizes}}], "transforms")


def one_unit() -> dict[str, Any]:
    return {"kind": "narrowed", "arguments": {"sizes": {"hidden.0": [None, 1], "output": [1, None]}}}


def field_with(key: str, value: Any, place: int = 0) -> Attack:
    return put(value, "schema", place, key)


def example_with(key: str, value: Any) -> Attack:
    return put(value, key, file="example.json")


def tensors_with(change: Callable[[dict[str, torch.Tensor]], Any]) -> Attack:
    def attack(folder: Path) -> None:
        tensors = safetensors.torch.load_file(folder / WEIGHTS)
        change(tensors)
        (folder / WEIGHTS).write_bytes(safetensors.torch.save(tensors))
        rehash(folder)

    return attack


def tensor_with(name: str, value: torch.Tensor) -> Attack:
    return tensors_with(lambda tensors: tensors.update({name: value}))


def header_of(header: Any, body: bytes = b"\0" * 64) -> Attack:
    """A safetensors file with a header of one's own."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return raw_bytes(WEIGHTS, lambda _: struct.pack("<Q", len(text)) + text + body)


def text_with(name: str, old: bytes, new: bytes) -> Attack:
    def change(data: bytes) -> bytes:
        assert old in data
        return data.replace(old, new, 1)

    return raw_bytes(name, change)


def sums_with(change: Callable[[str], str | bytes]) -> Attack:
    def encoded(data: bytes) -> bytes:
        changed = change(data.decode())
        return changed if isinstance(changed, bytes) else changed.encode()

    return raw_bytes("SHA256SUMS", encoded)


def instead(name: str, make: Callable[[Path, Path], Any]) -> Attack:
    """Something else where a file was; its bytes lie beside the folder."""

    def attack(folder: Path) -> None:
        aside = folder.parent / "aside"
        (folder / name).rename(aside)
        make(folder / name, aside)

    return attack


def reordered(text: str) -> str:
    first, second, *others = text.splitlines(keepends=True)
    return "".join([second, first, *others])


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch pwned",)
