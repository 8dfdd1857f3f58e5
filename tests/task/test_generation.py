"""A language model from texts to scores and answers, on a made-up language."""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import maas
from maas.data import Rows, read_corpus
from maas.errors import CompressionError, DataError, ExportError, RowError
from maas.metrics import generation_scores
from maas.nn import threads
from maas.preprocess import Language, Prompt
from maas.task import Generation
from maas.task._generation_baselines import KneserNey, ngram_baseline

ANIMALS = ["cat", "dog", "cow", "fox"]
TEXTS = [f"the {one} sees the {two}. {three}" for one, two, three in itertools.product(ANIMALS, ANIMALS, "abc")]
RECIPE = maas.recipe(maas.nn.CausalTransformer, width=16, num_layers=1, num_heads=2)
PROMPTS = Prompt.with_options(vocabulary=280, context=32)
SETTINGS: dict[str, Any] = {
    "preprocess": PROMPTS,
    "epochs": 2,
    "batch_size": 8,
    "learning_rate": 0.02,
    "device": "cpu",
    "progress": False,
}


@pytest.fixture(scope="module")
def split() -> tuple[Rows, Rows]:
    train, test = read_corpus(TEXTS).split(test=0.25, seed=0)
    return train, test


@pytest.fixture(scope="module")
def model(split: tuple[Rows, Rows]) -> maas.Model:
    return maas.fit(RECIPE, split[0], **SETTINGS)


@pytest.mark.parametrize("size", [2, 3, 7, 100])
def test_windows_hold_every_token_once_to_learn(size: int) -> None:
    language = Language.learn(["ab", "c"], vocabulary=257)
    task = Generation(size, language, 100)
    columns = {"prompt": np.array(["ab", "", "c"], object)}
    windows = task.lessons(columns).inputs["tokens"]
    a, b, c = (language.encode([one])[0][1] for one in "abc")
    stream = [0, a, b, 0, 0, c, 0]  # a token begins each text, and the last one ends it
    assert [number for row in windows[:, 1:].tolist() for number in row if number >= 0] == stream[1:]
    assert windows[0, 0] == 0
    assert (windows[1:, 0] == windows[:-1, -1]).all()
    assert int(task.units(task.lessons(columns)).sum()) == len(stream) - 1


def test_a_text_has_an_end_of_its_own_where_that_is_another_token() -> None:
    made = Language.learn(["ab"], vocabulary=257)
    language = Language(made.tokenizer, begin=None, ends=(0,))
    (a,) = language.encode(["a"])[0]
    windows = Generation(8, language, 8).lessons({"prompt": np.array(["a", "a"], object)}).inputs["tokens"]
    assert windows.tolist() == [[a, 0, a, 0, -1, -1, -1, -1, -1]]


def test_texts_longer_than_the_context_are_learned_from(split: tuple[Rows, Rows]) -> None:
    rows = read_corpus([" ".join(TEXTS)], longest=10_000)
    model = maas.fit(RECIPE, rows, validation=0, keep="last", **{**SETTINGS, "epochs": 1})
    assert model.card["training"]["receipt"]["steps"] > 1
    with pytest.raises(RowError, match="the model takes 32, with the answer; shorten it; a corpus is cut by `longest`"):
        model.evaluate(rows)


def test_rows_without_a_text_teach_nothing() -> None:
    columns = {"prompt": np.array(["a", None], object)}
    with pytest.raises(RowError, match="row 1: a generation learns from texts: give `prompt`, not `messages`"):
        Generation(8, Language.learn(["a"], vocabulary=257), 8).lessons(columns)


@pytest.mark.parametrize("window", [1, 2.0, True])
def test_a_window_out_of_its_range(window: Any) -> None:
    with pytest.raises(DataError, match="`window` must be an integer from 2 on, or None, got"):
        Generation.with_options(window=window)


def test_a_window_longer_than_the_context(split: tuple[Rows, Rows]) -> None:
    with pytest.raises(DataError, match="`window` must be at most the context, 32, got 33"):
        maas.fit(RECIPE, split[0], task=Generation.with_options(window=33), **SETTINGS)


