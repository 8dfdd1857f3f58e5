"""Showing a run while it goes on: the bar, history.csv, trackers, and what a step took."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from maas.errors import RunError
from maas.storage import write_atomic
from maas.training._run import Tracker
from maas.training._state import State

HISTORY = ("epoch", "train_loss", "validation_loss", "learning_rate", "seconds")


class Watch:
    """Shows a run.

    Args:
        progress: whether to show a bar; None: when standard error is a terminal.
        history: the file for one line an epoch; None: there is none.
        trackers: who else follows.
        config: what they are told at the start.
    """

    def __init__(
        self,
        *,
        progress: bool | None = False,
        history: Path | None = None,
        trackers: Sequence[Tracker] = (),
        config: Mapping[str, Any] | None = None,
    ) -> None:
        self.progress, self.history, self.trackers, self.config = progress, history, trackers, dict(config or {})
        self.speed: dict[str, Any] = {}
        self.steps, self.reads, self.seconds = 0, 0, 0.0
        self.bar: Any = None  # until the run begins

    def begin(self, state: State, steps: int) -> None:
        """A run of so many steps in all begins, or goes on."""
        disable = None if self.progress is None else not self.progress
        self.bar = tqdm(total=steps, initial=state.steps, unit="step", disable=disable, leave=False, mininterval=0.2)
        for tracker in self.trackers:
            tracker.start(self.config)
        self._write(state)

    def read(self, state: State, steps: int, rows: int, seconds: float, rate: float, loss: float) -> None:
        """So many steps, over so many rows, were looked at."""
        self.steps, self.reads, self.seconds = self.steps + steps, self.reads + 1, self.seconds + seconds
        self.bar.set_postfix(epoch=state.epoch, loss=f"{loss:.4f}", refresh=False)
        self.bar.update(steps)
        values = {"loss": loss, "learning_rate": rate, "rows_per_second": rows / seconds}
        for tracker in self.trackers:
            tracker.log(state.steps, values)

    def epoch(self, state: State) -> None:
        """An epoch is over."""
        record = state.history[-1]
        told = [name for name in record if name not in ("epoch", "learning_rate", "seconds")]
        values = {name: record[name] for name in told if record[name] is not None}
        self.bar.set_postfix({name: f"{value:.4f}" for name, value in values.items()}, refresh=False)
        for tracker in self.trackers:
            tracker.log(state.steps, values)
        self._write(state)

    def end(self) -> None:
        """The run is over, or was interrupted; nothing to tell of one that never began."""
        if self.bar is None:
            return
        self.bar.close()
        for tracker in self.trackers:
            tracker.finish()

    def receipt(self, waited: float, saving: float) -> dict[str, Any]:
        """What a step took: see `maas.fit`."""
        if not self.steps:
            return {}
        return {
            "steps": self.steps,
            "microseconds_a_step": round(1e6 * self.seconds / self.steps, 1),
            "of_them_waiting_for_rows": round(1e6 * waited / self.steps, 1),
            "synchronisations": self.reads,
            "seconds_saving_checkpoints": round(saving, 3),
        }

    def _write(self, state: State) -> None:
        if self.history is None:
            return
        text = io.StringIO()
        more = [name for name in (state.history or [{}])[0] if name not in HISTORY]
        writer = csv.DictWriter(text, [*HISTORY, *more], lineterminator="\n")
        writer.writeheader()
        writer.writerows(state.history)
        try:
            write_atomic(self.history, text.getvalue().encode())
        except OSError as error:
            raise RunError(f"{self.history} cannot be written: {error.strerror}") from error


class Stopwatch:
    """How many steps to take before the next look, so that looks are about half a second apart."""

    def __init__(self, seconds: float, most: int) -> None:
        self.seconds, self.most = seconds, most
        self.steps = 1
        self._start = time.perf_counter()

    def start(self) -> None:
        self._start = time.perf_counter()

    def stop(self, steps: int) -> float:
        """Seconds since the start; the next look comes after as many steps as fit the time."""
        took = time.perf_counter() - self._start
        self.steps = max(1, min(self.most, 4 * steps, int(steps * self.seconds / max(took, 1e-9))))
        return took
