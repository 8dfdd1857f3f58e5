"""Publishers that die lose nothing: the committed proof, at reduced count."""

import os
import subprocess
import sys
from pathlib import Path

import maas

PROOF = Path(__file__).parents[2] / "benchmarks" / "faults" / "registry.py"


def test_no_version_is_lost_or_overwritten_when_publishers_are_killed() -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(maas.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, PROOF, "--publishers", "3", "--versions", "8", "--kills", "12", "--seed", "1"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = dict(line.split(": ") for line in done.stdout.splitlines())
    assert found["versions in the registry"] == "24"
    assert int(found["killed"]) > 1
