"""An artifact as a TorchServe archive (`.mar`) and back."""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from maas import artifact
from maas.archive._deployment import CONFIG, Deployment, read_deployment
from maas.archive._layout import (
    GENERATE,
    HANDLER,
    HANDLERS,
    MANIFEST,
    Archive,
    checked,
    first_weights,
    handler_path,
    manifest_of,
)
from maas.archive._names import check_name, check_version
from maas.archive._zip import member, opened, write_archive
from maas.errors import ArchiveError, ArtifactError, FormatError, SignatureError
from maas.model import Model
from maas.signing import PublicKey, check_signed, check_signs, read_public_keys


def package(
    path: str | Path,
    *,
    store: str | Path = "model_store",
    name: str | None = None,
    version: str = "1.0",
    workers: int | None = None,
    batch_size: int | None = None,
    max_batch_delay_ms: int | None = None,
    config: str | Path | None = None,
) -> Path:
    """Write an artifact as `store/NAME.mar`, ready for TorchServe. Same artifact and arguments, same bytes.

    Where that file holds another version it stays, and the new one is written beside it, as `NAME@VERSION.mar`. The
    artifact is loaded and answers its golden rows first. Its signature goes with it.

    Args:
        path: the artifact's folder.
        store: TorchServe's model store; made if need be.
        name: of the model, lower-case letters, digits, '_' and '-'; by default the folder's.
        version: one to three numbers, such as "1.0".
        workers: worker processes; by default 1.
        batch_size: most requests answered in one pass; by default 16, or 8 where answers grow token by token.
        max_batch_delay_ms: milliseconds that a request waits for others, by default 1; under `maas serve` a lone
            client's does not.
        config: a model-config.yaml, as `maas tune-serving` writes it, in place of these defaults.

    Returns:
        The path of the archive.

    Raises:
        ArtifactError: the artifact is damaged, answers otherwise here, or was changed after it was signed.
        ArchiveError: the name, the version or a number cannot be used.
    """
    path = Path(path)
    name = check_name(path.resolve().name if name is None else name)
    check_version(version)
    given: dict[str, Any] = {"workers": workers, "batch_size": batch_size, "max_batch_delay_ms": max_batch_delay_ms}
    read_deployment(**given)  # a wrong number is told before a large model is loaded
    members = artifact.read_files(path)
    model = Model.from_artifact(artifact.parse(members))
    check_signs(members)
    streams = model.task.streams
    handler = GENERATE if streams else HANDLER
    members[handler] = handler_path(handler).read_bytes()
    members[CONFIG] = read_deployment(config, streams=streams, **given).to_yaml().encode()
    members[MANIFEST] = manifest_of(name, version, handler, first_weights(members)).encode()
    written = _place(Path(store), name, version)
    write_archive(written, members)
    return written


def copy_archive(
    source: Path, target: Path, deployment: Deployment, *, public_keys: Sequence[PublicKey] | None = None
) -> None:
    """Copy a `.mar`, checked, with another model-config.yaml.

    Args:
        source, target: the files.
        deployment: the content of model-config.yaml.
        public_keys: one of them must have signed the very bytes that are written.

    Raises:
        ArchiveError: as in `read_archive`.
        SignatureError: none of them has.
    """
    members = _read_members(source)
    if public_keys is not None:
        _check_trusted(source, _artifact_files(members), public_keys)
    write_archive(target, {**members, CONFIG: deployment.to_yaml().encode()})


def verify(path: str | Path, *, public_keys: Sequence[str | Path] | None = None) -> str:
    """Check an artifact or a `.mar` to the last byte, and let the model in it answer its golden rows.

    Args:
        path: an artifact's folder, or a `.mar` file.
        public_keys: PEM files: it must be signed by a key in one of them. Without them its signature is not looked at.

    Returns:
        The model's digest.

    Raises:
        ArtifactError: the artifact is damaged, is none, is not signed by one of the keys, or answers otherwise here.
        ArchiveError: the archive holds something that maas does not put there, or another handler.
    """
    path = Path(path)
    keys = None if public_keys is None else read_public_keys(public_keys)
    files, stored = _read_folder(path) if path.is_dir() else _read_archived(path)
    if keys is not None:
        _check_trusted(path, files, keys)
    found = Model.from_artifact(stored)
    if path.is_dir() and (extra := artifact.unlisted(path)):
        raise FormatError(f"{path} holds files that {artifact.SUMS} does not list: {', '.join(extra)}; remove them")
    return str(found.digest)


def read_archive(path: str | Path) -> Archive:
    """What a `.mar` says of itself, after its structure has been checked.

    Raises:
        ArchiveError: as in `verify`, as far as it can be seen without the model.
    """
    with opened(Path(path)) as archive:
        return checked(Path(path), archive)


def read_archived(path: str | Path) -> artifact.Artifact:
    """The artifact in a `.mar`, after the archive's structure has been checked. Nothing is unpacked to disk.

    Raises:
        ArtifactError: the artifact is damaged, or is none.
        ArchiveError: as in `verify`.
    """
    return _read_archived(Path(path))[1]


def _read_members(path: Path) -> dict[str, bytes]:
    """All that stands in an archive, once its structure has been checked."""
    with opened(path) as archive:
        checked(path, archive)
        return {info.filename: member(archive, info.filename) for info in archive.infolist()}


def _read_archived(path: Path) -> tuple[dict[str, bytes], artifact.Artifact]:
    files = _artifact_files(_read_members(path))
    found = artifact.parse(files)
    listed = {artifact.SUMS, artifact.SIGNATURE, *artifact.DOCUMENTS, *found.description["weights"]}
    if extra := sorted(set(files) - listed):
        raise ArchiveError(f"{path} holds weights that {artifact.SUMS} does not list: {', '.join(extra)}")
    return files, found


def _read_folder(path: Path) -> tuple[dict[str, bytes], artifact.Artifact]:
    files = artifact.read_files(path)
    return files, artifact.parse(files)


def _artifact_files(members: Mapping[str, bytes]) -> dict[str, bytes]:
    """The members of an archive that are an artifact's."""
    return {name: data for name, data in members.items() if name not in (*HANDLERS, CONFIG, MANIFEST)}


def _check_trusted(path: Path, files: Mapping[str, bytes], keys: Sequence[PublicKey]) -> None:
    try:
        check_signed(files, keys)
    except SignatureError as error:
        raise SignatureError(f"{path} is not trusted: {error}") from error


def _place(store: Path, name: str, version: str) -> Path:
    """Where a version is written, so that other versions in the store stay."""
    plain, beside = store / f"{name}.mar", store / f"{name}@{version}.mar"
    if beside.exists():
        return beside
    if plain.exists():
        # Not `read_archive`: an archive of another maas, whose handler differs, is another version all the same.
        with contextlib.suppress(OSError, zipfile.BadZipFile, KeyError, TypeError, ValueError, ArtifactError):
            with zipfile.ZipFile(plain) as archive:
                found = artifact.parse_json(MANIFEST, member(archive, MANIFEST))["model"]["modelVersion"]
            return plain if found == version else beside
    return plain
