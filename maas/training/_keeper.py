"""Keeping a run: its lock, its checkpoints, going on from them, and being told to stop."""

from __future__ import annotations

import fcntl
import json
import os
import platform
import signal
import sys
import threading
import time
import warnings
from collections.abc import Mapping
from multiprocessing.util import register_after_fork
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from maas.errors import RunError, show
from maas.storage import write_atomic
from maas.training import _checkpoint
from maas.training._generators import generator_states, put_generator_states
from maas.training._run import IDENTITY, Run
from maas.training._state import State, copy_of
from maas.training._weights import whole
from maas.training._world import World

_MAY_CHANGE = ("epochs", "patience", "non_finite")
"""Settings that a resumed run may have otherwise: they say when to stop, and do not change a step that was taken."""


class Keeper:
    """Keeps a run in its folder; with no run it keeps nothing, and leaves signals alone.

    Use it as a context manager around the training: it holds the lock and the signals for so long.

    Args:
        run: where and how; None: nothing is kept.
        world: the processes that train; the first one writes.
        identity: what the run is, as JSON: a folder of another run is not gone on with.
        fixed_end: whether a change of `epochs` changes the steps, as it does for schedules that know the end.
    """

    def __init__(
        self, run: Run | None, world: World, identity: Mapping[str, Any] | None = None, *, fixed_end: bool = False
    ) -> None:
        self.run, self.world = run, world
        self.identity = dict(identity or {})
        self.fixed_end = fixed_end
        self.folder = None if run is None else Path(run.folder)
        self.told: int | None = None  # the signal that came
        self.seconds = 0.0  # spent on checkpoints
        self._saved_at = time.monotonic()
        self._saved: tuple[int, int] | None = None  # epoch and step of the newest checkpoint
        self._steps = 0  # of this process
        self._before: dict[int, Any] = {}
        self._lock: int | None = None

    def __enter__(self) -> Keeper:
        if self.run is None or self.folder is None:
            return self
        error: RunError | None = None
        if self.world.writes:
            try:
                self._take(self.run, self.folder)
            except RunError as found:
                error = found
                self._let_go()
        (failed,) = self.world.most(error is not None)
        if failed:  # in all processes alike
            raise error or RunError(f"the first process cannot train in {self.folder}; its own error says why")
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._let_go()
        if kind is None and self.told is not None:  # it came when the last step was done
            signal.raise_signal(self.told)

    def _let_go(self) -> None:
        """Free the folder; a forked process does so at once, lest it hold the lock when this one is killed."""
        if self._lock is not None:
            os.close(self._lock)  # the file stays: a lock on a removed file guards nothing
            self._lock = None

    def _note(self, number: int, frame: FrameType | None) -> None:
        """Remember a signal, and act on it after the step; a second one acts at once."""
        again, self.told = self.told, number
        if again is not None:
            signal.signal(number, self._before[number])
            signal.raise_signal(number)

    @property
    def hears_a_signal(self) -> bool:
        """Whether to stop after this step; several processes hear it at different ones, and agree when they look."""
        return self.told is not None and self.world.size == 1

    @property
    def saves_each_step(self) -> bool:
        """Whether there is a checkpoint after each step."""
        return self.run is not None and self.run.every == 0

    @property
    def wants_to_stop(self) -> bool:
        """Whether a signal came or `stop_after` is reached."""
        return self.told is not None or self.steps_left == 0

    @property
    def steps_left(self) -> int | None:
        """Steps before `stop_after`; None: no such limit."""
        return None if self.run is None or self.run.stop_after is None else max(0, self.run.stop_after - self._steps)

    @property
    def is_due(self) -> bool:
        """Whether it is time for a checkpoint."""
        return self.run is not None and time.monotonic() - self._saved_at >= self.run.every

    def stepped(self, steps: int) -> None:
        """Count steps of this process."""
        self._steps += steps

    def save(self, state: State) -> None:
        """Write a checkpoint, check it, point at it, and let older ones go. All processes call this together.

        Raises:
            DivergedError: a weight is not finite; the checkpoints from before stay.
            RunError: the folder cannot be written.
        """
        if self.run is None or self.folder is None or self._saved == (state.epoch, state.step):
            return
        start = time.monotonic()
        state.check_finite()
        generators = self.world.gather(generator_states(state.device))
        gathered = ((name, whole(tensor)) for name, tensor in state.tensors())
        tensors = {
            name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in gathered if self.world.writes
        }
        tensors |= {f"generators.{rank}": one for rank, one in enumerate(generators)}
        if self.world.writes:
            folder = self.folder / "checkpoints"
            path = _checkpoint.write(folder, state.steps, tensors, {**state.numbers(), "machine": _machine(state)})
            try:
                write_atomic(self.folder / "latest", f"checkpoints/{path.name}\n".encode())
                _checkpoint.let_go(path, self.run.keep)
            except OSError as error:
                raise RunError(f"the run's folder {self.folder} cannot be written: {error.strerror}") from error
        self._saved = (state.epoch, state.step)
        self._saved_at = time.monotonic()
        self.seconds += self._saved_at - start

    def stop(self, state: State) -> None:
        """Save, say where, and end as the signal would have ended the process.

        Raises:
            KeyboardInterrupt, SystemExit: always.
        """
        self.save(state)
        if self.world.writes:
            print(f"maas: saved after step {state.steps} in {self.folder}; resume goes on from there", file=sys.stderr)
        if self.told == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + signal.SIGTERM)

    def finish(self, state: State) -> None:
        """Save a run that has ended, and mark it as such."""
        self.save(state)
        if self.folder is not None and self.world.writes:
            self._describe(self.folder, finished=True)

    def go_on(self, state: State) -> None:
        """Put the newest whole checkpoint into a run that has not begun; nothing where there is none.

        Raises:
            RunError: there are checkpoints, but none is whole; or not all processes see the same ones.
        """
        if self.run is None or self.folder is None or not self.run.resume:
            return
        found = self._newest(self.folder)
        steps = found[2]["steps"] if found else 0
        most, least = self.world.most(steps, -steps)
        if most != -least:
            raise RunError(
                f"one process goes on from step {int(-least)} in {self.folder}, another from step {int(most)}: all "
                f"must see the same folder, as on a shared disk; give them such a one"
            )
        if found:
            self._put(state, *found)

    def _newest(self, place: Path) -> tuple[Path, dict[str, torch.Tensor], dict[str, Any]] | None:
        """The newest whole checkpoint of a run's folder, read."""
        folder = place / "checkpoints"
        paths = _checkpoint.found(folder)
        latest = place / "latest"
        named = latest.read_text("utf8", "replace").strip() if latest.is_file() else ""
        if named and place / named not in paths:
            warnings.warn(f"{place / named}, the newest checkpoint of the run, is gone", stacklevel=3)
        for path in paths:
            try:
                tensors, numbers = _checkpoint.read(path)
            except _checkpoint.Broken as error:
                warnings.warn(f"the checkpoint {path} is broken: {error}; an older one is looked for", stacklevel=3)
                continue
            return path, tensors, numbers
        if paths or named:
            raise RunError(f"no checkpoint in {folder} is whole; begin anew in another folder, or remove {place}")
        return None

    def _put(self, state: State, path: Path, tensors: dict[str, torch.Tensor], numbers: dict[str, Any]) -> None:
        ranks = sum(name.startswith("generators.") for name in tensors)
        generators = [tensors.pop(f"generators.{rank}") for rank in range(ranks)]
        if any(name.startswith("best.") for name in tensors):
            state.best = copy_of(state.network)
        wanted = {name: tensor.shape for name, tensor in state.tensors()}
        wrong = [
            name
            for name in sorted({*wanted, *tensors})
            if name not in tensors or tensors[name].shape != wanted.get(name)
        ]
        if wrong:
            raise RunError(f"{path} is of another network: {show(wrong[0], 90)} and {len(wrong) - 1} more differ")
        state.restore(tensors)
        state.put_numbers(numbers)
        before, here = numbers["machine"], _machine(state)
        if other := [
            f"{name} {before[name]} then, {here[name]} now" for name in here if here[name] != before.get(name)
        ]:
            warnings.warn(
                f"the run goes on elsewhere ({'; '.join(other)}): the rest will not be the same to the bit",
                stacklevel=3,
            )
        if len(generators) == self.world.size and generators[0].shape == generator_states(state.device).shape:
            put_generator_states(generators[self.world.rank], state.device)
        self._saved = (state.epoch, state.step)

    def _take(self, run: Run, folder: Path) -> None:
        """Make the folder of the run, or find it to be that of this one, and lock it."""
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
        register_after_fork(self, Keeper._let_go)
        if path.is_file():
            if not run.resume and _checkpoint.found(folder / "checkpoints"):
                raise RunError(
                    f"{folder} holds a run already: go on with it by resume=True (--resume), or choose another folder"
                )
            if run.resume:
                self._compare(path)
        try:
            for orphan in folder.glob(".*.tmp-*"):  # of a process that was killed
                orphan.unlink()
            self._describe(folder, finished=False)  # first: a folder that holds anything else says what it is
            (folder / "checkpoints").mkdir(exist_ok=True)
        except OSError as error:
            raise RunError(f"the run's folder {folder} cannot be written: {error.strerror}; choose another") from error

    def _describe(self, folder: Path, *, finished: bool) -> None:
        said = {"format": _checkpoint.FORMAT, "finished": finished, **self.identity}
        write_atomic(folder / IDENTITY, json.dumps(said, indent=1).encode())

    def _compare(self, path: Path) -> None:
        """Raise RunError where the folder's run is another one."""
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


def _machine(state: State) -> dict[str, Any]:
    """What the bits of a step depend on beside the state."""
    device = state.device
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "threads": torch.get_num_threads(),
        "processes": state.world.size,
        "sharded": state.weights.sharded,
        "torch": torch.__version__,
        "processor": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
    }
