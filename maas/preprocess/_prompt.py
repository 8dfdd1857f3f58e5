"""Prompts and conversations as tokens, and how to go on from them as numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from maas.errors import DataError, FormatError, RowError, show
from maas.preprocess._base import Arrays, preprocess
from maas.preprocess._language import TOKENIZERS, Language
from maas.schema import GENERATION_OPTIONS, Columns, Schema, TensorSpec

MOST_LOGPROBS = 20
_RANGES: Mapping[str, tuple[float, float, bool]] = {  # least, greatest, whether it is a whole number
    "max_tokens": (0, 1 << 20, True),
    "temperature": (0, 100, False),
    "top_k": (0, 1 << 20, True),
    "top_p": (1e-6, 1, False),
    "repetition_penalty": (0.01, 100, False),
    "seed": (0, 1 << 53, True),
    "logprobs": (0, MOST_LOGPROBS, True),
}
_DEFAULTS = {"temperature": 0.0, "top_k": 0.0, "top_p": 1.0, "repetition_penalty": 1.0}
_DEFAULT_TOKENS = 256
_SAMPLE = "It was"


@dataclass(frozen=True)
class PromptOptions:
    """How prompts are to be read; `Prompt.with_options` makes one, and `maas.fit(preprocess=...)` takes it.

    Args:
        tokenizer: "bpe", pairs of bytes that often stand together; or "char", a token for each of the most frequent
            characters that stand in training at least twice, and bytes for the others. Both can write any text.
        vocabulary: most tokens that are learned, from 257 on.
        context: most tokens of a row, prompt and answer, and the length of the windows that training packs texts into.

    Raises:
        DataError: an option is out of its range.
    """

    tokenizer: str = "bpe"
    vocabulary: int = 8_000
    context: int = 512

    def __post_init__(self) -> None:
        if self.tokenizer not in TOKENIZERS:
            raise DataError(f"`tokenizer` must be one of {', '.join(TOKENIZERS)}, got {show(self.tokenizer)}")
        if type(self.vocabulary) is not int or not 257 <= self.vocabulary <= 1 << 20:
            raise DataError(f"`vocabulary` must be an integer from 257 to {1 << 20}, got {show(self.vocabulary)}")
        if type(self.context) is not int or not 2 <= self.context <= 1 << 20:
            raise DataError(f"`context` must be an integer from 2 to {1 << 20}, got {show(self.context)}")

    def takes(self, schema: Schema) -> bool:
        """Whether this preprocessing is the one for these fields."""
        return Prompt.takes(schema)

    def learn(self, schema: Schema, columns: Columns) -> Prompt:
        """Learn the tokens from training texts, and only from them."""
        texts = [text for text in columns["prompt"] if text is not None]
        if not texts:
            raise DataError("tokens are learned from texts, as maas.data.read_corpus gives them, the rows have none")
        language = Language.learn(texts, vocabulary=self.vocabulary, tokenizer=self.tokenizer)
        return Prompt(schema, language, self.context)


@preprocess("prompt")
@dataclass(frozen=True)
class Prompt:
    """A row of `maas.schema.generation_schema` to tensors.

    In a `prompt` the names of special tokens, such as "<|endoftext|>", stand for these; in `messages` they are refused.

    `tokens`, int64 of shape (batch, tokens), padded with 0, and `tokens_lengths`; `options`, float64 of shape (batch,
    8) in the order of `maas.schema.GENERATION_OPTIONS`; and `stop`, uint8 of shape (batch, bytes): stop strings in
    UTF-8, each ended by a 0, with `stop_lengths`.

    Args:
        schema: of a generation.
        language: tokens and conversations.
        context: most tokens of a row, prompt and answer.
        defaults: options of rows that do not say them.
    """

    kind = "prompt"

    schema: Schema
    language: Language
    context: int
    defaults: Mapping[str, float] | None = None

    @classmethod
    def takes(cls, schema: Schema) -> bool:
        return schema.fields[0].kind == "prompt"

    @staticmethod
    def with_options(*, tokenizer: str = "bpe", vocabulary: int = 8_000, context: int = 512) -> PromptOptions:
        """This preprocessing, told how: `maas.fit(recipe, train, preprocess=Prompt.with_options(context=512))`.

        Args: those of `PromptOptions`.
        """
        return PromptOptions(tokenizer, vocabulary, context)

    @classmethod
    def learn(cls, schema: Schema, columns: Columns) -> Prompt:
        return PromptOptions().learn(schema, columns)

    @property
    def outputs(self) -> Mapping[str, TensorSpec]:
        return {
            "tokens": TensorSpec((None,), "int64", len(self.language), longest=self.context),
            "tokens_lengths": TensorSpec((), "int64"),
            "options": TensorSpec((len(GENERATION_OPTIONS),), "float64"),
            "stop": TensorSpec((None,), "uint8", longest=self.schema["stop"].longest),
            "stop_lengths": TensorSpec((), "int64"),
        }

    def apply(self, columns: Columns) -> tuple[dict[str, torch.Tensor], dict[int, RowError]]:
        errors: dict[int, RowError] = {}
        tokens = self._tokens(columns, errors)
        options = np.stack([columns[name] for name in GENERATION_OPTIONS], axis=1)
        self._check_options(options, errors)
        for row, one in enumerate(tokens):
            most = options[row, 0]
            if len(one) + (0 if math.isnan(most) else most) > self.context:
                errors.setdefault(row, self._too_long(row, len(one), most))
                tokens[row] = one[: self.context]
            if math.isnan(most):
                room = self.context - len(tokens[row])
                options[row, 0] = min(room, (self.defaults or {}).get("max_tokens", _DEFAULT_TOKENS))
        stops = [self._stops(row, one or (), errors) for row, one in enumerate(columns["stop"])]
        padded, lengths = _padded(tokens, np.int64)
        stop, stop_lengths = _padded([list(one) for one in stops], np.uint8)
        return {
            "tokens": padded,
            "tokens_lengths": lengths,
            "options": torch.from_numpy(options),
            "stop": stop,
            "stop_lengths": stop_lengths,
        }, errors

    def examples(self, count: int) -> list[dict[str, Any]]:
        """Prompts that are scored and not gone on from: numbers can be compared within a tolerance, texts cannot."""
        size = len(self.language)
        rows = []
        for index in range(count):
            drawn = [(7 + 31 * index + 1013 * place * (index + 1)) % size for place in range(3 + 2 * index)]
            text = self.language.decode(drawn).replace("�", "") or _SAMPLE
            rows.append({"prompt": text, "max_tokens": 0, "echo": True})
        return rows

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray[Any, Any]]]:
        return {"language": self.language.state(), "context": self.context, "defaults": dict(self.defaults or {})}, {}

    @classmethod
    def from_state(cls, schema: Schema, state: Mapping[str, Any], arrays: Arrays) -> Prompt:
        if not cls.takes(schema) or {"messages", "stop", *GENERATION_OPTIONS} - set(schema.names):
            raise FormatError("a prompt's schema has the fields of maas.schema.generation_schema")
        context, defaults = state["context"], state["defaults"]
        if type(context) is not int or not 2 <= context <= 1 << 24:
            raise FormatError(f"a prompt's context is a number of tokens from 2 on, got {show(context)}")
        known = type(defaults) is dict and set(defaults) <= set(_RANGES)
        if not known or not all(
            type(value) in (int, float) and _RANGES[name][0] <= value <= _RANGES[name][1]
            for name, value in defaults.items()
        ):
            raise FormatError(f"a prompt's defaults are numbers for {', '.join(_RANGES)}, got {show(str(defaults))}")
        return cls(schema, Language.from_state(state["language"]), context, defaults)

    def _tokens(self, columns: Columns, errors: dict[int, RowError]) -> list[list[int]]:
        """The tokens of each row, at least one."""
        texts = []
        for row, (prompt, messages) in enumerate(zip(columns["prompt"], columns["messages"], strict=True)):
            try:
                texts.append(self._text(prompt, messages))
            except DataError as error:
                errors[row] = RowError(row, "prompt" if messages is None else "messages", str(error))
                texts.append(_SAMPLE)
        try:
            found = self.language.encode(texts)
        except DataError:  # one of them cannot be read
            found = []
            for row, text in enumerate(texts):
                try:
                    found += self.language.encode([text])
                except DataError as error:
                    name = "prompt" if columns["messages"][row] is None else "messages"
                    errors.setdefault(row, RowError(row, name, f"`{name}`: {error}"))
                    found.append([0])
        for row, one in enumerate(found):
            if columns["messages"][row] is not None and self.language.begin is not None:
                del one[:1]  # a template writes it itself, where the model wants it
            if not one:
                errors.setdefault(row, RowError(row, "prompt", "`prompt` must hold at least one token, got none"))
                one.append(0)
        return found

    def _text(self, prompt: str | None, messages: tuple[tuple[str, str], ...] | None) -> str:
        if prompt is not None and messages is not None:
            raise DataError("give `prompt` or `messages`, got both")
        if messages is not None:
            if not all(_is_text(part) for message in messages for part in message):
                raise DataError("`messages` hold half of a surrogate pair, which is no character; send UTF-8")
            return self.language.chat(messages)
        if prompt is None:
            raise DataError("give `prompt` or `messages`, got neither")
        if not _is_text(prompt):
            raise DataError("`prompt` holds half of a surrogate pair, which is no character; send UTF-8")
        return prompt

    def _stops(self, row: int, stops: Sequence[str], errors: dict[int, RowError]) -> bytes:
        for one in stops:
            if not one or "\0" in one or not _is_text(one):
                detail = f"`stop` must hold texts of at least one character and no NUL, got {show(one)}"
                errors.setdefault(row, RowError(row, "stop", detail))
                return b""
        return b"".join(one.encode() + b"\0" for one in stops)

    def _check_options(self, options: np.ndarray[Any, Any], errors: dict[int, RowError]) -> None:
        """Fill in defaults, and tell what is out of its range."""
        for place, name in enumerate(GENERATION_OPTIONS[:-1]):
            column = options[:, place]
            default = (self.defaults or {}).get(name, _DEFAULTS.get(name, math.nan))
            if name != "max_tokens":
                column[np.isnan(column)] = default
            least, most, whole = _RANGES[name]
            wrong = (column < least) | (column > most) | (whole & (column != np.floor(column)) & ~np.isnan(column))
            for row in np.flatnonzero(wrong).tolist():
                kind = "an integer" if whole else "a number"
                detail = f"`{name}` must be {kind} from {_plain(least)} to {_plain(most)}, got {_plain(column[row])}"
                errors.setdefault(row, RowError(row, name, detail))
                column[row] = least
        options[:, -1] = np.nan_to_num(options[:, -1])

    def _too_long(self, row: int, length: int, most: float) -> RowError:
        if length > self.context:
            detail = f"the prompt has {length} tokens, the model takes {self.context}, with the answer; shorten it"
            return RowError(row, "prompt", f"{detail}; a corpus is cut by `longest` of maas.data.read_corpus")
        detail = (
            f"the prompt has {length} tokens and `max_tokens` asks for {most:.0f} more, the model takes {self.context} "
            f"in all; shorten one of them"
        )
        return RowError(row, "max_tokens", detail)


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _plain(number: float) -> str:
    return f"{number:.0f}" if number == math.floor(number) else f"{number:g}"


def _padded(rows: list[list[int]], dtype: Any) -> tuple[torch.Tensor, torch.Tensor]:
    lengths = np.array([len(one) for one in rows], np.int64)
    padded = np.zeros((len(rows), int(lengths.max(initial=0))), dtype)
    for row, one in enumerate(rows):
        padded[row, : len(one)] = one
    return torch.from_numpy(padded), torch.from_numpy(lengths)
