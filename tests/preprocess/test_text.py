"""The learned preprocessing of texts."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch

from maas.errors import DataError, FormatError
from maas.preprocess import Text, TextOptions, for_schema, from_state
from maas.preprocess._words import _segmenter, split_words
from maas.schema import Columns, Field, Schema

SCHEMA = Schema((Field("text", "text", "string", longest=100_000),))
TEXTS = ["The cat sat on the mat.", "the cat, the dog!", "很好吃，很好 the end", "不好吃 dog end"]
KINDS = [
    Text.with_options(tokenizer="word"),
    Text.with_options(tokenizer="char"),
    Text.with_options(tokenizer="char", ngrams=(10, 5)),
    Text.with_options(tokenizer="word", ngrams=(5,)),
    Text.with_options(tokenizer="jieba", ngrams=(5,)),
    Text.with_options(tokenizer="bpe", vocabulary=60),
    Text.with_options(tokenizer="wordpiece", vocabulary=60),
]
each_kind = pytest.mark.parametrize(
    "options", KINDS, ids=["word", "char", "char ngrams", "word ngrams", "jieba", "bpe", "wordpiece"]
)


def column(*texts: str) -> Columns:
    return {"text": np.array([*texts, None], object)[:-1]}


def read(text: Text, *texts: str) -> list[list[int]]:
    tensors, errors = text.apply(column(*texts))
    assert not errors
    assert tensors["tokens"].dtype == tensors["tokens_lengths"].dtype == torch.int64
    pairs = zip(tensors["tokens"].tolist(), tensors["tokens_lengths"].tolist(), strict=True)
    return [row[:length] for row, length in pairs]


def test_words_are_numbered_by_count_then_alphabet() -> None:
    """By hand: the 4, then of two each , . does not stand twice; 好 3 times, and so on."""
    text = Text.with_options(tokenizer="word").learn(SCHEMA, column(*TEXTS))
    assert text.tokenizer.tokens == ("the", "好", "cat", "dog", "end", "吃", "很", ",")[:1] + tuple(
        sorted(text.tokenizer.tokens[1:], key=lambda token: (-" ".join(TEXTS).replace("，", ",").count(token), token))
    )
    assert text.tokenizer.tokens[:2] == ("the", "好")
    assert read(text, "THE mat 好") == [[2, 1, 3]]  # mat stands once only: unknown
    assert text.outputs["tokens"].limit == 2 + len(text.tokenizer.tokens)


def test_jieba_finds_words_of_its_dictionary() -> None:
    """By hand: 清华大学 is one word of the dictionary, and what is not Chinese is read as by "word"."""
    assert split_words("我来到北京清华大学!", "jieba", 100) == ["我", "来到", "北京", "清华大学", "!"]
    assert split_words("我来到北京清华大学", "jieba", 2) == ["我", "来到"]
    plain = "<url> it's 3.5 in x1 <user>"
    assert split_words(plain, "jieba", 100) == split_words(plain, "word", 100)
    text = Text.with_options(tokenizer="jieba").learn(SCHEMA, column("清华大学好", "清华大学 好", "不好"))
    assert set(text.tokenizer.tokens) == {"清华大学", "好"}
    assert read(text, "清华大学") == [[2 + text.tokenizer.tokens.index("清华大学")]]


def test_jieba_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    _segmenter.cache_clear()
    monkeypatch.setitem(sys.modules, "rjieba", None)
    with pytest.raises(DataError, match=r"the tokenizer 'jieba' needs: pip install 'maas-torch\[chinese\]'"):
        split_words("好", "jieba", 100)
    assert split_words("good", "jieba", 100) == ["good"]


def test_words_taught_to_jieba_elsewhere_change_nothing() -> None:
    import rjieba

    before = split_words("天地玄黄宇宙洪荒", "jieba", 100)
    rjieba.add_word("天地玄黄宇宙洪荒", 1_000_000, "n")
    assert split_words("天地玄黄宇宙洪荒", "jieba", 100) == before
    _segmenter.cache_clear()
    assert split_words("天地玄黄宇宙洪荒", "jieba", 100) == before


def test_chinese_needs_no_spaces() -> None:
    text = Text.with_options(tokenizer="word").learn(SCHEMA, column(*TEXTS))
    assert read(text, "很好吃") == read(text, "很 好 吃")


def test_rows_are_padded_with_zero_to_the_longest() -> None:
    text = Text.learn(SCHEMA, column(*TEXTS))
    tensors, _ = text.apply(column("the", "the cat dog", "the dog"))
    assert tensors["tokens_lengths"].tolist() == [1, 3, 2]
    assert (tensors["tokens"] == 0).tolist() == [[False, True, True], [False] * 3, [False, False, True]]


def test_pairs_stand_beside_characters() -> None:
    text = Text.with_options(tokenizer="char", ngrams=(2,)).learn(SCHEMA, column("abab", "ab"))
    assert text.tokenizer.tokens == ("a", "b")
    assert text.tokenizer.ngrams == (("ab",),)  # ba stands once
    tensors, _ = text.apply(column("aba", "x"))
    assert tensors["tokens"].tolist() == [[[2, 4], [3, 0], [2, 0]], [[1, 0], [0, 0], [0, 0]]]
    assert text.outputs["tokens"].shape == (None, 2)


def test_how_long_a_text_may_be_is_told_so_that_few_are_padded_at_once() -> None:
    options = Text.with_options(tokenizer="char", longest=100_000, ngrams=(9,) * 7)
    assert options.learn(SCHEMA, column("abab", "ab")).outputs["tokens"].longest == 100_000


@pytest.mark.parametrize(("bigrams", "wanted"), [(2, (("ab",),)), (0, ())])
def test_an_artifact_from_before_longer_runs_is_read(bigrams: int, wanted: Any) -> None:
    """As maas wrote it until it knew runs of more than two characters."""
    text = Text.with_options(tokenizer="char", ngrams=(bigrams,) * bool(bigrams)).learn(SCHEMA, column("abab", "ab"))
    state = json.loads(json.dumps(text.state()[0]))
    del state["ngrams"], state["options"]["ngrams"]
    state["options"]["bigrams"] = bigrams
    state["bigrams"] = ["ab"] * bool(bigrams)
    old = from_state("text", SCHEMA, state, {})
    assert isinstance(old, Text)
    assert old.tokenizer.ngrams == wanted
    assert old.state() == text.state()
    with pytest.raises(FormatError, match="a tokenizer's ngrams must be a list for each length"):
        from_state("text", SCHEMA, {**state, "bigrams": 5}, {})


def test_longer_runs_of_words_by_hand() -> None:
    """Reference: counted by hand. Each run kept stands twice; no run of four words does."""
    text = Text.with_options(tokenizer="word", ngrams=(9, 9, 9)).learn(SCHEMA, column("a b c", "a b c", "c a"))
    assert text.tokenizer.tokens == ("a", "c", "b")  # 3, 3 and 2 times
    assert text.tokenizer.ngrams == (("a b", "b c"), ("a b c",), ())
    tensors, _ = text.apply(column("A b c", "b c x"))
    assert tensors["tokens"].tolist() == [
        [[2, 5, 7, 0], [4, 6, 0, 0], [3, 0, 0, 0]],
        [[4, 6, 0, 0], [3, 0, 0, 0], [1, 0, 0, 0]],
    ]
    assert text.outputs["tokens"].limit == len(text.tokenizer) == 8


def test_the_commonest_runs_are_kept() -> None:
    text = Text.with_options(tokenizer="char", ngrams=(1,)).learn(SCHEMA, column("abab", "abcaca"))
    assert text.tokenizer.ngrams == (("ab",),)  # ab 3 times, ca 2


def test_links_and_handles_of_tweets_become_one_token_each() -> None:
    options = Text.with_options(style="tweets")
    text = options.learn(SCHEMA, column("@ann go https://a.b", "@bob go www.c.d/e?f"))
    assert text.tokenizer.tokens == ("<url>", "<user>", "go")
    assert read(text, "@zoe https://x.y/z") == [[3, 2]]


@each_kind
def test_a_text_is_cut_at_the_longest(options: TextOptions) -> None:
    short = TextOptions(**{**vars(options), "longest": 3}).learn(SCHEMA, column(*TEXTS))
    assert len(read(short, "the cat the dog the end " * 1000)[0]) == 3


@each_kind
def test_a_very_long_text_takes_no_long_time(options: TextOptions) -> None:
    text = TextOptions(**{**vars(options), "longest": 200_000}).learn(SCHEMA, column(*TEXTS))
    for long in ("a" * 100_000, "好" * 100_000, "the " * 25_000, "\ufdfa" * 5_000, ".," * 50_000):
        assert len(read(text, long)[0]) > 500


@each_kind
def test_nothing_left_is_the_rows_own_error(options: TextOptions) -> None:
    text = options.learn(SCHEMA, column(*TEXTS))
    tensors, errors = text.apply(column("the", "", " \u3000\n", "dog"))
    assert {row: str(error) for row, error in errors.items()} == {
        row: f"row {row}: field 'text' must hold text, got white space or nothing" for row in (1, 2)
    }
    assert len(tensors["tokens"]) == 4
    assert (tensors["tokens_lengths"] >= 1).all()


@each_kind
def test_any_text_is_answered(options: TextOptions) -> None:
    text = options.learn(SCHEMA, column(*TEXTS))
    for odd in ("\ud800", "\x00", "\u200b", "🙂👨‍👩‍👧", " unknown", "<unk>", "ﷺ", "e\u0301\u0301", "##the", "\ufeff"):
        assert all(0 <= n < len(text.tokenizer) for n in np.array(read(text, odd)[0]).flat), repr(odd)


@each_kind
def test_the_state_round_trip_gives_identical_tensors(options: TextOptions) -> None:
    text = options.learn(SCHEMA, column(*TEXTS))
    state, arrays = text.state()
    assert not arrays
    rebuilt = from_state("text", SCHEMA, json.loads(json.dumps(state)), {})
    for name, tensor in text.apply(column(*TEXTS, "never seen"))[0].items():
        assert torch.equal(rebuilt.apply(column(*TEXTS, "never seen"))[0][name], tensor)
    assert rebuilt.outputs == text.outputs
    assert rebuilt.examples(4) == text.examples(4)


@each_kind
def test_examples_are_valid_different_and_no_training_rows(options: TextOptions) -> None:
    text = options.learn(SCHEMA, column(*TEXTS))
    rows = text.examples(4)
    columns, errors = SCHEMA.rows_to_columns(json.loads(json.dumps(rows)))
    assert not errors
    assert not text.apply(columns)[1]
    assert len({row["text"] for row in rows}) == 4
    assert not {row["text"] for row in rows} & set(TEXTS)


@pytest.mark.parametrize("options", KINDS[:4], ids=["word", "char", "char ngrams", "word ngrams"])
def test_the_first_example_has_the_greatest_number(options: TextOptions) -> None:
    """So that a vocabulary greater than the network's embedding cannot load."""
    text = options.learn(SCHEMA, column(*TEXTS))
    assert np.max(np.array(read(text, text.examples(1)[0]["text"])[0])) == len(text.tokenizer) - 1


