"""Recommendations over HTTP: for a known user, for someone new with a few likes, and for an item; new items too.

    python examples/recommend.py

Makes its own data: 400 readers with hidden tastes, 120 books, of which six came out too late for anybody to have read
them. Prints the scores of two models beside simple baselines on the quarter of each reader's books that was held out,
then asks the served models and compares their answers with those in process. Half a minute on two cores, without a GPU.
"""

import tempfile
from pathlib import Path

import numpy as np
import pandas

import maas
from maas.preprocess import Interactions

THEMES = {
    "space": "a crew, a star ship and a distant planet",
    "crime": "a detective, a murder and an alibi",
    "garden": "herbs, roses and a patient gardener",
    "sea": "a captain, a storm and a lighthouse",
}
NEW = 6


def library(seed: int = 0) -> tuple[pandas.DataFrame, pandas.DataFrame]:
    """Books with a blurb each, and who read which; nobody has read the last six books."""
    random = np.random.default_rng(seed)
    themes = [list(THEMES)[index % len(THEMES)] for index in range(120)]
    books = pandas.DataFrame(
        {
            "book": [f"{theme}-{index:03}" for index, theme in enumerate(themes)],
            "blurb": [f"{THEMES[theme]}, part {random.integers(1, 9)}" for theme in themes],
            "pages": random.integers(90, 600, 120),
        }
    )
    fame = random.pareto(2, 120) + 0.2
    fame[-NEW:] = 0
    read = []
    for reader in range(400):
        liked = random.dirichlet([0.3] * len(THEMES))
        chances = fame * [liked[list(THEMES).index(theme)] + 0.02 for theme in themes]
        chosen = random.choice(120, random.integers(6, 25), replace=False, p=chances / chances.sum())
        read += [(f"reader {reader}", books["book"][index]) for index in chosen]
    return books, pandas.DataFrame(read, columns=["user", "item"])


def main() -> None:
    books, read = library()
    items = maas.data.read_items(books, item="book")
    rows = maas.data.read_interactions(read, items=items)
    split = rows.split(test=0.25, seed=0)
    train, test = split
    print(f"1. {rows}; {split.report}")

    ease = maas.fit(maas.recipe(maas.nn.EASE, regularization=300.0), train)
    evaluation = ease.evaluate(test, baselines_from=train)
    print(f"2. {ease}\n\n{evaluation}\n")
    content = maas.fit(maas.recipe(maas.nn.ContentBased), train, preprocess=Interactions.with_options(items=items))
    print(f"   {content}: by what the books are about\n\n{content.evaluate(test, baselines_from=train)}\n")

    queries = [{"items": ["sea-003", "sea-007"]}, {"similar_to": "crime-001"}]
    asked = [*({"user": user} for user in test.columns["user"]), *queries]
    with tempfile.TemporaryDirectory(prefix="maas-example-") as folder:
        store = Path(folder) / "model_store"
        maas.package(ease.save(Path(folder) / "readers", evaluation=evaluation), store=store)
        maas.package(content.save(Path(folder) / "blurbs"), store=store)
        print("3. two models packaged; starting TorchServe ...")
        with maas.serve(store, models=["readers", "blurbs"]) as server:
            equal = 0
            for name, model in (("readers", ease), ("blurbs", content)):
                with server.client(name) as client:
                    served = client.predict(asked)
                    equal += sum(one == other for one, other in zip(served, model.predict(asked), strict=True))
                    print(f"\n4. {server.url} answered {len(served)} queries, by {served.model['name']}\n")
                    for query, answer in list(zip(asked, served, strict=True))[-3:]:
                        print(f"   {query}\n      {', '.join(answer['items'][:5])}")
                    new = {item for answer in served for item in answer["items"]} & set(books["book"][-NEW:])
                    print(f"   of the {NEW} books that nobody has read, {len(new)} were recommended")
            print(f"\n   served and in-process answers equal to the last bit: {equal} of {2 * len(asked)}")
            with server.client("readers") as client:
                for wrong in ({"user": "reader 999"}, {"items": ["sea-003", "sea-004"]}, {"similar_to": ["sea-003"]}):
                    try:
                        client.predict(wrong)
                    except maas.MaasError as error:
                        print(f"   {error}")
    print("5. TorchServe stopped")


if __name__ == "__main__":
    main()
