"""Bring your own network: a class of yours, registered, trained, packaged without its code, and served.

    python examples/own_network.py                          scikit-learn's wines, three cultivars
    python examples/own_network.py my.csv --target churn    your own table

The network is a neural additive model (Agarwal et al. 2021, arXiv:2004.13912): each number of a row goes through a
small network of its own, and their outputs are summed, so that what each adds to an answer can be read off. An archive
holds the name "examples.additive", its arguments and its weights, never the code: whoever loads it must have imported
the class, workers too, which `maas.serve(imports=["own_network"])` sees to.

In about 15 seconds on two cores, without a GPU, it prints in short:

    1. Model(examples.additive, 13 fields -> cultivar (classification))
                            accuracy  precision     recall         f1    roc_auc   log_loss        ece
    this model                1.0000     1.0000     1.0000     1.0000     1.0000     0.0142     0.0134
    2. the column of the first row that adds most is number 3 of 13
    3. additive.mar, 27,170 bytes, without the class; starting TorchServe ...
    served and in-process answers equal to the last bit: 44 of 44
"""

import argparse
import os
import tempfile
from pathlib import Path

import torch

import maas


@maas.network("examples.additive")  # the name that recipes and artifacts use
class Additive(torch.nn.Module):
    """A network of one hidden layer for each input, all of them side by side, and the sum of their outputs."""

    def __init__(self, in_features: int, out_features: int, *, hidden: int = 16) -> None:
        super().__init__()
        self.inside = torch.nn.Conv1d(in_features, in_features * hidden, 1, groups=in_features)  # one group an input
        self.outside = torch.nn.Conv1d(in_features * hidden, in_features * out_features, 1, groups=in_features)
        self.shape = (in_features, out_features)

    @classmethod
    def sizes(cls, inputs: dict, num_outputs: int) -> dict[str, int]:
        """What follows from the data, so that a recipe need not say it."""
        return {"in_features": inputs["x"].shape[0], "out_features": num_outputs}

    def parts(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, in_features) -> (batch, in_features, out_features): what each input adds."""
        return self.outside(self.inside(x[:, :, None]).relu()).reshape(-1, *self.shape)

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # a parameter is named as the preprocessing's tensor
        """(batch, in_features) -> (batch, out_features)."""
        return self.parts(x).sum(dim=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", help="a .csv, .tsv or .parquet file")
    parser.add_argument("--target", help="the column to predict")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory(prefix="maas-example-") as folder:
        work = Path(folder)
        data, target = options.data, options.target
        if data is None:
            data, target = maas.data.write_sample("wine", work / "wine.csv"), "cultivar"
        train, test = maas.data.read_table(data, target=target).split(test=0.25, seed=0)
        model = maas.fit(maas.recipe(Additive, hidden=16), train, epochs=40, learning_rate=0.01)
        evaluation = model.evaluate(test, baselines_from=train)
        print(f"1. {model}\n\n{evaluation}\n")

        batch = model.prepare(test.to_dicts()[:1]).batch
        added = model.network.parts(**batch.inputs)[0].abs().amax(dim=1)  # of columns, where categories have several
        print(f"2. the column of the first row that adds most is number {int(added.argmax())} of {len(added)}")

        archive = maas.package(model.save(work / "additive", evaluation=evaluation), store=work / "model_store")
        print(f"3. {archive.name}, {archive.stat().st_size:,} bytes, without the class; starting TorchServe ...")

        # Workers look for modules in the current folder and in PYTHONPATH; this file may lie elsewhere.
        os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
        with maas.serve(archive.parent, models=["additive"], imports=["own_network"]) as server:
            served = server.client("additive").predict(test.to_dicts())
            print(f"4. {server.url} answered {len(served)} rows, by {served.model['name']}")
            equal = sum(one == other for one, other in zip(served, model.predict(test), strict=True))
            print(f"   served and in-process answers equal to the last bit: {equal} of {len(test)}")
        print("5. TorchServe stopped")


if __name__ == "__main__":
    main()
