"""Which networks of maas.nn can be exported, in which format, and how near the export answers to the model.

    python benchmarks/export_kinds.py                    about five minutes on two cores
    python benchmarks/export_kinds.py mlp text_rnn       these alone

A small model of each kind learns for an epoch from made-up rows, is saved, loaded and exported. The table says by how
much outputs differ at most over its golden rows (all at once, each alone, with more padding); why one is refused is
told on stderr.
"""

from __future__ import annotations

import json
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas

import maas
from maas.data import (
    Rows,
    from_arrays,
    read_audio,
    read_images,
    read_interactions,
    read_items,
    read_sequences,
    read_table,
    read_texts,
    windows,
)
from maas.errors import ExportError
from maas.exporting import FORMATS
from maas.preprocess import Audio, Image, Interactions, Text
from maas.task import Anomaly, MultiLabel

random = np.random.default_rng(0)
NN = maas.nn


def table() -> Rows:
    x = random.normal(size=(120, 4))
    return from_arrays(x, np.where(x[:, 0] > 0, "yes", "no"))


def numbers() -> Rows:
    x = random.normal(size=(120, 4))
    return from_arrays(x, x[:, 0] * 7 + 3)


def labels() -> Rows:
    x = random.normal(size=(120, 4))
    return from_arrays(x, [[name for name, has in zip("pqrs", row > 0.5, strict=True) if has] for row in x])


def images() -> Rows:
    return read_images((random.integers(0, 255, (60, 16, 16), dtype=np.uint8), list(range(3)) * 20))


def sequences() -> Rows:
    series = [random.normal(row % 3, 1, (random.integers(3, 25), 2)) for row in range(60)]
    return read_sequences(series, target=["low", "middle", "high"] * 20)


def sounds() -> Rows:
    waves = [random.normal(0, 0.1, random.integers(4000, 9000)).astype(np.float32) for _ in range(60)]
    return read_audio((waves, ["a", "b"] * 30), sample_rate=8000)


def texts() -> Rows:
    words = ["good", "bad", "film", "很好", "很难看", "day", "and", "night"]
    said = [" ".join(random.choice(words, random.integers(1, 9))) for _ in range(80)]
    return read_texts((said, ["x", "y", "z", "x"] * 20))


def clicks(items: Any = None) -> Rows:
    pairs = [(f"u{user}", f"i{item}") for user in range(40) for item in random.choice(30, 8, replace=False)]
    source = {"user": [one for one, _ in pairs], "item": [one for _, one in pairs]}
    return read_interactions(source, items=items)


def items() -> Any:
    about = [f"kind {'abc'[at % 3]}" for at in range(30)]
    return read_items(pandas.DataFrame({"item": [f"i{item}" for item in range(30)], "about": about}))


def ratings() -> Rows:
    columns = {name: random.integers(0, 40, 400) for name in ("user", "item")}
    return read_interactions({**columns, "rating": random.normal(3, 1, 400)}, task="regression")


def mixed() -> Rows:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "rows.csv")
        lines = [f"{random.normal():.3f},{random.choice(['good day', 'bad night'])},{'xy'[at % 2]}" for at in range(80)]
        file.write_text("size,note,y\n" + "\n".join(lines))
        return read_table(file, target="y", types={"note": "text"})


def waves() -> Rows:
    return windows(np.sin(np.arange(150) / 5), window=12, horizon=3)


def normal(*labels: int | str) -> Any:
    return Anomaly.with_options(normal=list(labels), false_alarms=0.3)


def backbone(name: str) -> tuple[Any, Callable[[], Rows], dict[str, Any]]:
    return maas.recipe(NN.Backbone, name=name), images, {"preprocess": Image.published(name, size=64)}


