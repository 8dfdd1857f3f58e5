"""The stored form of a model: a flat folder of JSON and safetensors, checked before anything in it is used.

The format is written down in `docs/artifact-format.md`. This room knows files, digests and JSON; what they mean is
`maas.model`'s business.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NoReturn, TypeGuard

import torch

from maas.errors import ArtifactError, FormatError, IntegrityError, show
from maas.storage import atomic_folder, sha256, write_atomic
from maas.tensors import num_bytes, view_tensors, write_tensors

FORMAT = 1
SUMS = "SHA256SUMS"
WEIGHTS = "model.safetensors"
SIGNATURE = "model.sig"
MOST_SIGNATURE_BYTES = 1 << 16
DOCUMENTS = ("artifact.json", "card.json", "example.json")
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")
_LINE = re.compile(rf"([0-9a-f]{{64}})  ({_NAME.pattern})")
_MOST_SUMS_BYTES = 1 << 16
_MOST_JSON_BYTES = 1 << 26
_ALIGNED = 64
_MOST_WEIGHTS_BYTES = 1 << 30  # of a file; one tensor may be larger


@dataclass(frozen=True)
class Artifact:
    """The content of an artifact, whole and unaltered, not yet understood.

    Args:
        description: artifact.json, which says what the tensors mean.
        card: card.json.
        example: example.json, the golden rows and answers.
        tensors: all tensors by their stored names.
        digest: SHA-256 in hex: the identity of weights and description.
    """

    description: dict[str, Any]
    card: dict[str, Any]
    example: dict[str, Any]
    tensors: dict[str, torch.Tensor]
    digest: str


def write(
    path: str | Path,
    *,
    description: Mapping[str, Any],
    card: Mapping[str, Any],
    example: Mapping[str, Any],
    tensors: Mapping[str, torch.Tensor],
) -> str:
    """Write an artifact, in place of one that stands there.

    Args:
        path: the folder. Made if need be; replaced in one step if it is an artifact.
        description: artifact.json without `format` and `weights`.
        card, example: card.json and example.json.
        tensors: all tensors by their stored names. Those of a large model go into several files; one at a time is
            held beside what they are.

    Returns:
        The digest.

    Raises:
        ArtifactError: `path` is something else than an artifact, or a value cannot be written as JSON, or is too large.
        OSError: the disk is full, or the folder cannot be written; what stood there is untouched.
    """
    path = Path(path)
    check_replaceable(path)
    weights = _weights_files(tensors)
    documents = {
        "artifact.json": {"format": FORMAT, "weights": list(weights), **description},
        "card.json": card,
        "example.json": example,
    }
    files = {name: _dump(name, value) for name, value in documents.items()}
    for name, data in files.items():
        if len(data) > _MOST_JSON_BYTES:  # nobody could read it back
            raise ArtifactError(
                f"{name} would have {len(data):,} bytes, and may have {_MOST_JSON_BYTES:,}; give the model fewer, or "
                f"shorter, items, tokens, n-grams or categories"
            )
    sums = {name: sha256(data) for name, data in files.items()}
    with atomic_folder(path) as folder:
        for name, part in weights.items():
            sums[name] = write_tensors(folder / name, {one: tensors[one] for one in part})
        files[SUMS] = _format_sums(sums)
        for name, data in files.items():
            (folder / name).write_bytes(data)
    return _identity(sums, list(weights))


def read(path: str | Path) -> Artifact:
    """Read an artifact; nothing of it is used before all of it has its digest.

    Args:
        path: an artifact's folder, or the folder into which an archive was unpacked.

    Raises:
        IntegrityError: a file is missing, truncated or altered.
        FormatError: the files are whole, but are not an artifact of a known format.
    """
    return parse(read_files(path))


def read_files(path: str | Path) -> dict[str, bytes]:
    """The bytes of an artifact's files, all of one saving, by name: those that `SHA256SUMS` lists, and its signature.

    Raises:
        IntegrityError: a file is missing, truncated or altered.
    """
    path = Path(path)
    for last_try in (False, False, True):
        before = _inode(path)
        try:
            return _read_files(path)
        except IntegrityError:
            if last_try or _inode(path) == before:  # else the folder was replaced while it was being read
                raise
    raise AssertionError("unreachable")


def check_replaceable(path: Path) -> None:
    """Raise ArtifactError where something else than an artifact stands, which writing one would destroy."""
    if path.exists() and not (path.is_dir() and (is_artifact(path) or not any(path.iterdir()))):
        raise ArtifactError(f"{path} is not an artifact and will not be replaced; choose another folder")


def put_signature(path: str | Path, data: bytes) -> None:
    """Put a signature into an artifact's folder, in place of one that is there.

    Raises:
        OSError: the disk is full, or the folder cannot be written; what stood there is untouched.
    """
    write_atomic(Path(path) / SIGNATURE, data)


def is_artifact(path: str | Path) -> bool:
    """Whether a folder looks like an artifact; `read` says whether it is one."""
    return (Path(path) / SUMS).is_file() and (Path(path) / "artifact.json").is_file()


def unlisted(path: str | Path) -> list[str]:
    """Names in an artifact's folder that are neither its signature nor listed by SHA256SUMS: they are never read."""
    return sorted(set(os.listdir(path)) - set(read_files(path)))


