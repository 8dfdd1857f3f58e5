"""Hostile files of starting weights: refused by a plain error, and nothing in them runs."""

from __future__ import annotations

import io
import os
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

import maas
from maas.errors import DataError

SMALL = maas.recipe(maas.nn.MLP, hidden=(6,))


class _Evil:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f": > {self.path}",)


class _Global:
    """A call of something harmless by name that takes memory: a gigabyte of zeros."""

    def __reduce__(self) -> tuple[Any, ...]:
        return bytearray, (1 << 30,)


def _fit(start: Any) -> maas.Model:
    x = np.random.default_rng(0).normal(size=(20, 4))
    settings = {"epochs": 1, "validation": 0, "keep": "last", "device": "cpu", "progress": False}
    return maas.fit(SMALL, (x, np.arange(20) % 3), start=start, **settings)


def _state() -> dict[str, torch.Tensor]:
    return maas.nn.MLP(4, 3, hidden=(6,)).state_dict()


def _zip(described: bytes, *, name: str = "w/data.pkl", compress: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compress) as archive:
        archive.writestr(name, described)
        archive.writestr("w/version", b"3\n")
    return buffer.getvalue()


def _saved(value: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer, **options)
    return buffer.getvalue()


def _script() -> bytes:
    """The folder that makes a zip file a TorchScript archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("w/data.pkl", pickle.dumps({}, 2))
        archive.writestr("w/code/__torch__.py", b"raise SystemExit")
    return buffer.getvalue()


ATTACKS: dict[str, tuple[Callable[[str], bytes], str]] = {
    "a pickle that runs a command": (lambda path: pickle.dumps(_Evil(path), 2), r"names 'posix\.system'"),
    "the same, protocol 4": (lambda path: pickle.dumps(_Evil(path), 4), "names 'STACK_GLOBAL'"),
    "a state dict with such an entry": (lambda path: _saved({"a": _Evil(path)}), r"names 'posix\.system'"),
    "the same, in the old format": (
        lambda path: _saved({"a": _Evil(path)}, _use_new_zipfile_serialization=False),
        r"names 'posix\.system'",
    ),
    "in the names of storages": (
        lambda path: b"".join(pickle.dumps(one, 2) for one in (0x1950A86A20F9469CFC6C, 1001, {}, {}, _Evil(path))),
        r"names 'posix\.system'",
    ),
    "a zip file with a bare bomb": (lambda path: _zip(pickle.dumps(_Evil(path), 2)), r"names 'posix\.system'"),
    "a gigabyte by a call": (lambda _: _saved({"a": _Global()}), r"names '__builtin__\.bytearray'"),
    "the same, in the old format before a harmless zip file": (
        lambda _: _saved({"a": _Global()}, _use_new_zipfile_serialization=False) + _saved(_state()),
        r"names '__builtin__\.bytearray'",
    ),
    "a whole module": (lambda _: _saved(nn.Linear(2, 2)), r"names '[a-zA-Z_.]*', .*could run code; give a state dict"),
    "a TorchScript archive": (lambda _: _script(), "is a TorchScript archive, which is code"),
    "a compressed zip file": (
        lambda _: _zip(pickle.dumps({"a": b"\0" * 10**6}, 2), compress=zipfile.ZIP_DEFLATED),
        "is a zip file, but none that torch.save wrote",
    ),
    "a zip file of something else": (lambda _: _zip(b"x", name="a.txt"), "is a zip file, but none that torch.save"),
    "a pickle of 65 MiB": (lambda _: _zip(b"\0" * (65 << 20)), "describes its tensors in more than 67108864 bytes"),
    "half a file": (lambda _: _saved(_state())[:900], "w.pth is a damaged zip file"),
    "half a file in the old format": (
        lambda _: _saved(_state(), _use_new_zipfile_serialization=False)[:-40],
        "w.pth cannot be read: ",
    ),
    "text": (lambda _: b"hello, I am text", "w.pth is no file that torch.save wrote"),
    "nothing": (lambda _: b"", "w.pth is no file that torch.save wrote"),
    "a safetensors file under this name": (
        lambda _: safetensors.torch.save(_state()),
        "w.pth is no file that torch.save wrote",
    ),
    "a list": (lambda _: _saved([torch.zeros(1)]), "must hold a state dict, got list"),
    "numbers for names": (lambda _: _saved({0: torch.zeros(1)}), "must hold a state dict, got dict"),
    "a checkpoint": (
        lambda _: _saved({"epoch": 3, "state_dict": OrderedDict(_state())}),
        "must hold tensors by name, got int under 'epoch'; is it a whole checkpoint",
    ),
    "a tensor that is all one number": (
        lambda _: _saved({**_state(), "hidden.0.weight": torch.zeros(1).expand(10**6, 10**6)}),
        r"'hidden\.0\.weight' \(1000000, 1000000\) in place of \(6, 4\)",
    ),
    "a sparse tensor": (
        lambda _: _saved({"a": torch.eye(2).to_sparse()}),
        "names 'torch._utils._rebuild_sparse_tensor'",
    ),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_hostile_file_is_refused_and_nothing_runs(attack: str, tmp_path: Path) -> None:
    make, message = ATTACKS[attack]
    (tmp_path / "w.pth").write_bytes(make(str(tmp_path / "pwned")))
    with pytest.raises(DataError, match=message):
        _fit(tmp_path / "w.pth")
    assert [one.name for one in tmp_path.iterdir()] == ["w.pth"]


def test_the_bomb_would_have_gone_off(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(_Evil(str(tmp_path / "pwned")), 2))
    assert (tmp_path / "pwned").exists()


def test_a_file_larger_than_the_network_accounts_for_is_not_read(tmp_path: Path) -> None:
    for name in ("w.pth", "w.safetensors"):
        (tmp_path / name).touch()
        os.truncate(tmp_path / name, 1 << 40)
        with pytest.raises(DataError, match=f"{name} has 1,099,511,627,776 bytes, this network's weights take at most"):
            _fit(tmp_path / name)


def test_a_pipe_and_a_folder_by_such_a_name(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.pth")
    with pytest.raises(DataError, match=r"pipe\.pth is not a regular file"):
        _fit(tmp_path / "pipe.pth")
    (tmp_path / "folder.pth").mkdir()
    with pytest.raises(DataError, match=r"folder\.pth is a folder, but no saved model"):
        _fit(tmp_path / "folder.pth")


@pytest.mark.parametrize("content", [b"", b"text", struct.pack("<Q", 1 << 40) + b"{}", struct.pack("<Q", 2) + b"[]"])
def test_what_is_no_safetensors_file(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(content)
    with pytest.raises(DataError, match=r"w\.safetensors is not a safetensors file"):
        _fit(tmp_path / "w.safetensors")