def test_the_loss_is_that_of_each_token_by_the_logits(model: maas.Model, split: tuple[Rows, Rows]) -> None:
    batch = model.task.lessons(split[0].columns)
    assert batch is not None
    with torch.no_grad():
        found = model.task.loss(model.network, batch)
        for row, window in enumerate(batch.inputs["tokens"].long()):
            kept = window[window >= 0]
            scores = model.network(kept[None, :-1])[0].log_softmax(-1)
            wanted = -scores[torch.arange(len(kept) - 1), kept[1:]].sum()
            torch.testing.assert_close(found[row], wanted, rtol=1e-5, atol=1e-5)


def test_scores_are_those_computed_by_hand(model: maas.Model, split: tuple[Rows, Rows]) -> None:
    """Reference: the network's logits, text by text."""
    test = split[1]
    total, tokens = 0.0, 0
    for text in test.columns["prompt"]:
        (row,) = model.preprocess.language.encode([text])  # type: ignore[attr-defined]
        with torch.no_grad():
            scores = model.network(torch.tensor([row]))[0].double().log_softmax(-1)
        total += sum(float(scores[place, number]) for place, number in enumerate(row[1:]))
        tokens += len(row) - 1
    size = sum(len(text.encode()) for text in test.columns["prompt"])
    scores_found = model.score(test)
    assert scores_found.values["bits_per_byte"] == pytest.approx(-total / math.log(2) / size, rel=1e-5)
    assert scores_found.values["perplexity"] == pytest.approx(math.exp(-total / tokens), rel=1e-5)


def test_rows_that_are_not_scored_cannot_be_judged() -> None:
    with pytest.raises(DataError, match="rows to evaluate are texts to be scored"):
        generation_scores(np.ones(1), np.array([None], object), np.ones(1, np.int64))


def kneser_ney(texts: Sequence[Sequence[int]], vocabulary: int, order: int) -> Any:
    """The same model in plain dictionaries, out of Chen and Goodman 1999, equation 24 on."""
    seen: list[Counter[tuple[int, ...]]] = [Counter() for _ in range(order)]  # by length: (context..., token)
    for text in texts:
        padded = [vocabulary] * (order - 1) + list(text)
        for place in range(order, len(padded)):
            seen[order - 1][tuple(padded[place - order + 1 : place + 1])] += 1
    for length in range(order - 2, -1, -1):
        for gram in seen[length + 1]:
            seen[length][gram[1:]] += 1
    discounts = []
    for counts in seen:
        once, twice = (list(counts.values()).count(number) for number in (1, 2))
        discounts.append(min(0.95, max(0.1, once / max(1, once + 2 * twice))))
    after: list[dict[tuple[int, ...], list[int]]] = []
    for counts in seen:
        listed = defaultdict(list)
        for gram, count in counts.items():
            listed[gram[:-1]].append(count)
        after.append(listed)

    def share(context: tuple[int, ...], token: int) -> float:
        lower = share(context[1:], token) if context else 1 / vocabulary
        counts = after[len(context)].get(context)
        if not counts:
            return lower
        discount, own = discounts[len(context)], seen[len(context)][(*context, token)]
        return (max(own - discount, 0) + discount * len(counts) * lower) / sum(counts)

    return share


def test_the_baseline_is_kneser_ney() -> None:
    """Reference: plain dictionaries. What follows a context is a distribution."""
    random = np.random.default_rng(0)
    texts = [random.integers(0, 6, random.integers(1, 12)).tolist() for _ in range(40)]
    share = kneser_ney(texts, 7, 3)
    found = KneserNey(texts, vocabulary=7, order=3)
    for text in ([0, 1, 2, 3, 4], [6, 6, 5], [3], [1, 1]):
        padded = (7, 7, *text)
        wanted = sum(math.log(share(padded[at - 2 : at], padded[at])) for at in range(3, len(padded)))
        assert found.logprobs([text])[0] == pytest.approx(wanted, rel=1e-12, abs=1e-12)
    for context in ([0, 1], [6, 6]):
        both = found.logprobs([[*context, token] for token in range(7)])
        assert sum(math.exp(one - found.logprobs([context])[0]) for one in both) == pytest.approx(1)


