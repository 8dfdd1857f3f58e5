"""A language model from text to served answers: learned, measured beside counted neighbours, streamed by TorchServe.

    python examples/language_model.py                       short stories made from a template
    python examples/language_model.py poems.txt --char      your own: a file of texts between empty lines, or a folder

Prints what was learned, and bits per byte and perplexity beside 5-grams on a tenth of the texts held out. So little
text makes no writer: it shows the way. The stories end as they began, which counts of five tokens cannot know, and
which the transformer begins to see. The served model then goes on from a few words, part by part: asked by maas.Client,
and by the official client of OpenAI's API (pip install openai), which needs no more than the address and the token.

In about 20 seconds on two cores, without a GPU, it prints in short:

                  bits_per_byte  perplexity
    this model           0.1582      1.6074
    5-grams              0.1767      1.6988
    5. served and in-process texts equal to the last bit: 7 of 7
"""

import argparse
import itertools
import tempfile
from pathlib import Path

import openai

import maas
from maas.preprocess import Prompt

NAMES = ["Anna", "Ben", "Clara", "David", "Emma", "Felix", "Greta", "Hugo"]
COLOURS = ["red", "green", "blue", "white", "black"]
PLACES = ["mill", "island", "bridge", "village"]
TIMES = ["At night", "At noon", "After an hour"]


def stories() -> list[str]:
    """Whoever leaves comes home, in the same boat: what to foretell stands too far away for counts of five tokens."""
    return [
        f"{name} takes the {colour} boat to the {place}. {time} {name} rows home in the {colour} boat."
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
        epochs=24,
        batch_size=8,
        learning_rate=6e-3,
        schedule="cosine",
        keep="last",
    )
    evaluation = model.evaluate(test, baselines_from=train)
    print(f"2. {model}\n\n{evaluation}\n")

    asked = [{"prompt": " ".join(text.split()[:4]), "max_tokens": 40} for text in test.columns["prompt"][::8]]
    with tempfile.TemporaryDirectory(prefix="maas-example-") as folder:
        artifact = model.save(Path(folder) / "writer", evaluation=evaluation)
        archive = maas.package(artifact, store=Path(folder) / "model_store")
        print(f"3. {archive.name}, {archive.stat().st_size:,} bytes; starting TorchServe ...")
        with maas.serve(Path(folder) / "model_store", models=["writer"]) as server:
            client = server.client("writer")
            print(f"   {asked[0]['prompt']} ...", end="", flush=True)
            for part in client.stream(asked[0]):
                print(part["text"], end="", flush=True)
            texts = [client.predict(row)["text"] for row in asked]

            url = f"{server.url}/predictions/writer/1.0/v1"  # behind `maas serve --front` it is plain /v1
            print(f"\n4. the client of OpenAI's API asks {url}\n   {asked[1]['prompt']} ...", end="", flush=True)
            texts.append("")
            with openai.OpenAI(base_url=url, api_key=server.token()) as writer:
                for chunk in writer.completions.create(model="writer", stream=True, **asked[1]):
                    texts[-1] += chunk.choices[0].text
                    print(chunk.choices[0].text, end="", flush=True)
    found = [model.predict(row)["text"] for row in [*asked, asked[1]]]
    equal = sum(text == other for text, other in zip(texts, found, strict=True))
    print(f"\n5. served and in-process texts equal to the last bit: {equal} of {len(texts)}")


if __name__ == "__main__":
    main()
