"""A language model from text to answers: learned, measured beside counted neighbours, saved, and asked.

    python examples/language_model.py                       short stories made from a template
    python examples/language_model.py poems.txt --char      your own: a file of texts between empty lines, or a folder

Prints what was learned, bits per byte and perplexity beside 5-grams on a tenth of the texts held out, and how the model
goes on from a few words, part by part as a server streams it. So little text makes no writer: it shows the way.
The stories end as they began, which counts of five tokens cannot know and a transformer can.
About half a minute on two cores, without a GPU.
"""

import argparse
import itertools
import tempfile
from pathlib import Path

import maas
from maas.preprocess import Prompt

NAMES = ["Anna", "Ben", "Clara", "David", "Emma", "Felix", "Greta", "Hugo"]
COLOURS = ["red", "green", "blue", "white", "black"]
PLACES = ["mill", "island", "bridge", "village", "forest", "harbour"]
TIMES = ["At night", "At noon", "After an hour", "The next day"]


def stories() -> list[str]:
    """Whoever leaves comes home, in the same boat: what to foretell stands too far away for counts of five tokens."""
    return [
        f"{name} takes the {colour} boat over the lake to the {place}. {time} {name} rows home in the {colour} boat."
        for name, colour, place, time in itertools.product(NAMES, COLOURS, PLACES, TIMES)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", help="a file of texts, a folder of .txt files, or a table's file")
    parser.add_argument("--char", action="store_true", help="a token a character, for Chinese say")
    options = parser.parse_args()

    rows = maas.data.read_corpus(options.data or stories(), longest=200)
    train, test = rows.drop_duplicates().split(test=0.1, seed=0)
    print(f"1. {rows}")

    model = maas.fit(
        maas.recipe(maas.nn.CausalTransformer, width=64, num_layers=2),
        train,
        preprocess=Prompt.with_options(tokenizer="char" if options.char else "bpe", vocabulary=400, context=256),
        task=maas.task.Generation.with_options(window=64),
        epochs=26,
        batch_size=8,
        learning_rate=6e-3,
        schedule="cosine",
        keep="last",
    )
    evaluation = model.evaluate(test, baselines_from=train)
    print(f"2. {model}\n\n{evaluation}\n")

    with tempfile.TemporaryDirectory(prefix="maas-example-") as folder:
        again = maas.load(model.save(Path(folder) / "writer", evaluation=evaluation))
    asked = {"prompt": " ".join(test.columns["prompt"][0].split()[:4]), "max_tokens": 60, "temperature": 0.7, "seed": 1}
    print(f"3. {asked['prompt']!r} ...", end="", flush=True)
    for part in again.stream(again.prepare([asked]).batch):
        print(part["text"][0], end="", flush=True)
    print(f"\n4. the saved model answers as the trained one: {again.predict(asked) == model.predict(asked)}")


if __name__ == "__main__":
    main()
