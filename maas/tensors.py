"""Safetensors files, written tensor by tensor and read without a second copy: the library's functions hold two.

Source: the format is https://github.com/huggingface/safetensors#format; files are byte for byte the library's.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from maas.errors import FormatError, show
from maas.storage import Digest

# In the order of the library, which lays out the last of them first.
_DTYPES = {
    "BOOL": torch.bool,
    "U8": torch.uint8,
    "I8": torch.int8,
    "F8_E5M2": torch.float8_e5m2,
    "F8_E4M3": torch.float8_e4m3fn,
    "I16": torch.int16,
    "U16": torch.uint16,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I32": torch.int32,
    "U32": torch.uint32,
    "F32": torch.float32,
    "C64": torch.complex64,
    "F64": torch.float64,
    "I64": torch.int64,
    "U64": torch.uint64,
}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}
_RANKS = {dtype: rank for rank, dtype in enumerate(_DTYPES.values())}
_MOST_HEADER_BYTES = 100_000_000


def num_bytes(tensor: torch.Tensor) -> int:
    """What a tensor takes in a file."""
    return tensor.numel() * tensor.dtype.itemsize


def write_tensors(path: Path, tensors: Mapping[str, torch.Tensor]) -> str:
    """Write a file of tensors, wherever they are, holding one of them more than there is; gives its SHA-256.

    Raises:
        FormatError: a tensor has a dtype that such a file cannot hold.
        OSError: the disk is full, or the folder cannot be written.
    """
    header: dict[str, Any] = {}
    at = 0
    for name, tensor in tensors.items():
        if tensor.dtype not in _NAMES:
            raise FormatError(f"tensor {show(name)} is {tensor.dtype}, which a safetensors file cannot hold")
    ordered = sorted(tensors, key=lambda name: (-_RANKS[tensors[name].dtype], name.encode()))
    for name in ordered:
        tensor, size = tensors[name], num_bytes(tensors[name])
        offsets = [at, at + size]
        header[name] = {"dtype": _NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": offsets}
        at += size
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    digest = Digest()
    with open(path, "wb") as file:
        for piece in (struct.pack("<Q", len(text)), text):
            digest.update(piece)
            file.write(piece)
        for name in ordered:
            data = tensors[name].detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data
            digest.update(data)
            file.write(data)
    return digest.hexdigest()


def view_tensors(name: str, data: bytes | bytearray) -> dict[str, torch.Tensor]:
    """The tensors of a file's bytes: views of them, where they are a bytearray.

    Raises:
        FormatError: they are no safetensors file. `name` says of what.
    """
    try:
        return _views(data if isinstance(data, bytearray) else bytearray(data))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, RuntimeError) as error:
        raise FormatError(f"{name} is not a safetensors file: {str(error)[:300]}") from error


def _views(data: bytearray) -> dict[str, torch.Tensor]:
    if len(data) < 8:
        raise ValueError("it is shorter than 8 bytes")
    (length,) = struct.unpack_from("<Q", data)
    start = 8 + length
    if length > _MOST_HEADER_BYTES or start > len(data):
        raise ValueError(f"its header would have {length:,} bytes, the file has {len(data):,}")
    text = bytes(data[8:start])
    if not text.startswith(b"{"):
        raise ValueError("its header is no JSON object")
    header = json.loads(text.decode("utf-8"), object_pairs_hook=_unique)
    metadata = header.pop("__metadata__", {})
    if type(metadata) is not dict or not all(type(value) is str for value in metadata.values()):
        raise ValueError("its metadata are not texts by name")
    found: dict[str, torch.Tensor] = {}
    at = 0
    for name, entry in sorted(header.items(), key=lambda item: tuple(item[1]["data_offsets"])):
        if set(entry) != {"dtype", "shape", "data_offsets"}:
            raise ValueError(f"tensor {show(name)} is described by other keys than dtype, shape and data_offsets")
        shape, (begin, end), dtype = entry["shape"], entry["data_offsets"], _DTYPES[entry["dtype"]]
        if not all(type(size) is int and 0 <= size < 1 << 63 for size in [*shape, begin, end]):
            raise ValueError(f"the shape and offsets of tensor {show(name)} are not all whole numbers from 0 on")
        count = math.prod(shape)
        if begin != at or end - begin != count * dtype.itemsize or start + end > len(data):
            raise ValueError(f"tensor {show(name)} does not fill its bytes, or they lie outside the file")
        found[name] = _view(data, start + begin, count, dtype).reshape(shape)
        at = end
    if start + at != len(data):
        raise ValueError("bytes stand after its tensors")
    return found


def _view(data: bytearray, at: int, count: int, dtype: torch.dtype) -> torch.Tensor:
    if not count:
        return torch.empty(0, dtype=dtype)
    if not at % dtype.itemsize:
        return torch.frombuffer(data, dtype=dtype, count=count, offset=at)
    return torch.frombuffer(data, dtype=torch.uint8, count=count * dtype.itemsize, offset=at).clone().view(dtype)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("its header repeats a key")
    return found
