"""A served text is answered as one in process, to the last bit, in English and in Chinese; a bad one is refused."""

from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

import maas
from maas.preprocess import Text
from maas.serving import Server

GOOD = ["a lovely film", "great acting", "很好吃", "房间很干净", "I loved it", "值得一看"]
BAD = ["a dull film", "poor acting", "很难吃", "房间很脏", "I hated it", "不值得看"]
FILL = ["on Monday", "with Ann", "昨天", "和朋友一起", "in town", "酒店", "at http://x.org/1", "@bob", "书"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, maas.Model], maas.data.Rows, Path]:
    random = np.random.default_rng(0)
    texts, labels = [], []
    for index in range(240):
        words = [str(random.choice([BAD, GOOD][index % 2])), *map(str, random.choice(FILL, random.integers(0, 6)))]
        random.shuffle(words)
        texts.append(" ".join(words))
        labels.append(["bad", "good"][index % 2])
    train, test = maas.data.read_texts((texts, labels), text="review").drop_duplicates().split(test=0.4, seed=0)
    folder = tmp_path_factory.mktemp("texts")
    models = {}
    for name, recipe, options in (
        ("rnn", maas.recipe(maas.nn.TextRNN, bidirectional=True), Text.with_options(style="tweets")),
        ("cnn", maas.recipe(maas.nn.TextCNN, channels=8), Text.with_options(tokenizer="char", ngrams=(50,))),
        ("bag", maas.recipe(maas.nn.TextBag), Text.with_options(tokenizer="char", ngrams=(200, 100))),
    ):
        models[name] = maas.fit(recipe, train, preprocess=options, epochs=2, device="cpu", progress=False)
        maas.package(models[name].save(folder / name), store=folder)
    return models, test, folder


@pytest.mark.parametrize("name", ["rnn", "cnn", "bag"])
def test_served_answers_are_those_in_process_bit_for_bit(
    name: str, trained: tuple[dict[str, maas.Model], maas.data.Rows, Path], server: Server
) -> None:
    models, test, _ = trained
    wanted = models[name].predict(test).to_dicts()
    with server.client(name) as client:
        assert list(client.predict(test.to_dicts())) == wanted
        alone = client.predict(test.to_dicts()[0])
    assert alone["probabilities"] == pytest.approx(wanted[0]["probabilities"], abs=1e-5)


@pytest.mark.usefixtures("workers_live")
def test_a_bad_text_is_refused_and_the_worker_lives(http: httpx.Client) -> None:
    bad: list[tuple[Any, str]] = [
        ("", "field 'review' must hold text, got white space or nothing"),
        (" \u3000\n", "field 'review' must hold text"),
        ("x" * 5_000_000, "field 'review' must have at most 100000 characters, got 5000000"),
        (3, "field 'review' must be a string, got 3"),
        (None, "field 'review' must be a string, got null"),
        (["a"], "field 'review' must be a string, got list of 1"),
    ]
    for value, detail in bad:
        answer = http.post("/predictions/rnn", json={"review": value})
        assert answer.status_code == 422, detail
        assert detail in answer.json()["detail"]
        assert answer.json()["field"] == "review"
    assert http.post("/predictions/rnn", json={"text": "good"}).status_code == 422
    assert http.post("/predictions/rnn", json={"review": "x" * 10_000_000}).status_code == 413  # TorchServe's own
    for odd in ("\x00", "🙂", "\u200b", "未知的字", "a" * 100_000, "好" * 100_000):
        assert http.post("/predictions/rnn", json={"review": odd}).status_code == 200
