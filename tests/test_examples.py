"""Every example runs, from an empty folder, and its served answers are those in process."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.py"))


@pytest.mark.parametrize("example", EXAMPLES, ids=[path.stem for path in EXAMPLES])
def test_an_example_runs(example: Path, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, example], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    equal = re.search(r"equal to the last bit: (\d+) of (\d+)", done.stdout)
    assert equal, done.stdout
    assert int(equal[1]) == int(equal[2]) > 0


@pytest.mark.parametrize("example", EXAMPLES, ids=[path.stem for path in EXAMPLES])
def test_an_example_is_short_and_says_how_to_run_it(example: Path) -> None:
    text = example.read_text()
    assert len(text.splitlines()) <= 120
    assert f"python examples/{example.name}" in text


def test_the_distributed_example_says_the_same_as_two_processes(tmp_path: Path) -> None:
    example = next(path for path in EXAMPLES if path.stem == "distributed")
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    said = [
        subprocess.run([*how, example], cwd=tmp_path, capture_output=True, text=True, check=True).stdout.splitlines()
        for how in ([sys.executable], launch)
    ]
    assert [lines.pop(0) for lines in said] == ["processes   1", "processes   2"]
    assert said[0] == said[1]
