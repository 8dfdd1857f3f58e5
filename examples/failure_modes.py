"""Several labels a row: which failures a milling machine is heading for, over HTTP.

    python examples/failure_modes.py

Makes its own table in the form of AI4I 2020 (Matzka, "Explainable Artificial Intelligence for Predictive Maintenance
Applications", 2020): quality of the product, two temperatures, speed, torque and tool wear, and by the rules published
there, failures by heat, power and overstrain, of which a machine may have several at once. Its other two are drawn at
random, which nobody can learn; how speed follows torque is our own. Failures are rare, so the threshold of each label
is chosen on validation rows, by F1. Prints the scores beside simple baselines, asks the served model for all test rows
and compares its answers with those given in process. A quarter of a minute on two cores, without a GPU.
"""

import tempfile
from pathlib import Path

import numpy as np
import pyarrow

import maas

FAILURES = ["heat", "power", "overstrain"]


def machines(count: int, seed: int = 0) -> pyarrow.Table:
    """One row a product, with a column of true and false for each kind of failure."""
    generator = np.random.default_rng(seed)

    def walk(deviation: float) -> np.ndarray:
        steps = generator.normal(size=count).cumsum()
        return (steps - steps.mean()) / steps.std() * deviation

    quality = generator.choice(["L", "M", "H"], count, p=[0.5, 0.3, 0.2])
    air = 300 + walk(2)  # K
    process = air + 10 + walk(1)
    torque = np.maximum(generator.normal(40, 10, count), 3)  # Nm
    speed = 1400 * np.exp(generator.normal(0, 0.05, count)) * (40 / torque) ** 0.35  # turns a minute
    speed += np.maximum(generator.normal(100, 60, count), 0)
    wear = np.select([quality == "H", quality == "M"], [5, 3], 2).cumsum() % 240  # minutes
    power = torque * speed * 2 * np.pi / 60  # W
    table = {"quality": quality, "air": air.round(1), "process": process.round(1)}
    table |= {"speed": speed.round(), "torque": torque.round(1), "wear": wear}
    table["heat"] = (process - air < 8.6) & (speed < 1380)
    table["power"] = (power < 3500) | (power > 9000)
    table["overstrain"] = wear * torque > np.select([quality == "L", quality == "M"], [11_000, 12_000], 13_000)
    return pyarrow.table(table)


def main() -> None:
    rows = maas.data.read_table(machines(3000), target=FAILURES)
    train, test = rows.split(test=0.16, seed=0)
    print(f"1. {rows}")

    task = maas.task.MultiLabel.with_options(threshold="f1")
    recipe = maas.recipe(maas.nn.MLP, hidden=(64, 64))
    model = maas.fit(recipe, train, validation=0.2, task=task, epochs=25, batch_size=64, learning_rate=0.003)
    evaluation = model.evaluate(test, baselines_from=train)
    chosen = ", ".join(
        f"{label} {one:.2f}" for label, one in zip(model.task.classes, model.task.thresholds, strict=True)
    )
    print(f"2. {model}, thresholds {chosen}\n\n{evaluation}\n")
    for label, scores in model.task.score_by_label(model.predict(test), test.target).items():
        found = f"precision {scores['precision']:.2f}, recall {scores['recall']:.2f}"
        print(f"   {label:<12}{scores['rows']:>4.0f} rows, {found}")

    with tempfile.TemporaryDirectory(prefix="maas-example-") as folder:
        artifact = model.save(Path(folder) / "failures", evaluation=evaluation)
        archive = maas.package(artifact, store=Path(folder) / "model_store")
        print(f"3. {archive.name}, {archive.stat().st_size:,} bytes; starting TorchServe ...")

        with maas.serve(archive.parent, models=["failures"]) as server, server.client("failures") as client:
            served = client.predict(test.to_dicts())
            print(f"4. {server.url} answered {len(served)} rows, by {served.model['name']}\n")
            print(f"   {'served answer':<26}truth")
            for row in [row for row, labels in enumerate(test.target) if labels][:6]:
                print(f"   {', '.join(served[row]['labels']) or 'none':<26}{', '.join(test.target[row])}")
            right = sum(one["labels"] == list(truth) for one, truth in zip(served, test.target, strict=True))
            print(f"\n   measured over HTTP: {right} of {len(test)} right in every label")
            equal = sum(one == other for one, other in zip(served, model.predict(test), strict=True))
            print(f"   served and in-process answers equal to the last bit: {equal} of {len(test)}")
    print("5. TorchServe stopped")


if __name__ == "__main__":
    main()
