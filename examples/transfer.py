"""Transfer learning: a network that knows some digits learns others from a few rows, and is served.

    python examples/transfer.py            scikit-learn's digits: 0 to 6 are known, 7 to 9 are to be learned
    python examples/transfer.py FOLDER     your own: one folder of images a class, of which the last --new are new

Trains a small residual network on the known classes, saves it, and goes on from it to tell the new ones apart out of
sixteen images. Prints, as means of three seeds on all other images of these classes: the same network trained from
scratch on the same rows for the same time, one that starts from the saved model and whose body stays frozen, and one
that starts there and learns on. The last is then served with TorchServe.

In about 20 seconds on two cores, without a GPU, it prints in short:

    from scratch:                  0.874 right (0.857 to 0.899)
    from the saved model, frozen:  0.745 right (0.725 to 0.781)
    from the saved model:          0.914 right (0.903 to 0.919)
    served and in-process answers equal to the last bit: 517 of 517

Weights that were learned on ImageNet go the same way, where a network can fetch them, or as a file:

    maas.fit(
        maas.recipe(maas.nn.Backbone, name="resnet18"),
        train,
        start="IMAGENET1K_V1",           # or start="resnet18-f37072fd.pth", or a .safetensors file
        freeze={"body": 3},              # only the new head learns in the first three epochs,
        rate_factors={"body": 0.1},      # and then the body, at a tenth of the head's rate
    )

The preprocessing that these weights were trained with comes with them, into the served model.
"""

import argparse
import tempfile
from pathlib import Path
from statistics import mean

import numpy as np
import torch
from sklearn.datasets import load_digits

import maas

SEEDS = range(3)
RECIPE = maas.recipe(maas.nn.ResNet, width=16)
SETTINGS = {
    "validation": 0,
    "keep": "last",
    "schedule": "one_cycle",
    "augment": maas.preprocess.AugmentImages(flip=False, crop=1),
    "progress": False,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", help="a folder with one folder of images for each class")
    parser.add_argument("--new", type=int, default=3, help="how many classes, the last ones, are new")
    parser.add_argument("--few", type=int, default=16, help="images to learn the new classes from")
    options = parser.parse_args()

    rows = maas.data.read_images(options.data or digits())
    classes = sorted(set(rows.target))
    is_new = np.isin(rows.target, classes[-options.new :])
    known, others = rows.take(np.flatnonzero(~is_new)), rows.take(np.flatnonzero(is_new))
    train, test = others.split(test=1 - options.few / len(others), seed=0)
    print(f"1. {known}\n   {train} to learn from, {len(test)} to be tested on")

    with tempfile.TemporaryDirectory(prefix="maas-example-") as folder:
        work = Path(folder)
        start = maas.fit(RECIPE, known, epochs=12, learning_rate=3e-3, **SETTINGS).save(work / "known")
        told = ", ".join(map(str, classes[-options.new :]))
        print(f"2. the others learned and saved; now {told}, {len(SEEDS)} times each:")
        report("from scratch", train, test)
        report("from the saved model, frozen", train, test, start=start, freeze=("first", "stages"))
        model = report("from the saved model", train, test, start=start)
        lineage = model.card["lineage"]
        print(f"   started from {lineage['parent'][:12]}, new are {', '.join(lineage['start']['new'])}")

        evaluation = model.evaluate(test, baselines_from=train)
        print(f"3. the last of these\n\n{evaluation}\n")
        archive = maas.package(model.save(work / "transfer", evaluation=evaluation), store=work / "model_store")
        print(f"4. {archive.name}, {archive.stat().st_size:,} bytes; starting TorchServe ...")
        threads = torch.get_num_threads()  # as many as here: with others, the last bits of sums may differ
        with maas.serve(work / "model_store", models=["transfer"], threads=threads) as server:
            served = server.client("transfer").predict(test.to_dicts())
            print(f"5. {server.url} answered {len(served)} images")
            equal = sum(one == other for one, other in zip(served, model.predict(test), strict=True))
            print(f"   served and in-process answers equal to the last bit: {equal} of {len(test)}")
        print("6. TorchServe stopped")


def digits() -> tuple[np.ndarray, np.ndarray]:
    """scikit-learn's digits as uint8 of shape (1797, 8, 8), and what they are."""
    bunch = load_digits()
    return (bunch.images * 255 / 16).round().astype("uint8"), bunch.target


def report(name: str, train: maas.data.Rows, test: maas.data.Rows, **how: object) -> maas.Model:
    """Train with each seed, and print how much of the test rows is answered right."""
    right = []
    for seed in SEEDS:
        model = maas.fit(RECIPE, train, epochs=10, batch_size=8, learning_rate=1e-2, seed=seed, **SETTINGS, **how)
        right.append((model.predict(test)["label"] == test.target).mean())
    print(f"   {name + ':':<30} {mean(right):.3f} right ({min(right):.3f} to {max(right):.3f})")
    return model


if __name__ == "__main__":
    main()
