"""maas.fit(run=...): what is kept, what is gone on with, and what is refused."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

import maas
from maas.errors import DataError, RunError
from maas.training import Run, Schedule, TensorBoard

from .runs import STEPS_AN_EPOCH, fit, leftovers, same, stopped


class Told:
    """A tracker that remembers, and may send a signal as it is told that the run ends."""

    def __init__(self, at_the_end: signal.Signals | None = None) -> None:
        self.lines: list[Any] = []
        self.at_the_end = at_the_end

    def start(self, config: Mapping[str, Any]) -> None:
        self.lines.append(("start", config["epochs"]))

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self.lines.append((step, set(values)))

    def finish(self) -> None:
        self.lines.append("finish")
        if self.at_the_end is not None:
            os.kill(os.getpid(), self.at_the_end)


@pytest.mark.parametrize("steps", [1, 4, STEPS_AN_EPOCH, STEPS_AN_EPOCH + 1, 3 * STEPS_AN_EPOCH])
def test_a_run_that_is_gone_on_with_ends_as_one_left_alone(
    steps: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Within an epoch, at its end, after it, and after the last step: weights and history but for the seconds."""
    stopped(tmp_path / "run", steps)
    folder = tmp_path / "run"
    assert f"maas: saved after step {steps} in {folder}; resume goes on from there\n" == capsys.readouterr().err
    assert Run(folder).is_finished is False
    ours, alone = fit(Run(folder, resume=True)), fit()
    assert same(ours, alone)
    assert Run(folder).is_finished is True
    for one, other in zip(ours.card["training"]["history"], alone.card["training"]["history"], strict=True):
        assert {**one, "seconds": 0} == {**other, "seconds": 0}
    with (folder / "history.csv").open() as file:
        assert [int(line["epoch"]) for line in csv.DictReader(file)] == [1, 2, 3]


def test_where_there_is_no_checkpoint_a_run_begins(tmp_path: Path) -> None:
    """No folder, an empty one, and those of processes killed before their first checkpoint."""
    alone = fit()
    (tmp_path / "empty").mkdir()
    (tmp_path / "killed at once").mkdir()
    (tmp_path / "killed at once" / ".lock").touch()
    (tmp_path / "killed at once" / ".run.json.tmp-0123456789ab").touch()
    for name in ("none", "empty", "killed at once"):
        for _ in range(2):
            assert same(fit(Run(tmp_path / name, resume=True)), alone)
            shutil.rmtree(tmp_path / name / "checkpoints")
            (tmp_path / name / "latest").unlink()
        assert not leftovers(tmp_path / name)


def test_a_finished_run_gives_its_model_without_training(tmp_path: Path) -> None:
    told = Told()
    model = fit(tmp_path / "run")
    again = fit(Run(tmp_path / "run", resume=True, trackers=[told]))
    assert same(model, again)
    assert told.lines == [("start", 3), "finish"]
    assert again.card["training"]["history"] == model.card["training"]["history"]
    assert again.card["training"]["best_epoch"] == model.card["training"]["best_epoch"]


def test_epochs_may_be_raised_unless_the_schedule_knows_the_end(tmp_path: Path) -> None:
    fit(tmp_path / "run", epochs=1)
    assert same(fit(Run(tmp_path / "run", resume=True), epochs=3, patience=3), fit())
    for schedule in ("cosine", Schedule(warmup=0.1)):
        folder = tmp_path / str(schedule)
        stopped(folder, 2, schedule=schedule, epochs=2)
        with pytest.raises(RunError, match=r"is another run: its epochs is '2', here it is '3'; give what it began"):
            fit(Run(folder, resume=True), schedule=schedule, epochs=3)


