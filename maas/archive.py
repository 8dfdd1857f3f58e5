"""An artifact as a TorchServe archive (`.mar`) and back, with nothing trusted on the way.

The archive is what `torch-model-archiver` makes of the same files, but deterministic: same artifact, same bytes.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from maas import artifact
from maas.errors import ArchiveError, ArtifactError, FormatError, show
from maas.model import Model
from maas.storage import write_atomic

HANDLER = "maas_handler.py"
CONFIG = "model-config.yaml"
MANIFEST = "MAR-INF/MANIFEST.json"
ARCHIVER_VERSION = "0.12.0"
_EPOCH = (1980, 1, 1, 0, 0, 0)
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_VERSION = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9}){0,2}")
_QUEUED_BATCHES, _LEAST_QUEUE = 8, 64
_MOST_MEMBERS = 64
_MOST_RATIO = 100
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Deployment:
    """How TorchServe runs one model: the content of model-config.yaml, in TorchServe's own names.

    TorchServe's keys are always written: with any YAML file there it ignores its other settings of the same thing.

    Args:
        minWorkers, maxWorkers: worker processes. TorchServe does not scale between them; they are kept equal.
        batchSize: most requests answered in one pass.
        maxBatchDelay: milliseconds that a lone request waits for company, at least 1.
        responseTimeout: seconds after which a worker that does not answer is killed.
        startupTimeout: seconds that a worker may take to load.
        maxRetryTimeoutInSec: seconds during which a worker that cannot load is started again.
        jobQueueSize: requests that may wait; further ones are answered 503 at once. None: 8 batches for each worker,
            and at least 64, so that what a full queue holds is answered in about the time of 8 batches.
        threads: CPU threads that a worker computes with; None: the cores that it may use, divided by `maxWorkers`.

    Raises:
        ArchiveError: a value is not a positive integer.
    """

    minWorkers: int = 1
    maxWorkers: int = 1
    batchSize: int = 16
    maxBatchDelay: int = 1
    responseTimeout: int = 120
    startupTimeout: int = 120
    maxRetryTimeoutInSec: int = 60
    jobQueueSize: int | None = None
    threads: int | None = None

    def __post_init__(self) -> None:
        if self.jobQueueSize is None and type(self.batchSize) is type(self.maxWorkers) is int:
            waiting = max(_LEAST_QUEUE, _QUEUED_BATCHES * self.batchSize * self.maxWorkers)
            object.__setattr__(self, "jobQueueSize", waiting)
        for name, value in self._written().items():
            if type(value) is not int or not 1 <= value < 2**31:
                raise ArchiveError(f"{name} must be a positive integer, got {show(value)}")

    def to_yaml(self) -> str:
        """The text of model-config.yaml."""
        return "".join(f"{name}: {value}\n" for name, value in self._written().items())

    def _written(self) -> dict[str, object]:
        return {name: value for name, value in asdict(self).items() if name != "threads" or value is not None}

    @classmethod
    def from_yaml(cls, text: str) -> Deployment:
        """The inverse of `to_yaml`: `key: number` lines, comments and blank lines, no other YAML."""
        known = {field.name for field in fields(cls)}
        values: dict[str, int] = {}
        for line in text.split("\n"):
            if not line.strip(" ") or line.lstrip(" ").startswith("#"):
                continue
            found = re.fullmatch(r"([A-Za-z]+): +(0|[1-9][0-9]{0,9})(?: +#.*)? *", line, re.ASCII)
            if not found or found[1] not in known or found[1] in values:
                raise ArchiveError(f"{CONFIG} has a line that maas does not write: {show(line)}")
            values[found[1]] = int(found[2])
        if missing := sorted(known - {"threads"} - set(values)):
            raise ArchiveError(f"{CONFIG} lacks {missing[0]}")
        return cls(**values)


def read_deployment(config: str | Path | None = None, **given: int | None) -> Deployment:
    """How a model is to be run: as a model-config.yaml says, or by default, but for what is given.

    Args:
        config: the file.
        given: `workers`, `batch_size`, `max_batch_delay_ms`, `threads`; None leaves one as it is.

    Raises:
        ArchiveError: the file is none that maas writes, or a number is not positive.
    """
    try:
        if config is None:
            return Deployment(**deployment_keys(**given))
        found = Deployment.from_yaml(Path(config).read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ArchiveError(f"`config` {config} cannot be read: {error}") from error
    return replace(found, **deployment_keys(**given))


def deployment_keys(**given: int | None) -> dict[str, int]:
    """Our names for settings, such as `batch_size`, as keys of model-config.yaml; without those that are None."""
    keys = {
        "workers": ("minWorkers", "maxWorkers"),
        "batch_size": ("batchSize",),
        "max_batch_delay_ms": ("maxBatchDelay",),
        "threads": ("threads",),
    }
    return {key: value for name, value in given.items() if value is not None for key in keys[name]}


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
    artifact is loaded and answers its golden rows first.

    Args:
        path: the artifact's folder.
        store: TorchServe's model store; made if need be.
        name: of the model, lower-case letters, digits, '_' and '-'; by default the folder's.
        version: one to three numbers, such as "1.0".
        workers: worker processes; by default 1.
        batch_size: most requests answered in one pass; by default 16.
        max_batch_delay_ms: milliseconds that a lone request waits for company; by default 1.
        config: a model-config.yaml, as `maas tune-serving` writes it, in place of these defaults.

    Returns:
        The path of the archive.

    Raises:
        ArtifactError: the artifact is damaged, or answers otherwise here.
        ArchiveError: the name, the version or a number cannot be used.
    """
    path = Path(path)
    name = check_name(Path(path).resolve().name if name is None else name)
    check_version(version)
    deployment = read_deployment(config, workers=workers, batch_size=batch_size, max_batch_delay_ms=max_batch_delay_ms)
    members = artifact.read_files(path)
    Model.from_artifact(artifact.parse(members))
    members[HANDLER] = handler_path().read_bytes()
    members[CONFIG] = deployment.to_yaml().encode()
    members[MANIFEST] = _manifest(name, version).encode()
    written = _place(Path(store), name, version)
    write_atomic(written, _zip(members))
    return written


