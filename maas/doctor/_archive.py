"""Checks of one archive or artifact, whoever wrote it."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maas.doctor._child import run_child
from maas.doctor._code import code
from maas.doctor._config import config
from maas.doctor._contents import Contents, read_contents, whole
from maas.doctor._finding import Check, Finding, guarded
from maas.doctor._manifest import manifest, signature
from maas.errors import MaasError

if TYPE_CHECKING:
    from maas.archive import Deployment

_MOST_SECONDS = 600.0
_DEFAULT_NAME = "model"
_SPARE_BYTES = 100_000_000


def examine_model(path: str | Path, facts: Mapping[str, Any], *, imports: Sequence[str] = ()) -> list[Finding]:
    """Look at a `.mar`, or at an artifact's folder, and let its model answer spoiled requests without a server.

    Of an archive that maas did not write nothing is run, nor of one that does not pass the checks before.

    Args:
        path: of the archive or the folder.
        facts: of torch on this machine, as `examine_software` gives them.
        imports: a user's own modules that register networks.
    """
    path = Path(path)
    if path.is_dir():
        return list(guarded("artifact", lambda: _artifact(path, facts, imports)))
    if not path.is_file():
        detail = "there is no such file or folder"
        return [Finding("error", "path", detail, "ls model_store; or maas package DIR --store model_store")]
    found = list(whole(path))
    if any(one.level == "error" for one in found):
        return [*found, Finding("not checked", "the rest", "the archive has to be whole for that")]
    contents = read_contents(path)
    checks = {
        "manifest": lambda: manifest(contents),
        "code": lambda: code(contents),
        "settings": lambda: config(contents, facts),
        "signature": lambda: signature(contents) if contents.is_ours else iter(()),
    }
    found += [finding for subject, check in checks.items() for finding in guarded(subject, check)]
    if contents.is_ours:
        seen = any(one.level == "error" for one in found)
        return [*found, *guarded("model", lambda: _model(contents, facts, imports, seen=seen))]
    detail = "golden rows, a poisoned batch, memory: nothing is run of an archive that maas did not write"
    return [*found, Finding("not checked", "model", detail)]


def _model(contents: Contents, facts: Mapping[str, Any], imports: Sequence[str], *, seen: bool) -> Check:
    """What maas's own reader says, and then a dry run.

    Args:
        seen: whether an error was found before, of which the reader's is but another telling.
    """
    if "error" in facts:
        yield Finding("not checked", "model", "torch cannot be imported")
        return
    from maas.archive import handler_path, read_archive, read_archived

    path = contents.path
    try:
        says = read_archive(path)
        digest = read_archived(path).digest
    except MaasError as error:
        if not seen:
            yield Finding("error", "contents", str(error), contents.again)
        else:
            yield Finding("not checked", "contents", f"maas verify refuses it: {error}")
        yield Finding("not checked", "dry run", "nothing is run of an archive that does not verify")
        return
    handler = contents.said("handler")
    yield Finding("ok", "contents", f"the handler is the installed {handler}; model {digest[:16]}, each file as saved")
    with zipfile.ZipFile(path) as archive:
        size = sum(info.file_size for info in archive.infolist())
        with _room(size) as folder:
            if folder is None:
                yield Finding("not checked", "dry run", f"{size / 1e9:.1f} GB do not fit into {tempfile.gettempdir()}")
                return
            archive.extractall(folder)  # the names are those that maas writes: `read_archive` has seen to it
            settings = _settings(says.deployment)
            yield from _dry_run(folder, says.name, says.version, handler_path(handler), settings, imports)
    yield _on_gpu(facts)


def _artifact(path: Path, facts: Mapping[str, Any], imports: Sequence[str]) -> Check:
    if "error" in facts:
        yield Finding("not checked", "artifact", "torch cannot be imported")
        return
    from maas import artifact
    from maas.archive import GENERATE, HANDLER, check_name, handler_path, read_deployment
    from maas.task import task_class

    remedy = "save it again, or copy it again from where it is whole"
    try:
        stored = artifact.read(path)
        if more := artifact.unlisted(path):
            detail = f"files that {artifact.SUMS} does not list: {', '.join(more)}"
            yield Finding("error", "artifact", detail, f"remove them from {path}")
    except MaasError as error:
        yield Finding("error", "artifact", str(error), remedy)
        yield Finding("not checked", "dry run", "nothing is run of an artifact that is not whole")
        return
    yield Finding("ok", "artifact", f"model {stored.digest[:16]}, each file as saved")
    name = path.resolve().name
    try:
        check_name(name)
        yield Finding("ok", "name", f"it can be served as {name!r}")
    except MaasError as error:
        yield Finding("warning", "name", str(error), f"maas package {path} --name NAME")
        name = _DEFAULT_NAME
    try:
        streams = task_class(stored.description["task"]["kind"]).streams
    except (MaasError, LookupError, TypeError):
        streams = False  # a task of the user's own; the dry run imports it
    handler = handler_path(GENERATE if streams else HANDLER)
    settings = _settings(read_deployment(streams=streams))
    yield from _dry_run(path.resolve(), name, "1.0", handler, settings, imports)
    yield _on_gpu(facts)


def _settings(deployment: Deployment) -> dict[str, Any]:
    """What a worker finds in model-config.yaml."""
    return {key: value for key, value in asdict(deployment).items() if value is not None}


@contextmanager
def _room(size: int) -> Iterator[Path | None]:
    """A temporary folder with room for so many bytes; None where there is none."""
    if shutil.disk_usage(tempfile.gettempdir()).free < size + _SPARE_BYTES:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="maas-doctor-") as folder:
        yield Path(folder)


def _dry_run(
    folder: Path, name: str, version: str, handler: Path, settings: Mapping[str, Any], imports: Sequence[str]
) -> Check:
    given = {"folder": str(folder), "name": name, "version": version, "handler": str(handler), "config": settings}
    ended = run_child("maas.doctor._dry_run", given, seconds=_MOST_SECONDS, imports=imports)
    if ended.answer is not None:
        yield from (Finding.from_json(one) for one in ended.answer["findings"])
        return
    said = ended.said.splitlines()[-1] if ended.said else "it wrote nothing"
    detail = f"a worker would have died: {ended.why}; {said}"
    yield Finding("error", "dry run", detail, "maas doctor DIR on the artifact; report it, where no --import brings it")


def _on_gpu(facts: Mapping[str, Any]) -> Finding:
    where = "there is none here" if not facts.get("gpus") else "the dry run is on the CPU"
    return Finding("not checked", "GPU", f"memory and speed of the model on one: {where}")
