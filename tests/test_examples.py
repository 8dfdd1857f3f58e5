"""Every example runs from an empty folder, prints what its header shows, and serves what it answers in process."""

import ast
import functools
import re
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import maas

FOLDER = Path(__file__).parent.parent / "examples"
EXAMPLES = sorted(FOLDER.glob("*.py"))
every_example = pytest.mark.parametrize("example", EXAMPLES, ids=[path.stem for path in EXAMPLES])
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


@functools.cache
def printed_by(example: Path, *launcher: str) -> str:
    """What an example prints; it runs once, whoever asks."""
    with tempfile.TemporaryDirectory() as empty:
        command = [sys.executable, *launcher, example]
        done = subprocess.run(command, cwd=empty, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def header(example: Path) -> str:
    return str(ast.get_docstring(ast.parse(example.read_text())))


def without_numbers(line: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"-?\d[\d.,]*", "#", line)).strip()


@every_example
def test_an_example_runs(example: Path) -> None:
    equal = re.search(r"equal to the last bit: (\d+) of (\d+)", printed_by(example))
    assert equal, printed_by(example)
    assert int(equal[1]) == int(equal[2]) > 0


@every_example
def test_an_example_prints_what_its_header_shows(example: Path) -> None:
    says = r"In about \d+ seconds on two cores, without a GPU, it prints in short:\n\n((?: {4}.*\n?)+)"
    shown = re.search(says, header(example))
    assert shown, "the header says how long it takes and what it prints"
    printed = {without_numbers(line) for line in printed_by(example).splitlines()}
    lines = [line for line in map(without_numbers, shown[1].splitlines()) if line != "..."]
    assert len(lines) >= 2
    assert [line for line in lines if line not in printed] == []


@every_example
def test_an_example_is_short_and_says_how_to_run_it(example: Path) -> None:
    assert len(example.read_text().splitlines()) <= 120
    assert f"python examples/{example.name}" in header(example)
    assert f"[{example.name}]({example.name})" in (FOLDER / "README.md").read_text()


@every_example
def test_an_example_takes_data_of_ones_own_and_says_where_there_is_none(
    example: Path, wine_artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = ["--model", str(wine_artifact)] if example.stem == "batch_scoring" else []
    monkeypatch.setattr(sys, "argv", [str(example), "no/such.parquet", *more])
    with pytest.raises((maas.MaasError, FileNotFoundError), match=r"no/such.parquet"):
        runpy.run_path(str(example), run_name="__main__")


def test_the_distributed_example_says_the_same_as_two_processes() -> None:
    example = FOLDER / "distributed.py"
    said = [printed_by(example, *launcher).splitlines() for launcher in ((), TORCHRUN)]
    assert [lines.pop(0) for lines in said] == ["processes   1", "processes   2"]
    assert said[0] == said[1]