def copy_archive(source: Path, target: Path, deployment: Deployment) -> None:
    """Copy a `.mar`, checked, with another model-config.yaml.

    Raises:
        ArchiveError: as in `read_archive`.
    """
    with _open(source) as archive:
        _check(source, archive)
        members = {info.filename: _member(archive, info.filename) for info in archive.infolist()}
    write_atomic(target, _zip({**members, CONFIG: deployment.to_yaml().encode()}))


def verify(path: str | Path) -> str:
    """Check an artifact or a `.mar` to the last byte, and let the model in it answer its golden rows.

    Args:
        path: an artifact's folder, or a `.mar` file.

    Returns:
        The model's digest.

    Raises:
        ArtifactError: the artifact is damaged, is none, or answers otherwise here.
        ArchiveError: the archive holds something that maas does not put there, or another handler.
    """
    path = Path(path)
    if path.is_dir():
        found = Model.load(path)
        if extra := artifact.unlisted(path):
            raise FormatError(f"{path} holds files that {artifact.SUMS} does not list: {', '.join(extra)}; remove them")
        return str(found.digest)
    return str(Model.from_artifact(read_archived(path)).digest)


def read_archive(path: str | Path) -> Archive:
    """What a `.mar` says of itself, after its structure has been checked.

    Raises:
        ArchiveError: as in `verify`, as far as it can be seen without the model.
    """
    with _open(Path(path)) as archive:
        return _check(Path(path), archive)


def read_archived(path: str | Path) -> artifact.Artifact:
    """The artifact in a `.mar`, after the archive's structure has been checked. Nothing is unpacked to disk.

    Raises:
        ArtifactError: the artifact is damaged, or is none.
        ArchiveError: as in `verify`.
    """
    with _open(Path(path)) as archive:
        _check(Path(path), archive)
        names = [info.filename for info in archive.infolist() if info.filename not in (HANDLER, CONFIG, MANIFEST)]
        files = {name: _member(archive, name) for name in names}
    found = artifact.parse(files)
    if extra := sorted(set(files) - {artifact.SUMS, *artifact.DOCUMENTS, *found.description["weights"]}):
        raise ArchiveError(f"{path} holds weights that {artifact.SUMS} does not list: {', '.join(extra)}")
    return found


