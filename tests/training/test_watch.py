"""maas.training._watch: history.csv, trackers and the count of looks."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import maas
from maas.errors import DivergedError, RunError
from maas.task import Batch, Regression
from maas.training import Run
from maas.training._watch import HISTORY, Stopwatch, Watch


class Diary:
    """A tracker that writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def start(self, config: Mapping[str, Any]) -> None:
        self.told.append(("start", dict(config)))

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self.told.append(("log", step, dict(values)))

    def finish(self) -> None:
        self.told.append(("finish",))

    @property
    def names(self) -> list[str]:
        return [one[0] for one in self.told]

    def logged(self, name: str) -> list[tuple[int, float]]:
        return [(one[1], one[2][name]) for one in self.told if one[0] == "log" and name in one[2]]


def _fit(**settings: Any) -> maas.Model:
    x = np.random.default_rng(0).normal(size=(40, 3))
    wanted: dict[str, Any] = {"epochs": 3, "batch_size": 8, "device": "cpu", "progress": False, **settings}
    return maas.fit(maas.recipe(maas.nn.MLP, hidden=(4,)), (x, x[:, 0]), **{"task": "regression", **wanted})


def _history(folder: Path) -> list[dict[str, str]]:
    with (folder / "history.csv").open(newline="") as file:
        reader = csv.DictReader(file)
        assert tuple(reader.fieldnames or ()) == HISTORY
        return list(reader)


def _numbers(records: list[Mapping[str, Any]]) -> list[list[float]]:
    return [[float(one[name]) for name in HISTORY if name != "seconds"] for one in records]


def test_history_has_a_line_an_epoch_with_every_digit(tmp_path: Path) -> None:
    """Reference: the model's card."""
    model = _fit(run=tmp_path / "run", schedule="cosine")
    assert _numbers(_history(tmp_path / "run")) == _numbers(model.card["training"]["history"])
    assert len(_history(tmp_path / "run")) == 3
    without = _fit(run=tmp_path / "other", validation=0, keep="last")
    assert [one["validation_loss"] for one in _history(tmp_path / "other")] == [""] * 3
    assert [float(one["train_loss"]) for one in _history(tmp_path / "other")] == [
        one["train_loss"] for one in without.card["training"]["history"]
    ]


def test_history_goes_on_where_the_run_does(tmp_path: Path) -> None:
    """Reference: a run that nobody stopped. An epoch whose end the checkpoint does not hold is told once."""
    settings: dict[str, Any] = {"epochs": 4}
    whole = _fit(run=tmp_path / "whole", **settings)
    for steps in (7, 10, 12):  # amid the second epoch, of 5 steps, at its end, and amid the third
        folder = tmp_path / str(steps)
        with pytest.raises(SystemExit):
            _fit(run=Run(folder, stop_after=steps), **settings)
        assert len(_history(folder)) == {7: 1, 10: 1, 12: 2}[steps]
        _fit(run=Run(folder, resume=True), **settings)
        assert _numbers(_history(folder)) == _numbers(_history(tmp_path / "whole"))
    assert _numbers(_history(tmp_path / "whole")) == _numbers(whole.card["training"]["history"])


def test_a_tracker_follows_a_run_in_order(tmp_path: Path) -> None:
    """Reference: the card; each look and each epoch is told at its step."""
    diary, other = Diary(), Diary()
    model = _fit(run=Run(tmp_path / "run", every=0, trackers=[diary, other]), schedule="cosine")
    record = model.card["training"]
    assert diary.names == ["start"] + ["log"] * (15 + 3) + ["finish"]
    assert diary.told[0][1]["batch_size"] == 8
    assert diary.told[0][1]["optimizer"]["kind"] == "adamw"
    assert [step for step, _ in diary.logged("loss")] == list(range(1, 16))
    assert [step for step, _ in diary.logged("train_loss")] == [5, 10, 15]
    for name in ("train_loss", "validation_loss"):
        assert [value for _, value in diary.logged(name)] == [one[name] for one in record["history"]]
    rates = dict(diary.logged("learning_rate"))
    assert [rates[step] for step in (5, 10, 15)] == [one["learning_rate"] for one in record["history"]]
    assert all(value > 0 for _, value in diary.logged("rows_per_second"))
    assert [one[:2] for one in other.told] == [one[:2] for one in diary.told]


def test_a_tracker_is_told_the_end_of_a_run_that_fails(tmp_path: Path) -> None:
    class Broken(Regression):
        def loss(self, network: torch.nn.Module, batch: Batch) -> torch.Tensor:
            return super().loss(network, batch) * torch.nan

    diary = Diary()
    with pytest.raises(DivergedError):
        _fit(task=Broken, run=Run(tmp_path / "a", trackers=[diary]))
    assert diary.names == ["start", "finish"]
    stopped = Diary()
    with pytest.raises(SystemExit):
        _fit(run=Run(tmp_path / "b", trackers=[stopped], stop_after=2))
    assert (stopped.names[0], stopped.names[-1]) == ("start", "finish")
    assert stopped.logged("loss")[-1][0] == 2


def test_a_tracker_hears_nothing_of_a_run_that_cannot_begin(tmp_path: Path) -> None:
    """The error is the run's own."""
    with pytest.raises(SystemExit):
        _fit(run=Run(tmp_path / "run", stop_after=2))
    for path in (tmp_path / "run" / "checkpoints").glob("*/state.json"):
        path.write_text("{}")
    diary = Diary()
    with pytest.warns(UserWarning, match="is broken"), pytest.raises(RunError, match=r"no checkpoint in .* is whole"):
        _fit(run=Run(tmp_path / "run", resume=True, trackers=[diary]))
    assert diary.told == []


def test_a_tracker_is_told_of_a_run_that_goes_on(tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        _fit(run=Run(tmp_path / "run", stop_after=7))
    diary = Diary()
    _fit(run=Run(tmp_path / "run", resume=True, every=0, trackers=[diary]))
    assert diary.names == ["start"] + ["log"] * (8 + 2) + ["finish"]
    assert [step for step, _ in diary.logged("loss")] == list(range(8, 16))


def test_the_receipt_says_what_steps_took(tmp_path: Path) -> None:
    receipt = _fit(run=Run(tmp_path / "run", every=0)).card["training"]["receipt"]
    assert receipt["steps"] == receipt["synchronisations"] == 15
    assert 0 < receipt["of_them_waiting_for_rows"] < receipt["microseconds_a_step"]
    assert receipt["seconds_saving_checkpoints"] > 0
    assert "microseconds_of_a_bare_step" not in receipt
    assert Watch().receipt(0.0, 0.0) == {}


def test_looks_come_after_as_many_steps_as_fit_the_time() -> None:
    """By hand; a look takes no time here, so that each wait grows fourfold, to the most."""
    clock = Stopwatch(1e9, 50)
    assert clock.steps == 1
    waits = []
    for _ in range(5):
        clock.start()
        clock.stop(clock.steps)
        waits.append(clock.steps)
    assert waits == [4, 16, 50, 50, 50]
    hasty = Stopwatch(0.0, 50)
    hasty.start()
    hasty.stop(30)
    assert hasty.steps == 1


def test_a_bar_is_shown_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    _fit(progress=True)
    shown = capsys.readouterr().err
    assert "0/15 [" in shown
    assert "step/s" in shown
    _fit(progress=False)
    assert capsys.readouterr().err == ""