def parse(files: Mapping[str, bytes]) -> Artifact:
    """An artifact out of the bytes of its files, once each is found to have its digest.

    The tensors are views of the files' bytes as `read_files` gives them: what trains them changes both.

    Raises:
        IntegrityError: a file is missing, truncated or altered.
        FormatError: the files are whole, but are not an artifact of a known format.
    """
    sums = _check_sums(files)
    description, card, example = (parse_json(name, files[name]) for name in DOCUMENTS)
    if type(description.get("format")) is not int or description["format"] != FORMAT:
        raise FormatError(
            f"artifact.json has format {show(description.get('format'))}, this version of maas reads format {FORMAT}"
        )
    others = sorted(set(sums) - set(DOCUMENTS))
    weights = description.get("weights")
    if weights != others:
        if _are_names(weights) and not set(weights) <= set(others):
            raise IntegrityError(f"{SUMS} does not list {min(set(weights) - set(others))}")
        raise FormatError(f"artifact.json lists the weights {show(str(weights), 200)}, {SUMS} lists {others}")
    tensors: dict[str, torch.Tensor] = {}
    for name in others:
        part = view_tensors(name, files[name])
        if repeated := set(part) & set(tensors):
            raise FormatError(f"tensor {sorted(repeated)[0]!r} stands in two files")
        tensors.update(part)
    return Artifact(description, card, example, tensors, _identity(sums, others))


def parse_json(name: str, data: bytes) -> dict[str, Any]:
    """A JSON object, strictly: no repeated keys, no NaN or infinity, no byte order mark.

    Raises:
        FormatError: it is not one. `name` says of what.
    """

    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is not JSON")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise ValueError("an object repeats a key")
        return found

    try:
        value = json.loads(data.decode("utf-8"), parse_constant=refuse, object_pairs_hook=unique)
        json.dumps(value, allow_nan=False)  # 1e999 parses to infinity
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{name} is not strict JSON: {error}") from error
    if type(value) is not dict:
        raise FormatError(f"{name} must be a JSON object, got {show(value)}")
    return value


def _weights_files(tensors: Mapping[str, torch.Tensor]) -> dict[str, list[str]]:
    """Which tensors go into which file: as many as there are, or as its size allows."""
    parts: list[list[str]] = [[]]
    taken = 0
    for name, tensor in tensors.items():
        size = num_bytes(tensor)
        if parts[-1] and taken + size > _MOST_WEIGHTS_BYTES:
            parts.append([])
            taken = 0
        parts[-1].append(name)
        taken += size
    if len(parts) == 1:
        return {WEIGHTS: parts[0]}
    return {f"model-{place:05d}-of-{len(parts):05d}.safetensors": part for place, part in enumerate(parts, 1)}


def _dump(name: str, value: Mapping[str, Any]) -> bytes:
    try:
        text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
        return (text + "\n").encode("utf-8")
    except (TypeError, ValueError) as error:
        raise ArtifactError(f"{name} cannot be written: {error}") from error


def _format_sums(sums: Mapping[str, str]) -> bytes:
    return "".join(f"{sums[name]}  {name}\n" for name in sorted(sums)).encode("ascii")