def handler_path() -> Path:
    """The installed `maas_handler.py`: the repository's own in an editable install, else the wheel's copy."""
    here = Path(__file__).resolve().parent
    for folder in (here.parent / "handlers", here / "handlers"):
        if (folder / HANDLER).is_file():
            return folder / HANDLER
    raise ArchiveError(f"{HANDLER} is not installed beside maas; install maas-torch again")


def check_name(name: str) -> str:
    """A model's name, once it is found to be one that TorchServe can bear.

    Raises:
        ArchiveError: it is not.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ArchiveError(
            f"a model's name is 1 to 64 lower-case letters, digits, '_' and '-', beginning with a letter or digit, "
            f"got {show(name)}; give one with name="
        )
    if name == "models":
        raise ArchiveError(
            "a model cannot be called 'models': torch-model-archiver would delete TorchServe's own folder"
        )
    if "token" in name:
        raise ArchiveError(
            f"a model's name cannot contain 'token', got {show(name)}: TorchServe takes its address for that of the "
            f"token service, and it cannot be managed"
        )
    return name


def check_version(version: str) -> str:
    """A model's version, once it is found to be one to three numbers.

    Raises:
        ArchiveError: it is not.
    """
    if not isinstance(version, str) or not _VERSION.fullmatch(version):
        raise ArchiveError(f"a version is one to three numbers, such as '1.0', got {show(version)}")
    return version


def _zip(members: Mapping[str, bytes]) -> bytes:
    """The deterministic archive of some files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for one in sorted(members):
            info = zipfile.ZipInfo(one, _EPOCH)
            info.create_system = 3
            info.external_attr = 0o100644 << 16
            archive.writestr(info, members[one])
    return buffer.getvalue()


def _place(store: Path, name: str, version: str) -> Path:
    """Where a version is written, so that other versions in the store stay."""
    plain, beside = store / f"{name}.mar", store / f"{name}@{version}.mar"
    if beside.exists():
        return beside
    if plain.exists():
        # Not `read_archive`: an archive of another maas, whose handler differs, is another version all the same.
        with contextlib.suppress(OSError, zipfile.BadZipFile, KeyError, TypeError, ValueError, ArtifactError):
            with zipfile.ZipFile(plain) as archive:
                found = artifact.parse_json(MANIFEST, _member(archive, MANIFEST))["model"]["modelVersion"]
            return plain if found == version else beside
    return plain


def _manifest(name: str, version: str) -> str:
    """As torch-model-archiver writes it, but for a fixed date."""
    return json.dumps(
        {
            "createdOn": "01/01/1980 00:00:00",
            "runtime": "python",
            "model": {
                "modelName": name,
                "serializedFile": artifact.WEIGHTS,
                "handler": HANDLER,
                "modelVersion": version,
                "configFile": CONFIG,
            },
            "archiverVersion": ARCHIVER_VERSION,
        },
        indent=2,
    )


@contextlib.contextmanager
def _open(path: Path) -> Iterator[zipfile.ZipFile]:
    if not path.is_file():
        raise ArchiveError(f"there is no archive {path}")
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (
        zipfile.BadZipFile,
        zlib.error,
        struct.error,
        NotImplementedError,
        UnicodeError,
        EOFError,
        OSError,
    ) as error:
        raise ArchiveError(f"{path} is not a whole archive: {error}") from error


