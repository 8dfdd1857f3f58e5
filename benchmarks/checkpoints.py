"""What it costs to keep a run: a checkpoint a minute, where an epoch takes one.

    python benchmarks/checkpoints.py                                 four to seven minutes on two cores
    python benchmarks/checkpoints.py --seconds 6 --epochs 2          half a minute, for a look

An MLP of ten million parameters learns from noise on the CPU, on as many rows as a short trial says an epoch of
`--seconds` takes. A checkpoint holds the weights, the optimizer's two averages and the best weights so far; it is
copied, written, flushed to the disk, read back and checked while training waits. That time is what is counted, from the
receipt on the model's card, as a share of all epochs. The promise is at most 3.5 %; above it the exit code is 1.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

import maas
from maas.data import Rows, from_arrays
from maas.training import Run

PROMISED_SHARE = 0.035
FEATURES, CLASSES, BATCH = 256, 10, 128
HIDDEN = (2400, 2400, 1400)
TRIAL_STEPS = 40


def noise(steps: int) -> Rows:
    """Rows for so many steps an epoch, and a batch to judge it by."""
    generator = np.random.default_rng(0)
    num_rows = (steps + 1) * BATCH
    x = generator.normal(size=(num_rows, FEATURES)).astype(np.float32)
    return from_arrays(x, generator.integers(0, CLASSES, num_rows))


def train(steps: int, epochs: int, run: Run | None = None) -> maas.Model:
    rows = noise(steps)
    parts = rows.take(range(steps * BATCH)), rows.take(range(steps * BATCH, len(rows)))
    recipe = maas.recipe(maas.nn.MLP, hidden=HIDDEN)
    return maas.fit(recipe, *parts, epochs=epochs, batch_size=BATCH, run=run, device="cpu", progress=False)


def seconds(model: maas.Model) -> list[float]:
    return [one["seconds"] for one in model.card["training"]["history"]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, metavar="S", help="an epoch (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=3, metavar="N", help="(default: %(default)s)")
    parser.add_argument("--folder", metavar="DIR", help="on the disk to measure (default: that of temporary files)")
    options = parser.parse_args()
    steps = round(TRIAL_STEPS * options.seconds / seconds(train(TRIAL_STEPS, 2))[-1])
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        run = Run(Path(folder, "run"), every=options.seconds, keep=10 * options.epochs)
        model = train(steps, options.epochs, run)
        written = sorted(Path(folder, "run", "checkpoints").glob("step-*"))
        size = sum(file.stat().st_size for file in written[-1].iterdir())
    saving, whole = model.card["training"]["receipt"]["seconds_saving_checkpoints"], sum(seconds(model))
    parameters = sum(parameter.numel() for parameter in model.network.parameters())
    print("| parameters | threads | epochs, s | checkpoints | each, MB | each, s | share of the training |")
    print("| --- " * 7 + "|")
    print(
        f"| {parameters:,} | {torch.get_num_threads()} of {os.cpu_count()} | "
        f"{', '.join(f'{one:.1f}' for one in seconds(model))} | {len(written)} | {size / 1e6:.0f} | "
        f"{saving / len(written):.2f} | {saving / whole:.2%} |"
    )
    sys.exit(0 if saving <= PROMISED_SHARE * whole else 1)


if __name__ == "__main__":
    main()
