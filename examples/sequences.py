"""Sequences of different lengths to answers over HTTP: which of three machines is running, by its vibration.

    python examples/sequences.py                      recordings that it makes: two noisy channels, some steps lost
    python examples/sequences.py my.ts                your own: a .ts file with labels,
    python examples/sequences.py my.csv --id recording --time step --target machine     or a table of one step a line

Prints what was learned, its scores beside simple baselines on the 25 % of recordings held out, then asks the served
model for all of these and compares its answers with those given in process.

In about 20 seconds on two cores, without a GPU, it prints in short:

                            accuracy  precision     recall         f1    roc_auc   log_loss        ece
    this model                0.9800     0.9811     0.9800     0.9801     0.9999     0.0450     0.0186
    boosted trees             0.3667     0.3616     0.3667     0.3598     0.5485     1.7476     0.3837
    measured over HTTP: 147 of 150 right
    served and in-process answers equal to the last bit: 150 of 150
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np

import maas

MACHINES = {"pump": (0.45, 0.9), "fan": (0.6, 0.6), "mill": (0.75, 0.45)}  # turns a step of the two channels


def recordings(count: int, seed: int = 0) -> tuple[list[np.ndarray], list[str]]:
    """Recordings of shape (steps, 2), NaN where a step was lost, and the machine that each is of."""
    generator = np.random.default_rng(seed)
    series, machines = [], []
    for index in range(count):
        machine = list(MACHINES)[index % len(MACHINES)]
        steps = np.arange(generator.integers(20, 61))[:, None]
        values = np.sin(steps * MACHINES[machine] + generator.uniform(0, 6, 2)) * generator.uniform(0.5, 2)
        values += generator.normal(0, 0.4, values.shape)
        values[generator.random(len(values)) < 0.03] = np.nan
        series.append(values)
        machines.append(machine)
    return series, machines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", help="a .ts file, or a table of one step a line")
    parser.add_argument("--id", help="the column that says which recording a line belongs to")
    parser.add_argument("--time", help="the column to put steps in order by")
    parser.add_argument("--target", help="the column to predict")
    options = parser.parse_args()

    if options.data:
        rows = maas.data.read_sequences(options.data, target=options.target, id=options.id, time=options.time)
    else:
        series, machines = recordings(600)
        rows = maas.data.read_sequences(series, target=machines)
    train, test = rows.split(test=0.25, seed=0)
    lengths, channels = [len(one) for one in rows.columns["sequence"]], rows.schema["sequence"].shape[1]
    print(f"1. {rows}, {min(lengths)} to {max(lengths)} steps of {channels} channels")

    recipe = maas.recipe(maas.nn.RNN, cell="lstm", hidden_size=32, bidirectional=True, pooling="max")
    model = maas.fit(recipe, train, epochs=20, learning_rate=0.005)
    evaluation = model.evaluate(test, baselines_from=train)
    print(f"2. {model}\n\n{evaluation}\n")

    with tempfile.TemporaryDirectory(prefix="maas-example-") as folder:
        artifact = model.save(Path(folder) / "machines", evaluation=evaluation)
        archive = maas.package(artifact, store=Path(folder) / "model_store")
        print(f"3. {archive.name}, {archive.stat().st_size:,} bytes; starting TorchServe ...")

        with maas.serve(archive.parent, models=["machines"]) as server, server.client("machines") as client:
            served = client.predict(test.to_dicts())
            print(f"4. {server.url} answered {len(served)} recordings, by {served.model['name']}\n")
            print(f"   {'steps':>5}  {'served answer':<15}{'truth':<10}")
            for steps, answer, truth in list(zip(test.columns["sequence"], served, test.target, strict=True))[:6]:
                print(f"   {len(steps):>5}  {answer['label']!s:<15}{truth}")
            right = sum(one["label"] == truth for one, truth in zip(served, test.target, strict=True))
            equal = sum(one == other for one, other in zip(served, model.predict(test), strict=True))
            print(f"\n   measured over HTTP: {right} of {len(test)} right")
            print(f"   served and in-process answers equal to the last bit: {equal} of {len(test)}")
            try:
                client.predict({"sequence": [[0.0] * (channels + 1)]})
            except maas.MaasError as error:
                print(f"   a recording of {channels + 1} channels: {error}")
        print("5. TorchServe stopped")


if __name__ == "__main__":
    main()
