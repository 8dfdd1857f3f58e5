"""State dicts that `torch.save` wrote, to plain tensors: the only place where such a file is read.

The format is a pickle, which may run code. So three walls: what the pickle names is looked at before it is run, all
but tensors and dicts being refused; torch reads it with `weights_only=True`; what comes out must be tensors by name.
"""

from __future__ import annotations

import io
import pickletools
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch

from maas.errors import DataError, show

_MOST_PICKLE_BYTES = 1 << 26
_HARMLESS = re.compile(
    r"collections OrderedDict|torch\._utils _rebuild_(tensor_v2|parameter)|torch [A-Z][A-Za-z0-9]*Storage|torch Size"
)
_LEGACY_PICKLES = 5  # magic number, protocol, system, state dict, names of storages; then the numbers
_REMEDY = "write it again with safetensors.torch.save_file(network.state_dict(), path)"


def read_state_dict(path: Path, content: bytes) -> Mapping[str, torch.Tensor]:
    """The tensors of a file that `torch.save(network.state_dict(), path)` wrote.

    Args:
        path: names the file in errors.
        content: its bytes; the caller has bounded them.

    Raises:
        DataError: it is something else: a whole module, a TorchScript archive, a checkpoint with more than weights, or
            would run code. Nothing of it has run.
    """
    # By its first bytes, as torch does: a zip's own mark stands at its end, behind anything.
    for name in (_globals_of_zip if content.startswith(b"PK\x03\x04") else _legacy)(path, content):
        if not _HARMLESS.fullmatch(name):
            raise DataError(
                f"`start` {path.name} holds more than tensors: it names {show(name.replace(' ', '.'))}, and reading "
                f"that could run code; give a state dict: {_REMEDY}"
            )
    try:
        found = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged file makes torch raise
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise DataError(f"`start` {path.name} cannot be read: {reason}; {_REMEDY}") from error
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        raise DataError(f"`start` {path.name} must hold a state dict, got {type(found).__name__}; {_REMEDY}")
    if inner := [name for name, value in found.items() if not isinstance(value, torch.Tensor)]:
        raise DataError(
            f"`start` {path.name} must hold tensors by name, got {type(found[inner[0]]).__name__} under "
            f"{show(inner[0])}; is it a whole checkpoint? {_REMEDY}"
        )
    return found


def _legacy(path: Path, content: bytes) -> Iterator[str]:
    """The globals that a file of torch's first format names: several pickles, and then numbers."""
    if not content.startswith(b"\x80"):  # how every pickle of torch begins
        raise DataError(f"`start` {path.name} is no file that torch.save wrote; {_REMEDY}")
    stream = io.BytesIO(content)
    for _ in range(_LEGACY_PICKLES):
        yield from _globals(path, stream)


def _globals_of_zip(path: Path, content: bytes) -> Iterator[str]:
    """The globals that the pickle within a file of torch's present format names."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            if any(re.search(r"(^|/)(code/|constants\.pkl$)", one.filename) for one in members):
                raise DataError(f"`start` {path.name} is a TorchScript archive, which is code; {_REMEDY}")
            pickles = [one for one in members if re.fullmatch(r"([^/]*/)?data\.pkl", one.filename)]
            if len(pickles) != 1 or any(one.compress_type != zipfile.ZIP_STORED for one in members):
                raise DataError(f"`start` {path.name} is a zip file, but none that torch.save wrote; {_REMEDY}")
            if pickles[0].file_size > _MOST_PICKLE_BYTES:
                raise DataError(f"`start` {path.name} describes its tensors in more than {_MOST_PICKLE_BYTES} bytes")
            described = archive.read(pickles[0])
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"`start` {path.name} is a damaged zip file: {error}; {_REMEDY}") from error
    yield from _globals(path, io.BytesIO(described))


def _globals(path: Path, stream: BinaryIO) -> Iterator[str]:
    """The globals that the next pickle of a stream names, "module name"; nothing is run."""
    try:
        for opcode, argument, _ in pickletools.genops(stream):
            if opcode.name == "GLOBAL":
                yield str(argument)
            elif opcode.name in ("STACK_GLOBAL", "INST", "OBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4"):
                yield opcode.name  # names what it calls in ways that torch.save does not
    except Exception as error:  # genops raises whatever its decoders do
        raise DataError(f"`start` {path.name} is no file that torch.save wrote; {_REMEDY}") from error


def is_plain(tensor: Any) -> bool:
    """Whether a value is an ordinary dense tensor on a device."""
    return (
        type(tensor) in (torch.Tensor, torch.nn.Parameter)
        and tensor.layout == torch.strided
        and not tensor.is_quantized
        and not tensor.is_meta
    )
