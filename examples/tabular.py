"""A table to answers over HTTP: breast tumours, benign or malignant.

    python examples/tabular.py                         scikit-learn's bundled table
    python examples/tabular.py my.csv --target churn   your own

Prints what was learned, its scores beside simple baselines on the 20 % of rows held out, then asks the served model
for all of these rows and compares its answers with the truth and with those given in process.

In about 15 seconds on two cores, without a GPU, it prints in short:

                            accuracy  precision     recall         f1    roc_auc   log_loss        ece
    this model                0.9649     0.9750     0.9286     0.9512     0.9947     0.1009     0.0487
    logistic regression       0.9737     0.9756     0.9524     0.9639     0.9934     0.0922     0.0359
    boosted trees             0.9649     0.9524     0.9524     0.9524     0.9901     0.1259     0.0276
    measured over HTTP: 110 of 114 right, accuracy 0.9649
    served and in-process answers equal to the last bit: 114 of 114
"""

import argparse
import tempfile
from pathlib import Path

import maas


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", help="a .csv, .tsv or .parquet file")
    parser.add_argument("--target", help="the column to predict")
    parser.add_argument("--drop", help="columns to leave out, such as names and numbers of rows, divided by commas")
    parser.add_argument("--name", default="tumours", help="of the served model")
    parser.add_argument("--report", metavar="FILE", help="write the scores as an HTML page too")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory(prefix="maas-example-") as folder:
        work = Path(folder)
        data, target = options.data, options.target
        if data is None:
            data, target = maas.data.write_sample("breast_cancer", work / "breast_cancer.csv"), "diagnosis"

        drop = options.drop.split(",") if options.drop else []
        rows = maas.data.read_table(data, target=target, drop=drop)
        train, test = rows.split(test=0.2, seed=0)
        print(f"1. {rows}")

        recipe = maas.recipe(maas.nn.MLP, hidden=(64, 64), normalization="batch", dropout=0.2)
        model = maas.fit(recipe, train, epochs=60, weight_decay=1.0)
        evaluation = model.evaluate(test, baselines_from=train)
        print(f"2. {model}\n\n{evaluation}\n")

        if options.report:
            print(f"   {maas.report(evaluation, options.report, model=model, test=test)}: open it in a browser\n")

        artifact = model.save(work / options.name, evaluation=evaluation)
        archive = maas.package(artifact, store=work / "model_store")
        print(f"3. {archive.name}, {archive.stat().st_size:,} bytes; starting TorchServe ...")

        with maas.serve(work / "model_store", models=[options.name]) as server:
            client = server.client(options.name)
            served = client.predict(test.to_dicts())
            print(f"4. {server.url} answered {len(served)} rows, by {served.model['name']} {served.model['version']}\n")
            show(served, test, model.predict(test))
        print("5. TorchServe stopped")


def show(served: list[dict], test: maas.data.Rows, in_process: maas.Answers) -> None:
    """Print served answers beside the truth, then how they compare with those given in process."""
    key = "label" if test.task == "classification" else "value"
    print(f"   {'row':>4}  {'served answer':<16}{'truth':<16}")
    for row in range(min(8, len(test))):
        answer = served[row][key]
        answer = f"{answer:.4g}" if isinstance(answer, float) else answer
        sure = f"  {max(served[row]['probabilities'].values()):.4f}" if key == "label" else ""
        print(f"   {row:>4}  {answer!s:<16}{test.target[row]!s:<16}{sure}")
    equal = sum(one == other for one, other in zip(served, in_process, strict=True))
    if key == "label":
        right = sum(one["label"] == truth for one, truth in zip(served, test.target, strict=True))
        print(f"\n   measured over HTTP: {right} of {len(test)} right, accuracy {right / len(test):.4f}")
    print(f"   served and in-process answers equal to the last bit: {equal} of {len(test)}")


if __name__ == "__main__":
    main()
