"""`maas fit`: where it keeps a run, how it ends, and how it goes on."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import maas
from maas.cli import _prove
from maas.cli._fit_parser import _FIT
from maas.cli._parser import build_parser
from maas.errors import RunError
from maas.training import Run

from .conftest import Capture, run

TRAIN = ["fit", "wine.csv", "--target", "cultivar", "--epochs", "3", "--batch-size", "16", "--output", "a/wine"]
COMMAND = [sys.executable, "-P", "-m", "maas"]
SLOW = """
import os, time, maas

@maas.network("test.slow")
class Slow(maas.nn.MLP):
    steps = 0

    def __call__(self, *values, **inputs):
        first, later = map(float, os.environ.get("SLOW", "0,0").split(","))
        time.sleep(later if Slow.steps else first)
        Slow.steps += self.training
        return super().__call__(*values, **inputs)
"""


@pytest.fixture(autouse=True)
def in_a_folder_with_wine(tmp_path: Path, wine_csv: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(wine_csv, "wine.csv")
    monkeypatch.setenv("PYTHONPATH", str(Path(maas.__file__).parents[1]))


@pytest.fixture
def slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A training whose first step, and whose later ones, take as many seconds more as SLOW in the environment says."""
    (tmp_path / "slow_for_cli.py").write_text(SLOW)
    yield [*TRAIN, "--import", "slow_for_cli", "--network", "test.slow", "--set", "dropout=0.2"]
    from maas.nn import _register

    _register._REGISTER.pop("test.slow", None)
    sys.modules.pop("slow_for_cli", None)


def interrupted(arguments: list[str], number: signal.Signals, *, slow: str = "0.1,0.1") -> subprocess.Popen[str]:
    """A training that was sent a signal after its first steps."""
    process = subprocess.Popen(
        [*COMMAND, *arguments, "--every", "0"],
        env={**os.environ, "SLOW": slow},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    before = checkpoints()
    while checkpoints() == before:
        if process.poll() is not None:
            raise AssertionError(process.communicate())
        time.sleep(0.01)
    process.send_signal(number)
    return process


def checkpoints() -> list[str]:
    return sorted(path.name for path in Path("a/wine.run/checkpoints").glob("step-*"))


def test_a_run_is_kept_beside_the_model(capsys: Capture) -> None:
    code, out, _ = run(capsys, *TRAIN)
    assert code == 0
    steps = re.search(r"\n(\d+) steps of [\d,]+ us each, \d+ of them waiting for rows; \d+ looks at the device\n", out)
    assert steps
    assert steps[1] == "24"  # 128 rows in batches of 16, three times
    assert {path.name for path in Path("a/wine.run").iterdir()} == {
        ".lock",
        "checkpoints",
        "history.csv",
        "latest",
        "run.json",
    }
    assert len(Path("a/wine.run/history.csv").read_text().splitlines()) == 4
    assert run(capsys, *TRAIN, "--learning-rate", "0.01")[0] == 0  # ended and saved: replaced
    assert json.loads(Path("a/wine.run/run.json").read_text())["settings"]["learning_rate"] == 0.01


def test_a_run_that_ended_goes_on_only_where_its_model_would_be_lost(capsys: Capture) -> None:
    assert run(capsys, *TRAIN)[0] == 0
    weights = Path("a/wine/model.safetensors").read_bytes()
    shutil.rmtree("a/wine")
    code, _, error = run(capsys, *TRAIN)
    assert code == 2
    assert "a/wine.run holds a run whose model is not in a/wine; --resume saves it, or remove the folder" in error
    assert run(capsys, *TRAIN, "--resume")[0] == 0
    assert Path("a/wine/model.safetensors").read_bytes() == weights
    assert maas.load("a/wine").card["training"]["receipt"] == {}  # no step was taken


def test_a_run_in_a_folder_of_ones_own_is_never_replaced(capsys: Capture) -> None:
    given = [*TRAIN, "--run-folder", "runs/one"]
    assert run(capsys, *given)[0] == 0
    assert not Path("a/wine.run").exists()
    code, _, error = run(capsys, *given)
    assert code == 2
    assert "--run-folder: runs/one holds a run already; --resume gives its model, or choose another folder" in error
    assert run(capsys, *given, "--resume")[0] == 0


def test_an_interrupted_training_goes_on_to_the_bit(slow: list[str], capsys: Capture) -> None:
    """SIGTERM, then Ctrl-C. Reference: the same command left alone."""
    stopped = interrupted(slow, signal.SIGTERM)
    out, error = stopped.communicate(timeout=60)
    assert stopped.returncode == 143
    assert "saved in" not in out
    assert error == f"maas: saved after step {int(checkpoints()[-1][5:])} in a/wine.run; resume goes on from there\n"
    code, _, error = run(capsys, *slow)
    assert code == 2
    assert "a/wine.run holds a run that was interrupted; go on with it by --resume, or remove the folder" in error
    code, _, error = run(capsys, *slow, "--run-folder", "a/wine.run")
    assert code == 2
    assert "--run-folder: a/wine.run holds a run already; go on with it by --resume, or choose another folder" in error

    stopped = interrupted([*slow, "--resume", "--json"], signal.SIGINT)
    out, error = stopped.communicate(timeout=60)
    assert stopped.returncode == 130
    assert out == ""
    step = int(checkpoints()[-1][5:])
    assert error == f"maas: saved after step {step} in a/wine.run; resume goes on from there\nmaas: interrupted\n"
    assert 2 <= step < 24

    assert run(capsys, *slow, "--resume")[0] == 0
    ours = Path("a/wine/model.safetensors").read_bytes()
    shutil.rmtree("a")
    assert run(capsys, *slow)[0] == 0
    assert Path("a/wine/model.safetensors").read_bytes() == ours


def test_a_second_ctrl_c_ends_a_training_at_once(slow: list[str]) -> None:
    """The second step takes ten minutes; the test does not."""
    process = interrupted(slow, signal.SIGINT, slow="0,600")
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=0.5)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert error == "maas: interrupted\n"
    assert checkpoints() == ["step-0000000001"]