def _noisy(batch: Any, index: torch.Tensor, seed: int, epoch: int) -> Any:
    return batch


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"recipe": maas.recipe(maas.nn.MLP, hidden=(7,))}, "its recipe is "),
        ({"seed_of_rows": 1}, "its data is "),
        ({"validation": 0.2}, "its validation is "),
        ({"task": maas.task.Classification.with_options(label_smoothing=0.1)}, "its task is "),
        ({"augment": _noisy}, r"its augment is 'None', here it is .<function _noisy>"),
        ({"rate_factors": {"output": 0.5}}, "its rate_factors is "),
        ({"learning_rate": 0.5}, r"its learning_rate is '0.001', here it is '0.5'"),
        ({"keep": "last"}, r"its keep is 'best', here it is 'last'"),
        ({"optimizer": "sgd"}, "its optimizer is .*adamw.*, here it is .*sgd"),
        ({"seed": 4}, "its seed is '0', here it is '4'"),
    ],
)
def test_another_run_is_not_gone_on_with(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    stopped(tmp_path / "run", 2)
    with pytest.raises(RunError, match=message):
        fit(Run(tmp_path / "run", resume=True), **changes)
    assert same(fit(Run(tmp_path / "run", resume=True)), fit())


def test_an_augmentation_is_known_again_in_another_process(tmp_path: Path) -> None:
    """A function's repr holds its address, which is another one there."""
    stopped(tmp_path / "run", 2, augment=_noisy)
    said = json.loads((tmp_path / "run" / "run.json").read_text())["augment"]
    assert said == "<function _noisy>"


def test_a_folder_that_holds_a_run_is_not_begun_anew(tmp_path: Path) -> None:
    """And a refusal holds no lock: going on works in the same process."""
    stopped(tmp_path / "run", 2)
    with pytest.raises(RunError, match=r"run holds a run already: go on with it by resume=True \(--resume\), or"):
        fit(tmp_path / "run")
    assert same(fit(Run(tmp_path / "run", resume=True)), fit())


def test_a_folder_that_is_no_runs_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("x")
    for resume in (True, False):
        with pytest.raises(RunError, match="file is not a folder; give the folder of the run"):
            fit(Run(tmp_path / "file", resume=resume))
        with pytest.raises(RunError, match=r"is not the folder of a run: it holds 'thesis.tex'; choose another"):
            fit(Run(tmp_path / "other", resume=resume))
    assert [one.name for one in (tmp_path / "other").iterdir()] == ["thesis.tex"]


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """Below a file, and below /proc, where nobody may write, not even root, whom no permission stops."""
    (tmp_path / "file").write_text("x")
    for folder in (tmp_path / "file" / "run", Path("/proc/maas/run")):
        with pytest.raises(RunError, match=r"run cannot be written: .*; choose another"):
            fit(folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"format": 2}', r"run.json has format 2, this version of maas reads 1; go on with the version that began"),
        ("{}", "does not describe a run: 'format'; choose another folder"),
        ('{"format": 1, "settings": 3}', "does not describe a run"),
        ("[]", "does not describe a run"),
        ("{" * 9, "does not describe a run"),
    ],
)
def test_a_run_of_another_format_or_none_is_refused(content: str, message: str, tmp_path: Path) -> None:
    stopped(tmp_path / "run", 2)
    (tmp_path / "run" / "run.json").write_text(content)
    with pytest.raises(RunError, match=message):
        fit(Run(tmp_path / "run", resume=True))
    assert Run(tmp_path / "run").is_finished is False


_TRAINS_FOR_LONG = """
import sys, time, numpy, maas

def wait(batch, index, seed, epoch):
    if epoch == 2:
        print("trains", flush=True)
        time.sleep(600)
    return batch

X = numpy.random.default_rng(0).normal(size=(60, 4))
run = maas.training.Run(sys.argv[1], every=0)
maas.fit(maas.recipe(maas.nn.MLP), (X, X[:, 0]), run=run, augment=wait, epochs=2, device="cpu", workers=1)
"""


