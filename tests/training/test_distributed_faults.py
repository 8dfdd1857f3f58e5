"""Training under torchrun where a process is killed, told to stop, or fails."""

from __future__ import annotations

import json
import signal
from pathlib import Path

from .together import CASES, start, wait_for

STOPPED = """
import os, signal, time
place, slowly = Path(sys.argv[1]), len(sys.argv) > 2
attempt, steps, armed = int(os.environ["TORCHELASTIC_RESTART_COUNT"]), 0, not slowly

def stumbling(batch, index, seed, epoch):
    global steps
    steps += 1
    if slowly:
        time.sleep(0.05)
    if armed and attempt < 2 and rank() == 1 - attempt and steps == 13:
        os.kill(os.getpid(), signal.SIGKILL)
    return batch

def run(**more):
    more |= {"epochs": 8, "augment": stumbling, "ema": 0.9, "workers": 1 if slowly else None}
    return told("batch statistics", fit("batch statistics", **more))

if __name__ == "__main__":
    found = {"resumed": run(run=maas.Run(place / "run", resume=True, every=3600 if slowly else 0))}
    armed = False
    found |= {"uninterrupted": run(), "attempt": attempt}
    (place / f"{rank()}.json").write_text(json.dumps(found))
"""


def test_a_run_told_to_stop_and_killed_twice_ends_with_the_same_bits(tmp_path: Path) -> None:
    """SIGTERM to torchrun saves; then, restarted by torchrun, first one process is killed, then the other.

    The reference is the same run of two processes, undisturbed. What is told to stop has workers that make rows ready.
    """
    script, history = tmp_path / "stopped.py", tmp_path / "run" / "history.csv"
    script.write_text(CASES + STOPPED)
    process = start(script, tmp_path, "slowly")
    wait_for(lambda: history.is_file() and len(history.read_text().splitlines()) > 1)
    assert not (tmp_path / "run" / "latest").exists()
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=60)
    assert process.returncode != 0
    assert output.count("maas: saved after step ") == 1, output
    assert (tmp_path / "run" / "latest").exists()

    process = start(script, tmp_path, options=("--max-restarts", "2"))
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    for found in (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1)):
        assert found["attempt"] == 2
        assert found["resumed"]["sha256"] == found["uninterrupted"]["sha256"]
        assert found["resumed"]["losses"] == found["uninterrupted"]["losses"]


def test_an_error_in_one_process_ends_the_others(tmp_path: Path) -> None:
    """torchrun ends them; the one without the error waits for it in its first step."""
    script = tmp_path / "one.py"
    script.write_text(CASES + 'fit("table", ema=0.9 if rank() == 0 else 9)')
    process = start(script)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "DataError: `ema` must be at least 0 and below 1, got 9" in output
