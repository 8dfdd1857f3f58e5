"""The command fit, run by torchrun as two processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import maas


def test_two_processes_fit_one_model_and_say_so_once(wine_csv: Path, tmp_path: Path) -> None:
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "maas"]
    given = ["fit", wine_csv, "--target", "cultivar", "--epochs", "2", "--set", "hidden=[4]", "--device", "cpu"]
    done = subprocess.run(
        [*launch, *given, "--output", tmp_path / "wine"],
        env={**os.environ, "PYTHONPATH": str(Path(maas.__file__).parent.parent), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for line in ("Rows(178 x 13", "best of 2 epochs", "saved in", "over logistic regression"):
        assert done.stdout.count(line) == 1, done.stdout
    model = maas.load(tmp_path / "wine")
    assert model.card["training"]["processes"] == 2
    assert model.card["evaluation"]["num_rows"] == 36
