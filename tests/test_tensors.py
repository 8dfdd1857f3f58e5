"""Safetensors files: byte for byte the library's, and whatever it refuses is refused."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from maas import artifact
from maas.errors import FormatError
from maas.tensors import _DTYPES, view_tensors, write_tensors

TENSORS = {
    **{f"{name}.{size}": torch.ones(size, 3).to(dtype) for name, dtype in _DTYPES.items() for size in (0, 1, 7)},
    'a "quoted" é\n': torch.arange(12.0).reshape(3, 4).t(),
    "scalar": torch.tensor(3.5),
    "a part": torch.arange(10.0)[2:5],
}


def library(tensors: dict[str, torch.Tensor]) -> bytes:
    return safetensors.torch.save({name: tensor.contiguous().clone() for name, tensor in tensors.items()})


def test_a_file_is_the_librarys(tmp_path: Path) -> None:
    digest = write_tensors(tmp_path / "x.safetensors", TENSORS)
    written = (tmp_path / "x.safetensors").read_bytes()
    assert written == library(TENSORS)
    assert digest == artifact.sha256(written)


def test_what_it_reads_is_what_the_library_reads() -> None:
    data = library(TENSORS)
    found, wanted = view_tensors("x", data), safetensors.torch.load(data)
    assert found.keys() == wanted.keys()
    for name, tensor in found.items():
        assert (tensor.dtype, tensor.shape) == (wanted[name].dtype, wanted[name].shape)
        assert torch.equal(tensor.reshape(-1).view(torch.uint8), wanted[name].reshape(-1).view(torch.uint8))


def test_tensors_are_views_of_a_bytearray() -> None:
    data = bytearray(library({"x": torch.zeros(3)}))
    found = view_tensors("x", data)["x"]
    data[-12:] = struct.pack("<3f", 1, 2, 3)
    assert found.tolist() == [1, 2, 3]


def test_a_dtype_that_no_file_holds(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"tensor 'x' is torch\.complex128, which a safetensors file cannot hold"):
        write_tensors(tmp_path / "x", {"x": torch.ones(1, dtype=torch.complex128)})


def _file(header: Any, body: bytes = b"\0" * 8) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def _entry(dtype: Any = "F32", shape: Any = (2,), offsets: Any = (0, 8)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


REFUSED = {
    "nothing": b"",
    "seven bytes": b"\0" * 7,
    "a header longer than the file": struct.pack("<Q", 1 << 62) + b"{}",
    "a header that is no JSON": _file(b"{"),
    "a header that is a list": _file(b"[]"),
    "a name twice": _file(b'{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"x":{}}'),
    "an entry that is none": _file({"x": 3}),
    "an unknown dtype": _file({"x": _entry("F31")}),
    "a dtype that is a list": _file({"x": _entry(["F32"])}),
    "a negative size": _file({"x": _entry(shape=(-2,))}),
    "a size that is a text": _file({"x": _entry(shape=("2",))}),
    "a size that is true": _file({"x": _entry(shape=(True, 2))}),
    "an absurd size": _file({"x": _entry(shape=(1 << 40, 1 << 40))}),
    "another size than its bytes": _file({"x": _entry(shape=(3,))}),
    "bytes outside the file": _file({"x": _entry(shape=(4,), offsets=(0, 16))}),
    "bytes before the first": _file({"x": _entry(shape=(1,), offsets=(4, 8))}),
    "bytes after the last": _file({"x": _entry()}, b"\0" * 12),
    "bytes of two tensors": _file({"x": _entry(), "y": _entry()}),
    "offsets that go backwards": _file({"x": _entry(offsets=(8, 0))}),
    "three offsets": _file({"x": _entry(offsets=(0, 8, 8))}),
    "metadata that are no texts": _file({"__metadata__": {"a": 1}, "x": _entry()}),
    "a deeply nested header": _file(b'{"x":' + b"[" * 100_000),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_safetensors_file(case: str) -> None:
    with pytest.raises(FormatError, match=r"x is not a safetensors file: ."):
        view_tensors("x", REFUSED[case])
    with pytest.raises(Exception):  # noqa: B017, PT011  # the library refuses it too
        safetensors.torch.load(REFUSED[case])
