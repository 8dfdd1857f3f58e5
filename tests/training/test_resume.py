"""A training that is killed ends with the weights of one left alone: the committed proof, at reduced count."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import maas

PROOF = Path(__file__).parents[2] / "benchmarks" / "faults" / "resume.py"


def test_kills_of_every_kind_change_no_weight() -> None:
    """Reference: the same training left alone. Six kills each of an MLP and an LSTM, two of each kind."""
    environment = {**os.environ, "PYTHONPATH": str(Path(maas.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, PROOF, "--kills", "6"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in done.stdout.splitlines()[2:]]
    assert [row[:4] for row in rows] == [["MLP", "2", "2", "2"], ["LSTM", "2", "2", "2"]]
    assert all(row[-4] == row[-3] and row[-2:] == ["yes", "yes"] for row in rows)
