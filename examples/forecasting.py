"""The next steps of two series over HTTP: hares and the lynxes that eat them.

    python examples/forecasting.py

Makes its own data: counts by the equations of Rosenzweig and MacArthur (1963), with some noise. The last fifth of the
months is held out; no month that is to be forecast there was seen in training. Prints the scores beside simple
baselines, then asks the served model and compares its answers with those given in process. Half a minute on two
cores, without a GPU.
"""

import tempfile
from pathlib import Path

import numpy as np
import pandas

import maas


def counts(months: int, seed: int = 0) -> pandas.DataFrame:
    """A table of one month a line: month, hares and lynxes, in thousands."""
    generator = np.random.default_rng(seed)
    hares, lynxes, found = 1.0, 1.0, []
    for month in range(months):
        for _ in range(50):
            eaten = hares * lynxes / (1 + hares)
            hares += (hares * (1 - hares / 3.2) - eaten) / 50
            lynxes += (0.6 * eaten - 0.25 * lynxes) / 50
        hares, lynxes = np.array([hares, lynxes]) * np.exp(generator.normal(0, 0.04, 2))
        found.append((month, round(30 * hares, 2), round(30 * lynxes, 2)))
    return pandas.DataFrame(found, columns=["month", "hares", "lynxes"])


def main() -> None:
    rows = maas.data.windows(counts(1500), window=24, horizon=6, time="month")
    split = rows.split(test=0.2)
    train, test = split
    print(f"1. {rows}\n   {split.report}")

    recipe = maas.recipe(maas.nn.RNN, cell="lstm", hidden_size=48)
    model = maas.fit(recipe, train, epochs=40, learning_rate=0.003)
    evaluation = model.evaluate(test, baselines_from=train)
    print(f"2. {model}\n\n{evaluation}\n")

    with tempfile.TemporaryDirectory(prefix="maas-example-") as folder:
        artifact = model.save(Path(folder) / "hares", evaluation=evaluation)
        archive = maas.package(artifact, store=Path(folder) / "model_store")
        print(f"3. {archive.name}, {archive.stat().st_size:,} bytes; starting TorchServe ...")

        with maas.serve(archive.parent, models=["hares"]) as server, server.client("hares") as client:
            served = client.predict(test.to_dicts())
            print(f"4. {server.url} answered {len(served)} windows, by {served.model['name']}\n")
            print(f"   hares in the months from {test.side['begin'][0]:.0f} on, in thousands")
            for name, values in (("served", served[0]["values"]), ("truth", test.target[0])):
                print(f"   {name:<8}" + "".join(f"{hares:8.1f}" for hares, _ in values))
            equal = sum(one == other for one, other in zip(served, model.predict(test), strict=True))
            error = np.abs(np.array([one["values"] for one in served]) - test.target).mean()
            print(f"\n   measured over HTTP: mean absolute error {error:.2f}")
            print(f"   served and in-process answers equal to the last bit: {equal} of {len(test)}")
    print("5. TorchServe stopped")


if __name__ == "__main__":
    main()