BAG = Text.with_options(tokenizer="char", ngrams=(50,))
KINDS: dict[str, tuple[Any, Callable[[], Rows], dict[str, Any]]] = {
    "mlp": (maas.recipe(NN.MLP), table, {}),
    "mlp, a number": (maas.recipe(NN.MLP), numbers, {}),
    "mlp, several labels": (maas.recipe(NN.MLP), labels, {"task": MultiLabel}),
    "autoencoder": (maas.recipe(NN.AutoEncoder), table, {"task": normal("yes")}),
    "cnn": (maas.recipe(NN.CNN), images, {}),
    "resnet": (maas.recipe(NN.ResNet), images, {}),
    "image_autoencoder": (maas.recipe(NN.ImageAutoEncoder), images, {"task": normal(0, 1)}),
    "backbone resnet18": backbone("resnet18"),
    "backbone mobilenet_v3": backbone("mobilenet_v3_small"),
    "backbone efficientnet_b0": backbone("efficientnet_b0"),
    "backbone vit_b_32": backbone("vit_b_32"),
    "rnn, lstm": (maas.recipe(NN.RNN, hidden_size=16), sequences, {}),
    "rnn, gru both ways": (maas.recipe(NN.RNN, cell="gru", bidirectional=True, pooling="mean"), sequences, {}),
    "rnn, two layers": (maas.recipe(NN.RNN, cell="rnn", num_layers=2, pooling="max"), sequences, {}),
    "rnn, forecast": (maas.recipe(NN.RNN), waves, {}),
    "cnn1d": (maas.recipe(NN.CNN1d), sequences, {}),
    "sequence_autoencoder": (maas.recipe(NN.SequenceAutoEncoder), sequences, {"task": normal("low", "high")}),
    "audio_cnn": (maas.recipe(NN.AudioCNN), sounds, {"preprocess": Audio.with_options(num_mels=16)}),
    "text_bag": (maas.recipe(NN.TextBag), texts, {"preprocess": BAG}),
    "text_cnn": (maas.recipe(NN.TextCNN), texts, {}),
    "text_rnn": (maas.recipe(NN.TextRNN, bidirectional=True), texts, {}),
    "text_transformer": (maas.recipe(NN.TextTransformer, width=32), texts, {}),
    "fusion": (maas.recipe(NN.Fusion), mixed, {}),
    "rating_factorization": (maas.recipe(NN.RatingFactorization), ratings, {}),
    "matrix_factorization": (maas.recipe(NN.MatrixFactorization), clicks, {}),
    "popularity": (maas.recipe(NN.Popularity), clicks, {}),
    "ease": (maas.recipe(NN.EASE), clicks, {}),
    "item_neighbours": (maas.recipe(NN.ItemNeighbours, neighbours=10), clicks, {}),
    "user_neighbours": (maas.recipe(NN.UserNeighbours, neighbours=10), clicks, {}),
    "content_based": (
        maas.recipe(NN.ContentBased),
        lambda: clicks(items()),
        {"preprocess": Interactions.with_options(items=items())},
    ),
}


def cell(model: maas.Model, format: str, folder: Path) -> str:
    """What became of one export: by how much its outputs differ, and the fewest steps that it takes."""
    try:
        written = maas.export(model, folder, format=format)
    except ExportError as error:
        print(f"{model.recipe.kind} as {format}: {error}", file=sys.stderr)
        return "refused"
    document = json.loads((written / "model.json").read_bytes())
    least = "".join(f", from {size} {name}" for name, size in document["least"].items() if size > 1)
    return (f"differs by {document['differs']:.1e}" if document["differs"] else "equal") + least


def main() -> None:
    asked = sys.argv[1:]
    print(f"| network | {' | '.join(FORMATS)} |\n|{' --- |' * (1 + len(FORMATS))}")
    with tempfile.TemporaryDirectory() as folder:
        for name, (recipe, rows, options) in KINDS.items():
            if asked and name not in asked:
                continue
            settings = {"epochs": 1, "progress": False} if recipe.learns == "gradient" else {}
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # so few rows choose a threshold badly
                fitted = maas.fit(recipe, rows(), device="cpu", **settings, **options)
            model = maas.load(fitted.save(Path(folder, "model")))
            print(f"| {name} | {' | '.join(cell(model, one, Path(folder, 'export')) for one in FORMATS)} |", flush=True)


if __name__ == "__main__":
    main()
