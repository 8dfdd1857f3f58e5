"""Normal sensor windows to alarms over HTTP: a bearing whose vibration loses its form.

    python examples/anomaly.py

Makes its own data: windows of two vibration channels, 20 to 40 steps each. An autoencoder learns from windows of normal
running only; the threshold of the alarm is chosen so that 2 % of normal windows pass it. Faults, a short knock in one
channel, are seen in the test alone. Prints the scores beside simple detectors, asks the served model for all test
windows and compares its answers with those given in process. A quarter of a minute on two cores, without a GPU.
"""

import tempfile
from pathlib import Path

import numpy as np

import maas


def windows(count: int, faults: int, seed: int) -> tuple[list[np.ndarray], list[str]]:
    """Windows of shape (steps, 2), and what each is: "normal", or "knock" for the last ones."""
    generator = np.random.default_rng(seed)
    series = []
    for index in range(count):
        steps = np.arange(generator.integers(20, 41))
        turn = steps / 3 + generator.uniform(0, 2 * np.pi)
        values = np.stack([np.sin(turn), np.cos(turn)], axis=1) + generator.normal(0, 0.1, (len(steps), 2))
        if index >= count - faults:
            place = generator.integers(0, len(steps) - 6)
            values[place : place + 6, 0] += generator.choice([-1.0, 1.0])
        series.append(values)
    return series, ["normal"] * (count - faults) + ["knock"] * faults


def main() -> None:
    normal = maas.data.read_sequences(windows(600, 0, seed=0)[0])  # no target: all of them are normal
    series, truth = windows(200, 50, seed=1)
    test = maas.data.read_sequences(series, target=truth, task="anomaly")
    print(f"1. {normal} to learn from, {test} to be measured on")

    recipe = maas.recipe(maas.nn.SequenceAutoEncoder, hidden_size=32, code=8)
    task = maas.task.Anomaly.with_options(normal="normal", false_alarms=0.02)
    model = maas.fit(recipe, normal, validation=0.25, task=task, epochs=20, learning_rate=0.01)
    evaluation = model.evaluate(test, baselines_from=normal)
    print(f"2. {model}: an alarm above an error of {model.task.threshold:.4f}\n\n{evaluation}\n")

    with tempfile.TemporaryDirectory(prefix="maas-example-") as folder:
        artifact = model.save(Path(folder) / "bearing", evaluation=evaluation)
        archive = maas.package(artifact, store=Path(folder) / "model_store")
        print(f"3. {archive.name}, {archive.stat().st_size:,} bytes; starting TorchServe ...")

        with maas.serve(archive.parent, models=["bearing"]) as server, server.client("bearing") as client:
            served = client.predict(test.to_dicts())
            print(f"4. {server.url} answered {len(served)} windows, by {served.model['name']}\n")
            print(f"   {'truth':<10}{'score (1 is the threshold)':<30}served answer")
            for row in (0, 1, 2, 197, 198, 199):
                answer = served[row]
                print(f"   {truth[row]:<10}{answer['score']:<30.3f}{'alarm' if answer['anomalous'] else '-'}")
            alarms = [one["anomalous"] for one in served]
            found, false = sum(alarms[150:]), sum(alarms[:150])
            print(f"\n   measured over HTTP: {found} of 50 faults found, {false} of 150 false alarms")
            equal = sum(one == other for one, other in zip(served, model.predict(test), strict=True))
            print(f"   served and in-process answers equal to the last bit: {equal} of {len(test)}")
    print("5. TorchServe stopped")


if __name__ == "__main__":
    main()
