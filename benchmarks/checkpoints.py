"""What a checkpoint every epoch costs, where an epoch takes a minute: `python benchmarks/checkpoints.py`. Ten minutes.

A network of 169 thousand parameters and one of 11 million train on the CPU, each for a few epochs, on as many rows as
take the time that `--seconds` says by a short trial. A checkpoint holds the weights, the optimizer's two averages and
the best weights so far; it is written, read back and checked while training waits, which is the time that is counted:
`model.card["training"]["receipt"]`.
"""

import argparse
import statistics
import tempfile
import warnings
from pathlib import Path

from contenders import fit
from reference_loops import Plan
from workloads import WORKLOADS, as_rows

import maas

TRIAL = 0.1  # of the usual rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workloads", nargs="+", choices=WORKLOADS, default=["lstm", "resnet"])
    parser.add_argument("--seconds", type=float, default=60.0, help="that an epoch is to take, about")
    parser.add_argument("--epochs", type=int, default=3)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    print("| network | parameters | epoch, s | checkpoint, MB | checkpoints | seconds each | share of an epoch |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for name in options.workloads:
            scale = TRIAL * options.seconds / epoch_seconds(train(name, TRIAL, 2))
            run = maas.Run(Path(folder, name), every=0.8 * options.seconds, keep=10 * options.epochs)
            print(row(name, train(name, scale, options.epochs, run), run), flush=True)


def train(name: str, scale: float, epochs: int, run: maas.Run | None = None) -> maas.Model:
    workload = WORKLOADS[name]
    train, validation = (as_rows(*part) for part in workload.raw("cpu", scale))
    return fit(workload, (train, validation), Plan(epochs, workload.batch_size, "cpu", "float32"), run=run)


def epoch_seconds(model: maas.Model) -> float:
    """The median over the epochs but the first."""
    return statistics.median(one["seconds"] for one in model.card["training"]["history"][1:])


def row(name: str, model: maas.Model, run: maas.Run) -> str:
    """A line of the table."""
    written = list(Path(run.folder, "checkpoints").iterdir())
    size = sum(file.stat().st_size for file in written[-1].rglob("*") if file.is_file()) / 1e6
    each = model.card["training"]["receipt"]["seconds_saving_checkpoints"] / len(written)
    parameters = sum(parameter.numel() for parameter in model.network.parameters())
    return (
        f"| {name} | {parameters:,} | {epoch_seconds(model):.1f} | {size:.1f} | {len(written)} | "
        f"{each:.2f} | {100 * each / epoch_seconds(model):.2f} % |"
    )


if __name__ == "__main__":
    main()
