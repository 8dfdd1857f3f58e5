"""A training run as a user asks for it: where it is kept, whether it goes on, and who watches."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from maas.errors import DataError, show

IDENTITY = "run.json"


@runtime_checkable
class Tracker(Protocol):
    """Whoever wants to follow a run. Only the process that writes calls it."""

    def start(self, config: Mapping[str, Any]) -> None:
        """The run begins, or goes on: its settings, as JSON values."""
        ...

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Numbers by name after a step, counted from 1: `loss`, `learning_rate`, `rows_per_second` as they come,
        `train_loss` and `validation_loss` after each epoch."""
        ...

    def finish(self) -> None:
        """The run has ended, or was interrupted."""
        ...


@dataclass(frozen=True)
class Run:
    """Where a training run is kept: `maas.fit(..., run=maas.Run("runs/wine", resume=True))`.

    The folder holds `history.csv`, `run.json` (what the run is) and `checkpoints/`, the newest of which `latest` names.
    A process holds a lock on it while it trains. SIGTERM and Ctrl-C save a checkpoint within a step; the process then
    ends with 143 or 130.

    Args:
        folder: made if need be.
        resume: go on from the newest checkpoint that is whole; where there is none yet, begin. Without it a folder that
            holds a run already is refused.
        every: seconds between checkpoints, 0 or more; 0: one after each step. One is always written at the end.
        keep: how many checkpoints to keep, 1 or more: older ones go once the new one was read back and found whole.
        trackers: who follows the run, such as `maas.training.TensorBoard("runs/wine/tensorboard")`.
        stop_after: stop after so many steps of this process, as if it was interrupted by SIGTERM; None: never.

    Raises:
        DataError: an argument is out of its range.
    """

    folder: str | Path
    resume: bool = False
    every: float = 60.0
    keep: int = 2
    trackers: Sequence[Tracker] = ()
    stop_after: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.folder, (str, Path)) or not str(self.folder):
            raise DataError(f"`folder` of a run must be a path, got {show(self.folder)}")
        if type(self.resume) is not bool:
            raise DataError(f"`resume` must be True or False, got {show(self.resume)}")
        if isinstance(self.every, bool) or not isinstance(self.every, (int, float)) or not 0 <= self.every < math.inf:
            raise DataError(f"`every` must be seconds, 0 or more, got {show(self.every)}")
        for name, number in (
            ("keep", self.keep),
            *([("stop_after", self.stop_after)] if self.stop_after is not None else []),
        ):
            if type(number) is not int or number < 1:
                raise DataError(f"`{name}` of a run must be a positive integer, got {show(number)}")
        for tracker in self.trackers:
            if isinstance(tracker, type) or not isinstance(tracker, Tracker):
                raise DataError(
                    f"`trackers` must have the methods start, log and finish, such as "
                    f"maas.training.TensorBoard(folder), got {show(tracker)}"
                )

    @property
    def is_finished(self) -> bool | None:
        """Whether the run in the folder has ended, not been interrupted; None where there is no run to go on with."""
        folder = Path(self.folder)
        if not any((folder / "checkpoints").glob("step-*")):
            return None
        try:
            return json.loads((folder / IDENTITY).read_bytes()).get("finished") is True
        except (OSError, ValueError, AttributeError, RecursionError):
            return False

    @classmethod
    def of(cls, given: Any) -> Run | None:
        """A run, or one in a folder with nothing else said."""
        return given if given is None or isinstance(given, Run) else cls(given)


class TensorBoard:
    """A tracker that writes what TensorBoard shows: `Run(..., trackers=[TensorBoard("runs/wine/tensorboard")])`.

    Args:
        folder: where the event files go.

    Raises:
        DataError: the package `tensorboard` is not installed.
    """

    def __init__(self, folder: str | Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise DataError(f"TensorBoard needs a package: pip install 'maas-torch[track]' ({error})") from error
        self._make: Callable[[str], Any] = SummaryWriter
        self._folder = str(folder)

    def start(self, config: Mapping[str, Any]) -> None:
        self._writer = self._make(self._folder)  # not before: it makes its folder, in that of a run perhaps
        lines = [f"    {name}: {value}" for name, value in config.items()]
        self._writer.add_text("settings", "\n".join(lines))

    def log(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def finish(self) -> None:
        self._writer.close()
