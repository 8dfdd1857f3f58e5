"""Every example runs from an empty folder, prints what its header shows, and serves what it answers in process."""

import ast
import functools
import json
import os
import re
import runpy
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import maas

FOLDER = Path(__file__).parent.parent / "examples"
EXAMPLES = sorted(FOLDER.glob("*.py"))
every_example = pytest.mark.parametrize("example", EXAMPLES, ids=[path.stem for path in EXAMPLES])
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


@pytest.fixture(scope="module")
def printed_by() -> Iterator[Callable[[Path], str]]:
    """Gives what an example prints; it runs once, whoever asks."""
    with subprocess.Popen(
        [sys.executable, Path(__file__).with_name("forks.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as forks:
        asks, answers = forks.stdin, forks.stdout
        assert asks
        assert answers

        @functools.cache
        def run(example: Path) -> str:
            with tempfile.TemporaryDirectory() as empty, tempfile.NamedTemporaryFile("r") as said:
                asks.write(json.dumps({"script": str(example), "folder": empty, "said": said.name}) + "\n")
                asks.flush()
                try:
                    status, text = answers.readline(), said.read()
                except BaseException:  # the time is up, and the next answer would be taken for another example's
                    os.killpg(forks.pid, signal.SIGKILL)
                    raise
            assert status == "0\n", text
            return text

        yield run
        os.killpg(forks.pid, signal.SIGKILL)


def header(example: Path) -> str:
    return str(ast.get_docstring(ast.parse(example.read_text())))


def without_numbers(line: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"-?\d[\d.,]*", "#", line)).strip()


@every_example
def test_an_example_runs(example: Path, printed_by: Callable[[Path], str]) -> None:
    equal = re.search(r"equal to the last bit: (\d+) of (\d+)", printed_by(example))
    assert equal, printed_by(example)
    assert int(equal[1]) == int(equal[2]) > 0


@every_example
def test_an_example_prints_what_its_header_shows(example: Path, printed_by: Callable[[Path], str]) -> None:
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


def test_the_distributed_example_says_the_same_as_two_processes(
    printed_by: Callable[[Path], str], tmp_path: Path
) -> None:
    example = FOLDER / "distributed.py"
    command = [sys.executable, *TORCHRUN, str(example)]
    two = subprocess.run(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True, check=True).stdout
    said = [one.splitlines() for one in (printed_by(example), two)]
    assert [lines.pop(0) for lines in said] == ["processes   1", "processes   2"]
    assert said[0] == said[1]