def test_learning_is_the_same_in_another_process() -> None:
    """Hash seeds differ between processes: the library's and Python's own."""
    code = (
        "import json, numpy as np\n"
        "from maas.preprocess import Text\n"
        "from maas.schema import Field, Schema\n"
        "words = ['w' + ''.join(chr(97 + (i * k) % 26) for k in (1, 3, 7)) for i in range(60)] * 2\n"
        "texts = np.array([' '.join(words[i:i + 9]) for i in range(100)], object)\n"
        "schema = Schema((Field('t', 'text', 'string'),))\n"
        "for kind in ('bpe', 'wordpiece', 'word', 'char'):\n"
        "    options = Text.with_options(tokenizer=kind, vocabulary=25, ngrams=(9, 9) * (kind in ('word', 'char')))\n"
        "    print(json.dumps(options.learn(schema, {'t': texts}).state()[0]))\n"
    )
    found = {subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout for _ in range(2)}
    assert len(found) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tokenizer": "thulac"}, "`tokenizer` must be one of word, char, jieba, bpe, wordpiece, got 'thulac'"),
        ({"style": "sms"}, "`style` must be one of plain, tweets, got 'sms'"),
        ({"vocabulary": 2}, "`vocabulary` must be an integer from 3 to 1048576, got 2"),
        ({"longest": 0}, "`longest` must be an integer from 1"),
        ({"longest": True}, "`longest` must be an integer from 1 to 1048576, got True"),
        ({"lowercase": 1}, "`lowercase` must be true or false, got 1"),
        ({"ngrams": (5,), "tokenizer": "bpe"}, "`ngrams` go with 'word', 'char', 'jieba', got tokenizer='bpe'"),
        ({"ngrams": 5}, r"`ngrams` must be a tuple, such as \(30_000,\), got 5"),
        ({"ngrams": (5, 0)}, r"`ngrams` must be integers from 1 to 1048576, such as \(30_000, 60_000\), got 0"),
        ({"ngrams": (True,)}, "`ngrams` must be integers from 1"),
        ({"ngrams": (5,) * 8}, "`ngrams` takes at most 7 counts, of 2 to 8 tokens, got 8"),
    ],
)
def test_a_bad_option_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Text.with_options(**options)


