"""Hostile and broken requests: the committed proof, at reduced count."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import maas

FUZZ = Path(__file__).parents[2] / "benchmarks" / "faults" / "fuzz.py"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--in-process", "2000"], "in process: 2,"),
        (["--http", "400", "--model", "mixed"], "the worker is still process"),
    ],
)
def test_each_request_gets_its_answer_and_its_neighbours_theirs(arguments: list[str], says: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(maas.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, FUZZ, "--seed", "1", *arguments], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert says in done.stdout
    assert "422 bad-row" in done.stdout
