"""Releases: another version of a model in the place of the one that is served, or back, without losing a request."""

from __future__ import annotations

import contextlib
import time
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from maas.archive import copy_archive, read_archive, read_archived
from maas.client import LocalServer
from maas.errors import MaasError, ServingError
from maas.serving import _management, _record
from maas.serving._idle import ask_inference, wait_idle
from maas.serving._ready import Log, wait_ready
from maas.serving._settings import MODEL_LOG, STORE
from maas.serving._store import find
from maas.signing import public_keys_of
from maas.storage import locked

_LATE_SECONDS = 0.2
_LOAD_SECONDS = 300.0
_UNDO_SECONDS = 5.0


def deploy(server: LocalServer, name: str, version: str, *, store: Path, drain_seconds: float) -> LocalServer:
    """As `Server.deploy`; gives the server as it is known from now on."""
    found = find(store, f"{name}@{version}")
    file = f"{name}@{version}.mar"
    with _one_at_a_time(server):
        old = _default(server, name)
        if old == version:
            raise ServingError(f"{name} {version} is served already; package the new model under another version")
        says = replace(found.says.deployment, **dict(server.deployment))
        trusted = public_keys_of(server.trusted) if server.trusted else None
        copy_archive(found.path, Path(server.folder) / STORE / file, says, public_keys=trusted)
        _swap(server, name, old, version, "deploy", drain_seconds)
        if old is None:
            server = replace(server, models=(*server.models, name))
            server.write()
        return server


def rollback(server: LocalServer, name: str, *, drain_seconds: float) -> str:
    """As `Server.rollback`."""
    with _one_at_a_time(server):
        old, before = _default(server, name), _record.before(Path(server.folder), name)
        if old is None or before is None:
            raise ServingError(
                f"no version of {name} was served here before {old or 'now'}; there is none to go back to"
            )
        _swap(server, name, old, before, "rollback", drain_seconds)
        return before


def _swap(server: LocalServer, name: str, old: str | None, new: str, action: str, drain_seconds: float) -> None:
    """Load `new` beside `old`, check it, make it the default, and unload `old` when its work is done."""
    folder = Path(server.folder)
    file = folder / STORE / f"{name}@{new}.mar"
    step = "verify the archive"
    registered = switched = False
    try:
        example, tolerance = verified(file)
        step = "load it beside"
        _unload_leftovers(server, name, keep=old)
        log = Log(Path(server.logs) / MODEL_LOG)
        workers = read_archive(file).deployment.maxWorkers
        registered = True
        _management.manage(
            server, f"/models?url={quote(file.name)}&initial_workers={workers}&synchronous=false", "POST"
        )
        wait_ready(server, f"{name}/{new}", log, deadline=time.monotonic() + _LOAD_SECONDS)
        step = "answer its golden rows over HTTP"
        check_golden_rows(server, f"/predictions/{name}/{new}", example, tolerance)
        step = "switch the default version"
        switched = True
        _management.manage(server, f"/models/{name}/{new}/set-default", "PUT")
        if _default(server, name) != new:
            raise ServingError(f"the default is {_default(server, name)} still")
        _record.write(folder, action, name, new)
    except BaseException as error:
        left = _undo(server, name, old, new, registered=registered, switched=switched)
        if not isinstance(error, MaasError):
            raise
        serving = f"{name} {old} serves as before" if old else f"{name} is not served"
        raise ServingError(f"{action} of {name} {new} failed: could not {step}: {error}\n{serving}{left}") from error
    if old is None:
        return
    time.sleep(_LATE_SECONDS)  # a request that was routed just before the switch is in the queue by now
    if not wait_idle(server, name, old, seconds=drain_seconds):
        raise ServingError(
            f"{name} {new} serves, but {old} still has work in flight after {drain_seconds:g} s: it stays loaded "
            f"beside, until the next deploy"
        )
    _management.manage(server, f"/models/{name}/{old}", "DELETE")


def verified(file: Path) -> tuple[dict[str, Any], float]:
    """The golden rows of an archive, and the tolerance, once the model in it has answered them here."""
    from maas.model import Model
    from maas.model._stored import dtype_of

    model = Model.from_artifact(read_archived(file))
    example = dict(model.example or {})
    return example, example["tolerance"][dtype_of(model.network)]


def check_golden_rows(server: LocalServer, path: str, example: dict[str, Any], tolerance: float) -> None:
    from maas.model._stored import check_answers

    status, body = ask_inference(server, path, rows=example["rows"])
    if status != 200:
        raise ServingError(f"{status} {body}")
    check_answers(example["answers"], body["predictions"], tolerance, example["unit"])


def _undo(server: LocalServer, name: str, old: str | None, new: str, *, registered: bool, switched: bool) -> str:
    """Leave the old version as it was; gives what could not be undone."""
    left = ""
    with contextlib.suppress(MaasError):
        if switched and old:
            _management.manage(server, f"/models/{name}/{old}/set-default", "PUT")
            time.sleep(_LATE_SECONDS)
            wait_idle(server, name, new, seconds=_UNDO_SECONDS)
    if registered:
        try:
            if any(one["modelVersion"] == new for one in _versions(server, name)):
                _management.manage(server, f"/models/{name}/{new}", "DELETE")
        except MaasError as error:
            left = f"; {new} stays loaded beside: {error}"
    return left


def _unload_leftovers(server: LocalServer, name: str, *, keep: str | None) -> None:
    """Versions beside the default: what an earlier release could not unload in time."""
    for one in _versions(server, name):
        if one["modelVersion"] != keep:
            if not wait_idle(server, name, one["modelVersion"], seconds=_UNDO_SECONDS):
                raise ServingError(f"{one['modelVersion']}, of an earlier release, has work in flight still; try again")
            _management.manage(server, f"/models/{name}/{one['modelVersion']}", "DELETE")


def _versions(server: LocalServer, name: str) -> list[dict[str, Any]]:
    """Those that are loaded; none where the model is not served."""
    return _management.versions_of(server, name) if name in _management.models_of(server) else []


def _default(server: LocalServer, name: str) -> str | None:
    """The version that answers when none is asked for; None where the model is not served."""
    return _management.default_of(server, name) if name in _management.models_of(server) else None


def _one_at_a_time(server: LocalServer) -> AbstractContextManager[None]:
    return locked(Path(server.folder) / "release.lock")