def test_one_process_at_a_time_trains_in_a_folder(tmp_path: Path) -> None:
    """Once it is killed the folder is free, whatever its workers still do."""
    command = [sys.executable, "-c", _TRAINS_FOR_LONG, str(tmp_path / "run")]
    environment = {**os.environ, "PYTHONPATH": str(Path(maas.__file__).parents[1])}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, start_new_session=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"trains\n"
            for resume in (True, False):
                with pytest.raises(RunError, match=r"another process trains in .*run now; wait for it, or ch"):
                    fit(Run(tmp_path / "run", resume=resume))
            process.kill()
            process.wait()
            with pytest.raises(RunError, match="holds a run already"):
                fit(tmp_path / "run")
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # its worker too


def test_trackers_and_the_history_survive_an_interruption(tmp_path: Path) -> None:
    first, second = Told(), Told()
    folder = stopped(tmp_path / "run", 8, trackers=[first])
    assert first.lines[0] == ("start", 3)
    assert first.lines[-1] == "finish"
    fit(Run(folder, resume=True, trackers=[second]))
    told = [line for line in first.lines + second.lines if type(line[0]) is int]
    assert [step for step, names in told if "train_loss" in names] == [6, 12, 18]
    assert [step for step, names in told if "loss" in names][:8] == list(range(1, 9))
    with (folder / "history.csv").open() as file:
        assert [int(line["epoch"]) for line in csv.DictReader(file)] == [1, 2, 3]


def test_tensorboard_reads_what_its_tracker_writes(tmp_path: Path) -> None:
    """Reference: TensorBoard's own reader of event files. They may lie in the run's folder, and be gone on with."""
    tracker = TensorBoard(tmp_path / "run" / "board")
    stopped(tmp_path / "run", 8, trackers=[tracker])
    model = fit(Run(tmp_path / "run", resume=True, trackers=[tracker]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own dependencies
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        board = EventAccumulator(str(tmp_path / "run" / "board"))
        board.Reload()
        found = {event.step: event.value for event in board.Scalars("validation_loss")}
    expected = {6 * one["epoch"]: one["validation_loss"] for one in model.card["training"]["history"]}
    assert found == pytest.approx(expected)


def test_a_signal_after_the_last_step_is_not_lost(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        fit(Run(tmp_path / "run", trackers=[Told(at_the_end=signal.SIGINT)]))
    assert Run(tmp_path / "run").is_finished is True
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_another_number_of_threads_is_told(tmp_path: Path) -> None:
    """Sums over several threads are taken in another order. Only a network that is worth them uses several."""
    large = {"recipe": maas.recipe(maas.nn.MLP, hidden=(600, 600)), "batch_size": 54}
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        folder = stopped(tmp_path / "run", 1, **large)
        torch.set_num_threads(2)
        message = r"goes on elsewhere \(threads 1 then, 2 now\): the rest will not be the same to the bit"
        with pytest.warns(UserWarning, match=message):
            fit(Run(folder, resume=True), **large)
    finally:
        torch.set_num_threads(before)


def test_another_way_to_compute_steps_is_told(tmp_path: Path) -> None:
    folder = stopped(tmp_path / "run", 2)
    state = json.loads((folder / "checkpoints" / "step-0000000002" / "state.json").read_text())
    assert state["speed"] == "eager"
    with pytest.warns(UserWarning, match="does not serve here"):  # so steps are computed as before, and all is well
        assert same(fit(Run(folder, resume=True), speed="graph"), fit())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"folder": ""}, "`folder` of a run must be a path, got ''"),
        ({"folder": 3}, "`folder` of a run must be a path, got 3"),
        ({"resume": "yes"}, "`resume` must be True or False, got 'yes'"),
        ({"every": -1}, "`every` must be seconds, 0 or more, got -1"),
        ({"every": float("nan")}, "`every` must be seconds, 0 or more, got nan"),
        ({"keep": 0}, "`keep` of a run must be a positive integer, got 0"),
        ({"stop_after": 0}, "`stop_after` of a run must be a positive integer, got 0"),
        ({"trackers": [Told]}, "`trackers` must have the methods start, log and finish"),
    ],
)
def test_an_argument_of_a_run_is_told(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Run(**{"folder": "run", **arguments})