def test_every_setting_reaches_the_training(capsys: Capture) -> None:
    code, _, _ = run(
        capsys, *TRAIN, "--optimizer", "sgd", "--momentum", "0.8", "--accumulate", "2", "--clip-norm", "1.5",
        "--schedule", "cosine", "--warmup", "0.1", "--ema", "0.9", "--precision", "bfloat16", "--keep", "last",
        "--non-finite", "skip", "--workers", "0", "--validation", "0", "--distribute", "ddp", "--speed", "eager",
        "--tensorboard", "board",
    )  # fmt: skip
    assert code == 0
    card = maas.load("a/wine").card
    wanted = {
        "optimizer": {"kind": "sgd", "momentum": 0.8, "nesterov": False},
        "accumulate": 2,
        "clip_norm": 1.5,
        "ema": 0.9,
        "precision": "bfloat16",
        "keep": "last",
        "non_finite": "skip",
        "speed": {"chosen": "eager"},
    }
    assert {name: card["training"][name] for name in wanted} == wanted
    assert card["training"]["schedule"]["kind"] == "cosine"
    assert card["training"]["schedule"]["warmup"] == 0.1
    assert card["data"]["num_validation_rows"] == 0
    assert len(list(Path("board").iterdir())) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--momentum", "0.8"], "--momentum is an option of --optimizer sgd, not of adamw; leave it out"),
        (["--schedule", "sinus"], "`schedule` must be one of constant, cosine"),
        (["--warmup", "1"], "`warmup` must be at least 0 and below 1, got 1.0"),
        (["--every", "-1"], "`every` must be seconds, 0 or more, got -1.0"),
        (["--accumulate", "0"], "`accumulate` must be a positive integer, got 0"),
        (["--validation", "1"], "`validation` is rows, or a share of `train` from 0 to below 1, got 1"),
        (["--validation", "0"], 'without a validation part there is no best epoch: give keep="last"'),
        (["--distribute", "fsdp"], "start this under torchrun"),
        (["--run-folder", "wine.csv"], "wine.csv is not a folder; give the folder of the run"),
        (["--run-folder", "."], "is not the folder of a run: it holds 'a'; choose another"),
    ],
)
def test_an_option_that_cannot_be_used_is_told(arguments: list[str], message: str, capsys: Capture) -> None:
    code, _, error = run(capsys, *TRAIN, *arguments)
    assert code == 2
    assert message in error
    assert not Path("a/wine").exists()


def test_under_torchrun_one_process_prints_saves_and_evaluates(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RANK is what torchrun tells a process; that these train together is tested elsewhere."""
    monkeypatch.setenv("RANK", "1")
    assert run(capsys, *TRAIN) == (0, "", "")
    assert not Path("a/wine").exists()


def test_resume_is_proven_on_this_machine(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """By real kills; 27 rows a step make an epoch of 5 steps, so two ends are passed."""
    monkeypatch.setattr(tempfile, "tempdir", str(Path("scratch").absolute()))  # of this test alone
    Path("scratch").mkdir()
    code, out, _ = run(capsys, *TRAIN, "--prove-resume", "--batch-size", "27", "--ema", "0.9", "--set", "dropout=0.3")
    assert code == 0
    lines = out.splitlines()
    assert lines[2] == "trained for 12 steps without interruption"
    assert [line.split(" step ")[0] for line in lines[3:5]] == ["the same, killed after"] * 2
    assert lines[-1] == "resume is exact on this machine"
    assert not Path("a").exists()
    assert list(Path("scratch").iterdir()) == []


def test_what_differs_is_named(tmp_path: Path) -> None:
    """Two runs from different seeds, whose number of batches is the same."""
    rows = np.random.default_rng(0).normal(size=(40, 3)), np.arange(40) % 2
    recipe = maas.recipe(maas.nn.MLP, hidden=(4,), normalization="batch")
    for seed in (0, 1):
        with pytest.raises(SystemExit):
            maas.fit(recipe, rows, run=Run(str(seed), stop_after=2), seed=seed, device="cpu", progress=False)
    digests, differing = _prove._compared(Path("0"), Path("1"), 2)
    assert digests[0] != digests[1]
    assert "network.output.weight" in differing
    assert not [name for name in differing if name.endswith("num_batches_tracked")]
    assert _prove._compared(Path("0"), Path("0"), 2) == ([digests[0]] * 2, [])


def test_a_proof_needs_processes_of_its_own(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    code, _, error = run(capsys, *TRAIN, "--prove-resume")
    assert code == 2
    assert "--prove-resume starts processes of its own; call it without torchrun" in error


def test_a_training_that_fails_proves_nothing() -> None:
    child = [sys.executable, "-c", "import sys; sys.exit('maas: no')"]
    with pytest.raises(RunError, match="the training ended with exit code 1: maas: no"):
        _prove._finish(subprocess.Popen(child, stderr=subprocess.PIPE, text=True))


def test_the_help_tells_exit_codes_and_hides_what_is_not_for_people() -> None:
    text = build_parser().format_help()
    assert "  130  interrupted\n" in text
    assert "  143  told to end (SIGTERM)" in text
    assert "--prove-resume" in _FIT
