"""Keeping a run: its checkpoints, going on from them, and being told to stop."""

from __future__ import annotations

import platform
import signal
import sys
import threading
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from maas.errors import RunError, show
from maas.storage import write_atomic
from maas.training import _checkpoint
from maas.training._generators import generator_states, put_generator_states
from maas.training._run import Run
from maas.training._run_folder import RunFolder
from maas.training._state import State, copy_of
from maas.training._weights import whole
from maas.training._world import World


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
        self.folder = None if run is None else RunFolder(Path(run.folder), identity or {}, fixed_end=fixed_end)
        self.told: int | None = None  # the signal that came
        self.seconds = 0.0  # spent on checkpoints
        self._saved_at = time.monotonic()
        self._saved: tuple[int, int] | None = None  # epoch and step of the newest checkpoint
        self._steps = 0  # of this process
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Keeper:
        if self.run is None or self.folder is None:
            return self
        error: RunError | None = None
        if self.world.writes:
            try:
                self.folder.take(resume=self.run.resume)
            except RunError as found:
                error = found
                self.folder.let_go()
        (failed,) = self.world.most(error is not None)
        if failed:  # in all processes alike
            raise error or RunError(f"the first process cannot train in {self.folder.path}; its own error says why")
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self.folder is not None:
            self.folder.let_go()
        if kind is None and self.told is not None:  # it came when the last step was done
            signal.raise_signal(self.told)

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
            numbers = {**state.numbers(), "machine": _machine(state)}
            path = _checkpoint.write(self.folder.checkpoints, state.steps, tensors, numbers)
            try:
                write_atomic(self.folder.path / "latest", f"checkpoints/{path.name}\n".encode())
                _checkpoint.let_go(path, self.run.keep)
            except OSError as error:
                raise RunError(f"the run's folder {self.folder.path} cannot be written: {error.strerror}") from error
        self._saved = (state.epoch, state.step)
        self._saved_at = time.monotonic()
        self.seconds += self._saved_at - start

    def stop(self, state: State) -> None:
        """Save, say where, and end as the signal would have ended the process.

        Raises:
            KeyboardInterrupt, SystemExit: always.
        """
        self.save(state)
        if self.world.writes and self.folder is not None:
            where = self.folder.path
            print(f"maas: saved after step {state.steps} in {where}; resume goes on from there", file=sys.stderr)
        if self.told == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + signal.SIGTERM)

    def finish(self, state: State) -> None:
        """Save a run that has ended, and mark it as such."""
        self.save(state)
        if self.folder is not None and self.world.writes:
            self.folder.describe(finished=True)

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
                f"one process goes on from step {int(-least)} in {self.folder.path}, another from step {int(most)}: "
                f"all must see the same folder, as on a shared disk; give them such a one"
            )
        if found:
            self._put(state, *found)

    def _newest(self, folder: RunFolder) -> tuple[Path, dict[str, torch.Tensor], dict[str, Any]] | None:
        """The newest whole checkpoint of a run's folder, read."""
        paths = _checkpoint.found(folder.checkpoints)
        latest = folder.path / "latest"
        named = latest.read_text("utf8", "replace").strip() if latest.is_file() else ""
        if named and folder.path / named not in paths:
            warnings.warn(f"{folder.path / named}, the newest checkpoint of the run, is gone", stacklevel=3)
        for path in paths:
            try:
                tensors, numbers = _checkpoint.read(path)
            except _checkpoint.Broken as error:
                warnings.warn(f"the checkpoint {path} is broken: {error}; an older one is looked for", stacklevel=3)
                continue
            return path, tensors, numbers
        if paths or named:
            raise RunError(
                f"no checkpoint in {folder.checkpoints} is whole; begin anew in another folder, or remove {folder.path}"
            )
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
