"""Accuracy on Fashion-MNIST (Xiao et al. 2017, arXiv:1708.07747), as a row of a Markdown table.

    python benchmarks/quality/fashion_mnist.py --data DIR --network cnn      10 epochs a seed
    python benchmarks/quality/fashion_mnist.py --data DIR --network resnet   12 epochs a seed
    python benchmarks/quality/fashion_mnist.py --data DIR --network wide     24 epochs a seed, for a GPU

DIR (or MAAS_DATA) holds fashion-mnist/ with the four IDX files, plain or gzip. Networks learn from all 60,000 training
images and keep their last epoch; the 10,000 test images are read once for each seed, after training. Settings were
chosen on validation parts of the training images: one try each, 91.6 % for the CNN (a sixth held out), 94.5 % for the
residual network (a twelfth held out, 13 epochs; bfloat16 is slower than float32 on the CPU it was tried on).
"""

import argparse
import os
import statistics
import time
from pathlib import Path
from typing import Any

import torch

import maas

NETWORKS: dict[str, dict[str, Any]] = {
    "cnn": {
        "recipe": maas.recipe(maas.nn.CNN, filters=(32,), dropout=0.3),
        "epochs": 10,
        "batch_size": 64,
        "learning_rate": 2e-3,
        "weight_decay": 0.05,
        "schedule": maas.training.Schedule("cosine", warmup=0.05),
        "keep": "last",
        "validation": 0,
    },
    "resnet": {
        "recipe": maas.recipe(maas.nn.ResNet, width=24),
        "task": maas.task.Classification.with_options(label_smoothing=0.1),
        "epochs": 12,
        "batch_size": 256,
        "optimizer": "sgd",
        "learning_rate": 0.4,
        "weight_decay": 5e-4,
        "schedule": "one_cycle",
        "keep": "last",
        "validation": 0,
        "augment": maas.preprocess.AugmentImages(flip=True, crop=2),
    },
    "wide": {
        "recipe": maas.recipe(maas.nn.ResNet, width=64),
        "task": maas.task.Classification.with_options(label_smoothing=0.1),
        "epochs": 24,
        "batch_size": 512,
        "optimizer": "sgd",
        "learning_rate": 0.4,
        "weight_decay": 5e-4,
        "schedule": "one_cycle",
        "precision": "bfloat16",
        "speed": "graph",
        "keep": "last",
        "validation": 0,
        "augment": maas.preprocess.AugmentImages(flip=True, crop=2),
    },
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("MAAS_DATA"), help="the folder; by default MAAS_DATA")
    parser.add_argument("--network", choices=NETWORKS, default="cnn")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--rows", type=int, help="of the training images, the first ones: for a try")
    options = parser.parse_args()
    if options.data is None:
        parser.error("say where the data is: --data DIR, or MAAS_DATA")

    train = maas.data.read_images(pair(Path(options.data) / "fashion-mnist", "train"), task="classification")
    if options.rows:
        train = train.take(range(options.rows))
    settings = dict(NETWORKS[options.network])
    recipe = settings.pop("recipe")
    settings["epochs"] = options.epochs or settings["epochs"]
    models, seconds = [], []
    for seed in options.seeds:
        start = time.perf_counter()
        models.append(maas.fit(recipe, train, seed=seed, **settings))
        seconds.append(time.perf_counter() - start)
    test = maas.data.read_images(pair(Path(options.data) / "fashion-mnist", "t10k"), task="classification")
    found = [100 * model.evaluate(test).scores["accuracy"] for model in models]

    spread = statistics.stdev(found) if len(found) > 1 else float("nan")
    where = models[0].card["training"]["device"]
    device = torch.cuda.get_device_name() if where == "cuda" else f"{torch.get_num_threads()} CPU threads"
    weights = sum(parameter.numel() for parameter in models[0].network.parameters())
    print(
        "| network | training images | epochs | accuracy, % | spread | each seed | seconds each | parameters | device |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    print(
        f"| {options.network} | {len(train):,} | {settings['epochs']} | {statistics.mean(found):.2f} | {spread:.2f} | "
        f"{' '.join(f'{one:.2f}' for one in found)} | {' '.join(f'{one:.0f}' for one in seconds)} | {weights:,} | "
        f"{device} |"
    )


def pair(folder: Path, part: str) -> tuple[Path, Path]:
    """The files of images and of labels, plain or gzip."""
    found = []
    for kind in ("images-idx3", "labels-idx1"):
        plain = folder / f"{part}-{kind}-ubyte"
        found.append(plain if plain.exists() else plain.with_name(plain.name + ".gz"))
    return found[0], found[1]


if __name__ == "__main__":
    main()