def test_texts_without_a_common_word_are_refused() -> None:
    with pytest.raises(DataError, match="no word stands twice in the 2 training texts"):
        Text.learn(SCHEMA, column("one", "two"))


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        ("bpe", {"tokens": ["a", "b"], "merges": [["a", "b"]]}, "a merge must join two tokens to a third"),
        ("bpe", {"tokens": ["a", "b", "ab"], "merges": [["a"]]}, "merges must be pairs of tokens"),
        ("bpe", {"tokens": ["a", "b", "ab"], "merges": [["a", 1]]}, "a merge must join two tokens"),
        ("bpe", {"merges": {}}, "a tokenizer's merges must be a list"),
        ("bpe", {"tokens": [" unknown"], "merges": []}, "a token holds no space"),
        ("wordpiece", {"tokens": ["a"], "merges": [["a", "a"]]}, "a wordpiece tokenizer has no merges"),
        ("wordpiece", {"tokens": ["\ud800"]}, "must be texts, got a lone surrogate"),
        ("word", {"tokens": ["a", "a"]}, "tokens must differ"),
        ("word", {"tokens": [1]}, "tokens must be strings of 1 to 102 characters"),
        ("word", {"tokens": [""]}, "tokens must be strings of 1 to 102"),
        ("word", {"tokens": ["x" * 10**6]}, "tokens must be strings of 1 to 102"),
        ("word", {"tokens": []}, "a tokenizer needs at least one token"),
        ("word", {"tokens": "abc"}, "tokens must be a list, got 'abc'"),
        ("bpe", {"ngrams": [["a b"]]}, "a bpe tokenizer has no n-grams"),
        ("word", {"ngrams": [["ab"]]}, "the n-grams of a word tokenizer must be 2 tokens each, got 'ab'"),
        ("word", {"ngrams": [["a "]]}, "the n-grams of a word tokenizer must be 2 tokens each, got 'a '"),
        ("word", {"ngrams": [["a b"], ["a b"]]}, "the n-grams of a word tokenizer must be 3 tokens each, got 'a b'"),
        ("char", {"ngrams": [["abc"]]}, "the n-grams of a char tokenizer must be 2 tokens each, got 'abc'"),
        ("char", {"ngrams": [["ab", "ab"]]}, "a tokenizer's n-grams must differ"),
        ("char", {"ngrams": [["x" * 10**6]]}, "a tokenizer's n-grams must be strings of 1 to 205 characters"),
        ("char", {"ngrams": [[1]]}, "a tokenizer's n-grams must be strings"),
        ("char", {"ngrams": ["ab"]}, "a tokenizer's ngrams must be a list for each length"),
        ("char", {"ngrams": "ab"}, "a tokenizer's ngrams must be a list, got 'ab'"),
        ("char", {"ngrams": [[]] * 8}, "a tokenizer has n-grams of 7 lengths at most, got 8"),
        ("char", {"options": {**vars(TextOptions()), "ngrams": {}}}, "`ngrams` must be integers from 1"),
        ("word", {"options": {}}, "a text's options must be tokenizer, vocabulary"),
        ("word", {"options": []}, "a text's options must be"),
        ("word", {"options": {**vars(TextOptions()), "tokenizer": "pickle"}}, "`tokenizer` must be one of"),
        ("word", {"options": {**vars(TextOptions()), "longest": 10**12}}, "`longest` must be an integer"),
        ("word", {"options": {**vars(TextOptions()), "tokenizer": ["word"]}}, "`tokenizer` must be one of"),
    ],
)
def test_a_hostile_state_is_refused(kind: str, change: dict[str, Any], message: str) -> None:
    state, _ = Text.with_options(tokenizer=kind, vocabulary=60).learn(SCHEMA, column(*TEXTS)).state()
    with pytest.raises(FormatError, match=message):
        Text.from_state(SCHEMA, {**state, **change}, {})


def test_the_register_finds_it_for_one_field_of_text() -> None:
    assert for_schema(SCHEMA) is Text
    other = Schema((Field("text", "text", "string", nullable=True),))
    state, _ = Text.learn(SCHEMA, column(*TEXTS)).state()
    with pytest.raises(FormatError, match="a text's schema is one field of kind text"):
        Text.from_state(other, state, {})
