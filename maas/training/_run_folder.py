"""The folder of a run: which run it is of, and the lock of the process that trains in it."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from multiprocessing.util import register_after_fork
from pathlib import Path
from typing import Any

from maas.errors import RunError, show
from maas.storage import write_atomic
from maas.training import _checkpoint
from maas.training._run import IDENTITY

_MAY_CHANGE = ("epochs", "patience", "non_finite")
"""Settings that a resumed run may have otherwise: they say when to stop, and do not change a step that was taken."""


class RunFolder:
    """The folder of a run.

    Args:
        path: of the folder.
        identity: what the run is, as JSON: a folder of another run is not gone on with.
        fixed_end: whether a change of `epochs` changes the steps, as it does for schedules that know the end.
    """

    def __init__(self, path: Path, identity: Mapping[str, Any], *, fixed_end: bool) -> None:
        self.path, self.identity, self.fixed_end = path, dict(identity), fixed_end
        self.checkpoints = path / "checkpoints"
        self._lock: int | None = None

    def take(self, *, resume: bool) -> None:
        """Make the folder, or find it to be that of this run, and lock it.

        Args:
            resume: whether to go on with what is there.

        Raises:
            RunError: it cannot be written, another process trains in it, or it is another's.
        """
        folder = self.path
        if folder.exists() and not folder.is_dir():
            raise RunError(f"{folder} is not a folder; give the folder of the run")
        path = folder / IDENTITY
        inside = sorted(one.name for one in folder.iterdir()) if folder.is_dir() else []
        others = [name for name in inside if not name.startswith((".lock", f".{IDENTITY}."))]
        if others and not path.is_file():
            raise RunError(f"{folder} is not the folder of a run: it holds {show(others[0])}; choose another")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise RunError(f"the run's folder {folder} cannot be written: {error.strerror}; choose another") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise RunError(f"another process trains in {folder} now; wait for it, or choose another folder") from error
        register_after_fork(self, RunFolder.let_go)
        if path.is_file():
            if not resume and _checkpoint.found(self.checkpoints):
                raise RunError(
                    f"{folder} holds a run already: go on with it by resume=True (--resume), or choose another folder"
                )
            if resume:
                self._compare()
        try:
            for orphan in folder.glob(".*.tmp-*"):  # of a process that was killed
                orphan.unlink()
            self.describe(finished=False)  # first: a folder that holds anything else says what it is
            self.checkpoints.mkdir(exist_ok=True)
        except OSError as error:
            raise RunError(f"the run's folder {folder} cannot be written: {error.strerror}; choose another") from error

    def let_go(self) -> None:
        """Free the folder; a forked process does so at once, lest it hold the lock when this one is killed."""
        if self._lock is not None:
            os.close(self._lock)  # the file stays: a lock on a removed file guards nothing
            self._lock = None

    def describe(self, *, finished: bool) -> None:
        """Write what the run is, and whether it has ended."""
        said = {"format": _checkpoint.FORMAT, "finished": finished, **self.identity}
        write_atomic(self.path / IDENTITY, json.dumps(said, indent=1).encode())

    def _compare(self) -> None:
        """Raise RunError where the folder's run is another one."""
        path = self.path / IDENTITY
        try:
            there = json.loads(path.read_bytes())
            version, settings = there.pop("format"), dict(there.get("settings", {}))
        except (OSError, ValueError, AttributeError, KeyError, TypeError, RecursionError) as error:
            raise RunError(f"{path} does not describe a run: {error}; choose another folder") from error
        if version != _checkpoint.FORMAT:
            raise RunError(
                f"{path} has format {version!r}, this version of maas reads {_checkpoint.FORMAT}; go on with the "
                f"version that began the run, or begin anew in another folder"
            )
        here = json.loads(json.dumps(self.identity))
        may_change = [name for name in _MAY_CHANGE if name != "epochs" or not self.fixed_end]
        changed = [
            name
            for name, value in here.get("settings", {}).items()
            if name not in may_change and value != settings.get(name)
        ]
        changed += [name for name in here if name != "settings" and here[name] != there.get(name)]
        if changed:
            name = changed[0]
            was, now = {**there, **settings}.get(name), {**here, **here.get("settings", {})}[name]
            raise RunError(
                f"{path.parent} is another run: its {name} is {show(str(was), 120)}, here it is {show(str(now), 120)}; "
                f"give what it began with, or choose another folder"
            )