def test_the_baseline_foretells_what_stood_in_training() -> None:
    language = Language.learn(TEXTS, vocabulary=280)
    (name, answers) = next(iter(ngram_baseline(language, TEXTS, [TEXTS[0], "zzzzzz"]).items()))
    assert name == "5-grams"
    known, foreign = answers["prompt_logprob"] / (answers["prompt_tokens"] - 1)
    assert known > -1.5 > -4 > foreign


def test_training_tells_the_perplexity(model: maas.Model) -> None:
    last = model.card["training"]["history"][-1]
    assert last["perplexity"] == pytest.approx(math.exp(last["validation_loss"]))
    assert last["validation_loss"] < model.card["training"]["history"][0]["validation_loss"]


def test_threads_by_the_tokens_of_a_step(split: tuple[Rows, Rows]) -> None:
    recipe = maas.recipe(maas.nn.CausalTransformer, width=64, num_layers=1)
    with threads(2):
        found = [
            maas.fit(recipe, split[0], **SETTINGS | {"epochs": 1, "task": Generation.with_options(window=window)})
            for window in (2, 32)
        ]
    assert [one.card["training"]["threads"] for one in found] == [1, 2]


def test_many_rows_are_answered_as_each_alone(model: maas.Model) -> None:
    rows = [{"prompt": text[: 5 + place % 9], "max_tokens": place % 5} for place, text in enumerate(TEXTS * 2)]
    assert len(rows) > model.rows_at_once
    answers = model.predict(rows)
    for place in (0, 1, 13, 63, 64, 95):
        assert answers[place]["text"] == model.predict(rows[place])["text"]


def test_it_is_saved_evaluated_and_reported_without_its_texts(
    model: maas.Model, split: tuple[Rows, Rows], tmp_path: Path
) -> None:
    evaluation = model.evaluate(split[1], baselines_from=split[0])
    assert "5-grams" in str(evaluation)
    path = model.save(tmp_path / "it", evaluation=evaluation)
    again = maas.load(path)
    assert again.predict(split[1]).to_dicts() == model.predict(split[1]).to_dicts()
    assert maas.load(path, precision="bfloat16").precision == "bfloat16"
    assert all(row["max_tokens"] == 0 and row["echo"] for row in (again.example or {})["rows"])
    page = maas.report(evaluation, tmp_path / "it.html", model=model).read_text()
    assert "bits per byte" in page
    for file in ("card.json", "example.json"):
        assert "the cat sees" not in (path / file).read_text()
    assert "the cat sees" not in page


def test_lower_precisions(model: maas.Model, split: tuple[Rows, Rows]) -> None:
    assert model.vouch(split[1], max_drop=0.1)["held"]
    for method in ("int8_weights", "bfloat16"):
        assert maas.compress.quantize(model, split[1], method=method, max_drop=0.1).score(split[1]).values["perplexity"]


def test_what_cannot_be_done_to_a_language_model_is_told(
    model: maas.Model, split: tuple[Rows, Rows], tmp_path: Path
) -> None:
    train, test = split
    with pytest.raises(CompressionError, match="does not compute in integers; use method='int8_weights'"):
        maas.compress.quantize(model, test)
    with pytest.raises(CompressionError, match="a generation cannot be pruned; use quantize"):
        maas.compress.prune(model, test)
    with pytest.raises(CompressionError, match="a generation cannot be taught by another network's answers"):
        maas.compress.distil(model, test, recipe=RECIPE, train=train, epochs=1)
    with pytest.raises(ExportError, match="a generation answers token by token, which is no single pass that onnx"):
        maas.export(model, tmp_path / "it")
    with pytest.raises(DataError, match="rows of the kind 'prompt' cannot be explained"):
        model.explain({"prompt": "the cat"})
    with pytest.raises(DataError, match="a generation has no probabilities"):
        model.predict_proba({"prompt": "the cat"})


def test_folds(split: tuple[Rows, Rows]) -> None:
    found = maas.cross_validate(RECIPE, split[0], folds=2, **{**SETTINGS, "epochs": 1})
    assert [one.task for one in found.folds] == ["generation"] * 2


def test_preflight(split: tuple[Rows, Rows]) -> None:
    found = maas.training.preflight(RECIPE, split[0], preprocess=PROMPTS, learning_rate=0.02, device="cpu")
    assert found.is_fine, str(found)
