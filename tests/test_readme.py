"""What the README shows is run, as a new user would, in an empty folder."""

import ast
import re
import sys
from pathlib import Path

import pytest

from .pages import blocks_of, run_shell
from .pages import run_command as run

README = Path(__file__).parent.parent / "README.md"


def blocks(language: str) -> list[str]:
    return [block.code for block in blocks_of(README, language)]


def scores(line: str) -> list[float]:
    return [float(number) for number in re.findall(r"\d+\.\d{4}", line)]


def test_the_first_screen_runs_and_prints_what_the_readme_says(tmp_path: Path) -> None:
    run(["maas", "sample", "wine", "--output", "wine.csv"], tmp_path)
    printed = run([sys.executable, "-c", blocks("python")[0]], tmp_path).splitlines()
    shown = blocks("text")[0].splitlines()
    assert len(printed) == len(shown)
    assert printed[0] == shown[0]
    for got, want in zip(printed[2:6], shown[2:6], strict=True):
        assert scores(got) == pytest.approx(scores(want), abs=0.06)  # one row of 36 is 0.028
    answer, example = ast.literal_eval(printed[-1]), ast.literal_eval(shown[-1])
    assert answer["label"] == example["label"]
    assert answer["probabilities"] == pytest.approx(example["probabilities"], abs=0.01)


@pytest.mark.timeout(600)  # on a busy machine the first ones, processes of their own, take their time
@pytest.mark.filterwarnings("default")  # as in a process of their own
def test_the_shell_commands_run(tmp_path: Path) -> None:
    commands, of_training, of_keeping = blocks("bash")
    printed = run_shell(commands, tmp_path)
    assert (tmp_path / "model_store" / "wine.mar").exists()
    assert printed.splitlines()[-1].startswith('{"label": 2, "probabilities": {"0": ')
    assert "suggested: " in run_shell(of_training, tmp_path)
    assert (tmp_path / "artifacts" / "wine2.run" / "history.csv").read_text().count("\n") == 51
    assert "production" in run_shell(of_keeping, tmp_path).splitlines()[-1]
    assert (tmp_path / "artifacts" / "wine-small" / "model.sig").exists()


def test_the_network_of_ones_own_runs(tmp_path: Path) -> None:
    run(["maas", "sample", "wine", "--output", "wine.csv"], tmp_path)
    assert float(run([sys.executable, "-c", blocks("python")[1]], tmp_path)) > 0.7


def test_a_network_trained_elsewhere_is_wrapped(tmp_path: Path) -> None:
    assert run([sys.executable, "-c", blocks("python")[2]], tmp_path).strip() in ("cat", "dog", "fox")
    assert "is whole" in run(["maas", "verify", "artifacts/pets"], tmp_path)
