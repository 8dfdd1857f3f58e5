"""A table of normal rows to alarms over HTTP: tumours that are unlike the benign ones.

    python examples/anomaly.py                                       scikit-learn's bundled table
    python examples/anomaly.py my.csv --target state --normal ok     your own: the column that says what a row is

An autoencoder learns from normal rows only, and never sees another kind. The threshold of the alarm is chosen on normal
rows, so that at most 5 % of such rows pass it. Other kinds of row are met in the test alone. For sequences see
manufacturing_sensors.py.

In about 15 seconds on two cores, without a GPU, it prints in short:

    2. Model(autoencoder, 30 fields -> diagnosis (anomaly)): an alarm above an error of 1.1610
                              roc_auc  average_precision  precision     recall         f1  false_alarm_rate
    this model                 0.9298             0.9115     0.9231     0.7059     0.8000            0.0350
    distance to the mean       0.9503             0.9253     0.9385     0.7176     0.8133            0.0280
    measured over HTTP: 60 of 85 unusual rows found, 5 of 143 false alarms
    served and in-process answers equal to the last bit: 228 of 228
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np

import maas


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", help="a .csv, .tsv or .parquet file")
    parser.add_argument("--target", help="the column that says what a row is")
    parser.add_argument("--normal", help="what it says of a normal one")
    parser.add_argument("--false-alarms", type=float, default=0.05, help="share of normal rows that may raise an alarm")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory(prefix="maas-example-") as folder:
        work = Path(folder)
        data, target, normal = options.data, options.target, options.normal
        if data is None:
            data, target = maas.data.write_sample("breast_cancer", work / "breast_cancer.csv"), "diagnosis"
            normal = "benign"
        rows = maas.data.read_table(data, target=target, task="anomaly")
        known, test = rows.split(test=0.4, seed=0)
        train = known.take(np.flatnonzero(known.target == normal))
        print(f"1. {train} to learn from, all of them {normal}; {len(test)} to be measured on")

        recipe = maas.recipe(maas.nn.AutoEncoder, hidden=(32,), code=6)
        task = maas.task.Anomaly.with_options(normal=normal, false_alarms=options.false_alarms)
        model = maas.fit(recipe, train, validation=0.3, task=task, epochs=60, learning_rate=0.003)
        evaluation = model.evaluate(test, baselines_from=train)
        print(f"2. {model}: an alarm above an error of {model.task.threshold:.4f}\n\n{evaluation}\n")

        archive = maas.package(model.save(work / "unlike", evaluation=evaluation), store=work / "model_store")
        print(f"3. {archive.name}, {archive.stat().st_size:,} bytes; starting TorchServe ...")
        with maas.serve(archive.parent, models=["unlike"]) as server:
            served = server.client("unlike").predict(test.to_dicts())
            print(f"4. {server.url} answered {len(served)} rows, by {served.model['name']}\n")
            print(f"   {'truth':<15}{'score (1 is the threshold)':<30}served answer")
            for truth, answer in list(zip(test.target, served, strict=True))[:6]:
                print(f"   {truth!s:<15}{answer['score']:<30.3f}{'alarm' if answer['anomalous'] else '-'}")
            alarms, unusual = served["anomalous"], test.target != normal
            print(f"\n   measured over HTTP: {alarms[unusual].sum()} of {unusual.sum()} unusual rows found,", end=" ")
            print(f"{alarms[~unusual].sum()} of {(~unusual).sum()} false alarms")
            equal = sum(one == other for one, other in zip(served, model.predict(test), strict=True))
            print(f"   served and in-process answers equal to the last bit: {equal} of {len(test)}")
        print("5. TorchServe stopped")


if __name__ == "__main__":
    main()