def _parse_sums(data: bytes) -> dict[str, str]:
    try:
        lines = data.decode("ascii").split("\n")
    except UnicodeDecodeError as error:
        raise IntegrityError(f"{SUMS} is not ASCII") from error
    matches = [_LINE.fullmatch(line) for line in lines[:-1]]
    if lines[-1] or not matches or not all(matches):
        raise IntegrityError(f"{SUMS} is damaged: each line is a SHA-256, two spaces, a name and a line feed")
    sums = {match[2]: match[1] for match in matches if match}
    if _format_sums(sums) != data:
        raise IntegrityError(f"{SUMS} is damaged: names must be sorted and differ")
    return sums


def _are_names(weights: Any) -> TypeGuard[list[str]]:
    return (
        type(weights) is list
        and all(type(name) is str and _NAME.fullmatch(name) for name in weights)
        and len(set(weights)) == len(weights)
    )


def _identity(sums: Mapping[str, str], weights: list[str]) -> str:
    return sha256(_format_sums({name: sums[name] for name in ["artifact.json", *weights]}))


def _check_sums(files: Mapping[str, bytes]) -> dict[str, str]:
    if SUMS not in files:
        raise IntegrityError(f"an artifact has {SUMS}, this has not")
    sums = _parse_sums(files[SUMS])
    for name in sorted({*DOCUMENTS, *sums}):
        if name not in sums:
            raise IntegrityError(f"{SUMS} does not list {name}")
        if name not in files:
            raise IntegrityError(f"{name} is missing")
        if sha256(files[name]) != sums[name]:
            raise IntegrityError(f"{name} is not what was saved: its SHA-256 differs from {SUMS}")
    return sums


def _read_files(path: Path) -> dict[str, bytes]:
    try:
        # By descriptor, so that all files are of one folder, even if another takes its place meanwhile.
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise IntegrityError(f"{path} is not an artifact: there is no such folder") from error
    try:
        there = os.listdir(folder)
        if SUMS not in there:
            raise IntegrityError(f"{path} is not an artifact: it has no {SUMS}")
        files = {SUMS: _read_file(folder, SUMS, _MOST_SUMS_BYTES)}
        for name in _parse_sums(files[SUMS]):
            files[name] = _read_file(folder, name, _MOST_JSON_BYTES if name in DOCUMENTS else None)
        _check_sums(files)
        if SIGNATURE in there:
            files[SIGNATURE] = _read_file(folder, SIGNATURE, MOST_SIGNATURE_BYTES)
        return files
    finally:
        os.close(folder)


def _read_file(folder: int, name: str, most_bytes: int | None) -> bytes:
    try:
        # Not blocking: opening a pipe that hides under the name must not hang.
        descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    except OSError as error:
        raise IntegrityError(f"{name} cannot be read: {error.strerror}") from error
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        os.close(descriptor)
        raise IntegrityError(f"{name} is not a regular file")
    with os.fdopen(descriptor, "rb") as file:
        if most_bytes is not None and found.st_size > most_bytes:
            raise IntegrityError(f"{name} is larger than {most_bytes} bytes")
        if most_bytes is None:
            return read_whole(file, found.st_size)
        data: bytes = file.read()
        return data


def read_whole(file: IO[bytes], size: int) -> bytes:
    """The next `size` bytes, or fewer where the file ends; in a bytearray, so that tensors can be views of them.

    The numbers after a safetensors header begin at a multiple of 64 in memory: matrices are multiplied faster there.
    """
    first = file.read(8)
    data = bytearray(size + _ALIGNED)
    numbers = ctypes.addressof(ctypes.c_char.from_buffer(data)) + 8 + int.from_bytes(first, "little")
    del data[: -numbers % _ALIGNED]  # no copy: a bytearray remembers where it begins
    data[: len(first)] = first
    view = memoryview(data)[:size]
    at = len(first)
    while at < size and (got := file.readinto(view[at:])):  # type: ignore[attr-defined]
        at += got
    view.release()
    del data[at:]
    return data  # type: ignore[return-value]  # bytes to all who only read them


def _inode(path: Path) -> int | None:
    try:
        return os.stat(path).st_ino
    except OSError:
        return None
