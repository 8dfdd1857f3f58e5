"""What stands in a `.mar`: an artifact, its handler, its manifest and its model-config.yaml, and nothing else."""

from __future__ import annotations

import contextlib
import json
import re
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from maas import artifact
from maas.archive._deployment import CONFIG, Deployment
from maas.archive._names import check_name, check_version
from maas.archive._zip import check_whole, member
from maas.errors import ArchiveError, ArtifactError, DataError, show
from maas.task import task_class

HANDLER = "maas_handler.py"
GENERATE = "maas_generate.py"
HANDLERS = (HANDLER, GENERATE)
MANIFEST = "MAR-INF/MANIFEST.json"
ARCHIVER_VERSION = "0.12.0"
_DESCRIPTION = "artifact.json"
_MOST_MEMBERS = 64
_MOST_RATIO = 100


@dataclass(frozen=True)
class Archive:
    """What a `.mar` says of itself.

    Args:
        name: of the model.
        version: of the model, as TorchServe routes it.
        deployment: how TorchServe is to run it.
    """

    name: str
    version: str
    deployment: Deployment


def first_weights(names: Iterable[str]) -> str:
    """The file of weights that the manifest names: the one, or the first of several."""
    found = [name for name in names if name.endswith(".safetensors")]
    return artifact.WEIGHTS if artifact.WEIGHTS in found else min(found, default=artifact.WEIGHTS)


def manifest_of(name: str, version: str, handler: str = HANDLER, weights: str = artifact.WEIGHTS) -> str:
    """As torch-model-archiver writes it, but for a fixed date."""
    return json.dumps(
        {
            "createdOn": "01/01/1980 00:00:00",
            "runtime": "python",
            "model": {
                "modelName": name,
                "serializedFile": weights,
                "handler": handler,
                "modelVersion": version,
                "configFile": CONFIG,
            },
            "archiverVersion": ARCHIVER_VERSION,
        },
        indent=2,
    )


def handler_path(handler: str = HANDLER) -> Path:
    """An installed handler: the repository's own in an editable install, else the wheel's copy."""
    here = Path(__file__).resolve().parents[1]
    for folder in (here.parent / "handlers", here / "handlers"):
        if (folder / handler).is_file():
            return folder / handler
    raise ArchiveError(f"{handler} is not installed beside maas; install maas-torch again")


def checked(path: Path, archive: zipfile.ZipFile) -> Archive:
    """What an archive says of itself.

    Raises:
        ArchiveError: it holds something that maas does not put there, or another handler.
    """
    infos = archive.infolist()
    names = [info.filename for info in infos]
    check_whole(path, archive)
    if len(names) > _MOST_MEMBERS:
        raise ArchiveError(f"{path} has {len(names)} members, maas writes at most {_MOST_MEMBERS}")
    for info in infos:
        allowed = {*artifact.DOCUMENTS, artifact.SUMS, artifact.SIGNATURE, *HANDLERS, CONFIG, MANIFEST}
        if info.filename not in allowed and not re.fullmatch(r"model[A-Za-z0-9_-]*\.safetensors", info.filename):
            raise ArchiveError(f"{path} holds {show(info.filename)}, which maas does not put there")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or info.flag_bits & 1:
            raise ArchiveError(f"{path}: {info.filename} is encrypted, or packed in a way that maas does not read")
        if info.compress_type == zipfile.ZIP_STORED and info.file_size != info.compress_size:
            raise ArchiveError(f"{path} is not a whole archive: {info.filename} is said to have two sizes")
        if info.file_size > max(info.compress_size, 1024) * _MOST_RATIO:
            raise ArchiveError(f"{path}: {info.filename} would unpack to {info.file_size:,} bytes, which is no model")
    weights = first_weights(names)
    for name in (*artifact.DOCUMENTS, artifact.SUMS, weights, CONFIG, MANIFEST):
        if names.count(name) != 1:
            raise ArchiveError(f"{path} must hold {name} once, it does {names.count(name)} times")
    handler = _handler(archive)
    if names.count(handler) != 1:
        raise ArchiveError(f"{path} must hold {handler} once, it does {names.count(handler)} times")
    if other := [name for name in HANDLERS if name in names and name != handler]:
        raise ArchiveError(f"{path} holds {other[0]}, but its model is served by {handler}")
    if len(set(names)) != len(names):
        raise ArchiveError(f"{path} holds a name twice")
    if member(archive, handler) != handler_path(handler).read_bytes():
        raise ArchiveError(f"{path} holds another {handler} than the one installed here; package the artifact again")
    try:
        manifest = artifact.parse_json(MANIFEST, member(archive, MANIFEST))
        model = manifest["model"]
        found = Archive(
            check_name(model["modelName"]),
            check_version(model["modelVersion"]),
            Deployment.from_yaml(member(archive, CONFIG).decode()),
        )
    except (ArtifactError, KeyError, TypeError, ValueError) as error:
        raise ArchiveError(f"{path}: {error}") from error
    if bool(found.deployment.continuousBatching) != (handler == GENERATE):
        raise ArchiveError(f"{path}: {CONFIG} says continuousBatching: true for {GENERATE}, and only for it")
    wanted = json.loads(manifest_of(found.name, found.version, handler, weights))
    odd = {
        key: value for key, value in manifest.items() if key not in ("createdOn", "model") and value != wanted.get(key)
    }
    odd |= {key: value for key, value in model.items() if value != wanted["model"].get(key)}
    if odd or manifest.keys() != wanted.keys() or model.keys() != wanted["model"].keys():
        raise ArchiveError(f"{path}: the manifest names files that maas does not: {show(str(odd or list(model)), 300)}")
    return found


def _handler(archive: zipfile.ZipFile) -> str:
    """The handler that the artifact in an archive must come with, by its task.

    Where that cannot be seen it is the one that is there: a task of the user's own is known to workers only, and an
    artifact.json that cannot be read is refused with the artifact.
    """
    with contextlib.suppress(ArtifactError, DataError, LookupError, TypeError):
        description = artifact.parse_json(_DESCRIPTION, member(archive, _DESCRIPTION))
        return GENERATE if task_class(description["task"]["kind"]).streams else HANDLER
    return GENERATE if GENERATE in archive.namelist() else HANDLER
