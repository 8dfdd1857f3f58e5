"""Rows of a generation to tensors: each bad one is told with its field, its neighbours are answered."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from maas.errors import DataError, FormatError
from maas.preprocess import Language, Prompt, from_state
from maas.schema import GENERATION_OPTIONS, generation_schema

SCHEMA = generation_schema(10_000)
PROMPT = Prompt(SCHEMA, Language.learn(["the cat sat"], vocabulary=257), 32)


def applied(*rows: dict[str, Any]) -> tuple[dict[str, Any], dict[int, Any]]:
    columns, errors = SCHEMA.rows_to_columns(list(rows))
    assert not errors
    return PROMPT.apply(columns)


def test_a_row_becomes_tokens_and_numbers() -> None:
    tensors, errors = applied(
        {"prompt": "ab", "top_k": 3, "stop": ["é", "x"]}, {"prompt": "a", "seed": 7, "echo": True}
    )
    assert not errors
    assert tensors["tokens_lengths"].tolist() == [3, 2]
    told = [dict(zip(GENERATION_OPTIONS, row, strict=True)) for row in tensors["options"].tolist()]
    assert (told[0]["max_tokens"], told[0]["top_k"], told[0]["top_p"], told[0]["temperature"]) == (29, 3, 1, 0)
    assert (told[1]["seed"], told[1]["echo"], np.isnan(told[0]["seed"])) == (7, 1, True)
    assert bytes(tensors["stop"][0].tolist()) == "é\0x\0".encode()
    assert tensors["stop_lengths"].tolist() == [5, 0]


@pytest.mark.parametrize(
    ("row", "field", "told"),
    [
        ({}, "prompt", "give `prompt` or `messages`, got neither"),
        ({"prompt": "a", "messages": [{"role": "user", "content": "b"}]}, "messages", "got both"),
        ({"messages": [{"role": "user", "content": "b"}]}, "messages", "takes no `messages`, give a `prompt`"),
        ({"prompt": "a\ud800"}, "prompt", "`prompt` holds half of a surrogate pair"),
        ({"messages": [{"role": "user", "content": "\udfff"}]}, "messages", "`messages` hold half of a surrogate pair"),
        ({"prompt": "x" * 32}, "prompt", "the prompt has 33 tokens, the model takes 32, with the answer; shorten it"),
        ({"prompt": "x", "max_tokens": 31}, "max_tokens", "has 2 tokens and `max_tokens` asks for 31 more"),
        ({"prompt": "x", "max_tokens": -1}, "max_tokens", "must be an integer from 0 to 1048576, got -1"),
        ({"prompt": "x", "max_tokens": 1.5}, "max_tokens", "must be an integer from 0 to 1048576, got 1.5"),
        ({"prompt": "x", "temperature": -0.1}, "temperature", "must be a number from 0 to 100, got -0.1"),
        ({"prompt": "x", "temperature": 1e9}, "temperature", "must be a number from 0 to 100, got 1000000000"),
        ({"prompt": "x", "top_k": 0.5}, "top_k", "must be an integer from 0 to 1048576, got 0.5"),
        ({"prompt": "x", "top_p": 0}, "top_p", "must be a number from 1e-06 to 1, got 0"),
        ({"prompt": "x", "top_p": 1.1}, "top_p", "must be a number from 1e-06 to 1, got 1.1"),
        ({"prompt": "x", "repetition_penalty": 0}, "repetition_penalty", "from 0.01 to 100, got 0"),
        ({"prompt": "x", "seed": 2.5}, "seed", "must be an integer from 0 to 9007199254740992, got 2.5"),
        ({"prompt": "x", "logprobs": 21}, "logprobs", "must be an integer from 0 to 20, got 21"),
        ({"prompt": "x", "stop": ["a", ""]}, "stop", "at least one character and no NUL, got ''"),
        ({"prompt": "x", "stop": ["a\0"]}, "stop", "at least one character and no NUL, got"),
        ({"prompt": "x", "stop": ["\ud800"]}, "stop", "at least one character and no NUL, got"),
    ],
)
def test_a_bad_row_is_told_and_its_neighbours_stay(row: dict[str, Any], field: str, told: str) -> None:
    tensors, errors = applied({"prompt": "ab"}, row, {"prompt": "c", "max_tokens": 2})
    assert list(errors) == [1]
    assert errors[1].field == field
    assert told in errors[1].detail
    wanted, _ = applied({"prompt": "ab"}, {"prompt": "c", "max_tokens": 2})
    for place, alone in ((0, 0), (2, 1)):
        length = int(tensors["tokens_lengths"][place])
        assert tensors["tokens"][place, :length].tolist() == wanted["tokens"][alone, :length].tolist()
        np.testing.assert_array_equal(tensors["options"][place], wanted["options"][alone])


def test_a_prompt_of_no_token() -> None:
    bare = Prompt(SCHEMA, Language(PROMPT.language.tokenizer, None, (0,)), 32)
    columns, _ = SCHEMA.rows_to_columns([{"prompt": ""}])
    _, errors = bare.apply(columns)
    assert errors[0].detail == "`prompt` must hold at least one token, got none"


def test_defaults_stand_in_for_options_that_are_not_said() -> None:
    own = Prompt(SCHEMA, PROMPT.language, 32, {"temperature": 0.7, "max_tokens": 5})
    columns, _ = SCHEMA.rows_to_columns([{"prompt": "a"}, {"prompt": "a", "temperature": 0}])
    tensors, _ = own.apply(columns)
    assert tensors["options"][:, :2].tolist() == [[5, 0.7], [5, 0]]


def test_it_is_stored_and_read_back() -> None:
    state, arrays = PROMPT.state()
    again = from_state("prompt", SCHEMA, state, arrays)
    assert again.state() == (state, arrays)


@pytest.mark.parametrize(
    "change", [{"context": 1}, {"context": True}, {"defaults": {"seed": -1}}, {"defaults": {"x": 1}}]
)
def test_a_stored_prompt_is_checked(change: dict[str, Any]) -> None:
    state, arrays = PROMPT.state()
    with pytest.raises(FormatError, match="a prompt's"):
        Prompt.from_state(SCHEMA, {**state, **change}, arrays)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"vocabulary": 256}, "`vocabulary` must be an integer from 257"),
        ({"context": 1}, "`context` must be an integer from 2 to"),
        ({"tokenizer": "word"}, "`tokenizer` must be one of bpe, char, got 'word'"),
    ],
)
def test_options_are_checked_before_anything_is_learned(options: dict[str, Any], told: str) -> None:
    with pytest.raises(DataError, match=told):
        Prompt.with_options(**options)