def _check(path: Path, archive: zipfile.ZipFile) -> Archive:
    infos = archive.infolist()
    names = [info.filename for info in infos]
    _check_layout(path, archive)
    if len(names) > _MOST_MEMBERS:
        raise ArchiveError(f"{path} has {len(names)} members, maas writes at most {_MOST_MEMBERS}")
    for info in infos:
        allowed = {*artifact.DOCUMENTS, artifact.SUMS, HANDLER, CONFIG, MANIFEST}
        if info.filename not in allowed and not re.fullmatch(r"model[A-Za-z0-9_-]*\.safetensors", info.filename):
            raise ArchiveError(f"{path} holds {show(info.filename)}, which maas does not put there")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or info.flag_bits & 1:
            raise ArchiveError(f"{path}: {info.filename} is encrypted, or packed in a way that maas does not read")
        if info.compress_type == zipfile.ZIP_STORED and info.file_size != info.compress_size:
            raise ArchiveError(f"{path} is not a whole archive: {info.filename} is said to have two sizes")
        if info.file_size > max(info.compress_size, 1024) * _MOST_RATIO:
            raise ArchiveError(f"{path}: {info.filename} would unpack to {info.file_size:,} bytes, which is no model")
    for name in (*artifact.DOCUMENTS, artifact.SUMS, artifact.WEIGHTS, HANDLER, CONFIG, MANIFEST):
        if names.count(name) != 1:
            raise ArchiveError(f"{path} must hold {name} once, it does {names.count(name)} times")
    if len(set(names)) != len(names):
        raise ArchiveError(f"{path} holds a name twice")
    if _member(archive, HANDLER) != handler_path().read_bytes():
        raise ArchiveError(f"{path} holds another {HANDLER} than the one installed here; package the artifact again")
    try:
        manifest = artifact.parse_json(MANIFEST, _member(archive, MANIFEST))
        model = manifest["model"]
        found = Archive(
            check_name(model["modelName"]),
            check_version(model["modelVersion"]),
            Deployment.from_yaml(_member(archive, CONFIG).decode()),
        )
    except (ArtifactError, KeyError, TypeError, ValueError) as error:
        raise ArchiveError(f"{path}: {error}") from error
    wanted = json.loads(_manifest(found.name, found.version))
    odd = {
        key: value for key, value in manifest.items() if key not in ("createdOn", "model") and value != wanted.get(key)
    }
    odd |= {key: value for key, value in model.items() if value != wanted["model"].get(key)}
    if odd or manifest.keys() != wanted.keys() or model.keys() != wanted["model"].keys():
        raise ArchiveError(f"{path}: the manifest names files that maas does not: {show(str(odd or list(model)), 300)}")
    return found


def _check_layout(path: Path, archive: zipfile.ZipFile) -> None:
    """Whether the members, as each says of itself, fill the file from its first byte to its last, in one way.

    Python reads the directory at the end of a zip, TorchServe's Java the members from its beginning: what only one of
    them sees must not be there.
    """
    with open(path, "rb") as file:
        at = 0
        for info in sorted(archive.infolist(), key=lambda info: info.header_offset):
            file.seek(at)
            header = file.read(30)
            if info.header_offset != at or len(header) < 30 or header[:4] != b"PK\x03\x04":
                raise ArchiveError(f"{path} is not a whole archive: bytes stand before, between or after its members")
            _, flags, method, _, _, crc, packed, size, name, extra = struct.unpack("<5H3I2H", header[4:])
            said = (file.read(name), flags & ~0x800, method, crc, packed, size)
            if said != (info.filename.encode(), 0, info.compress_type, info.CRC, info.compress_size, info.file_size):
                raise ArchiveError(f"{path} is not a whole archive: it describes {show(info.filename)} in two ways")
            at += 30 + name + extra + packed
        file.seek(at)
        rest = file.read()
    end = rest[-22:]
    count = len(archive.infolist())
    if (
        at != archive.start_dir
        or archive.comment
        or len(end) != 22
        or struct.unpack("<4s4H2IH", end) != (b"PK\x05\x06", 0, 0, count, count, len(rest) - 22, at, 0)
    ):
        raise ArchiveError(f"{path} is not a whole archive: bytes stand before, between or after its members")


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    """The bytes of a member, never more than its header says."""
    size = archive.getinfo(name).file_size
    with archive.open(name) as file:
        data = file.read(size + 1)
    if len(data) != size:
        raise ArchiveError(f"{name} is longer or shorter than the archive says")
    return data
