"""Texts: normalised, cut into tokens, numbered, and padded to the longest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import torch

from maas.errors import DataError, FormatError, RowError, show
from maas.preprocess._base import Arrays, preprocess
from maas.preprocess._examples import spread
from maas.preprocess._tokenizer import MOST_ORDERS, NGRAM_LEVELS, PADDING, UNKNOWN, Tokenizer
from maas.preprocess._words import LEVELS, STYLES, normalise, split_words
from maas.schema import Columns, Schema, TensorSpec

_MOST = 1 << 20


@dataclass(frozen=True)
class TextOptions:
    """How texts are to be read; `Text.with_options` makes one, and `maas.fit(preprocess=...)` takes it.

    Args:
        tokenizer: "word": runs of letters and digits, marks, single Chinese and Japanese characters; "char":
            characters; "jieba": as "word", but words of Chinese, which needs the extra `chinese`; "bpe" or
            "wordpiece": parts of words, which need the extra `text`.
        vocabulary: most tokens, the padding and the unknown token among them.
        longest: most tokens of a text; what comes after is not looked at.
        lowercase: whether upper and lower case are alike.
        style: "plain", or "tweets", where links and handles become one token each.
        ngrams: most runs of two, of three, ... neighbouring tokens that have a number of their own, such as
            (30_000, 60_000); only with "word", "char" and "jieba".

    Raises:
        DataError: an option is out of its range.
    """

    tokenizer: str = "word"
    vocabulary: int = 10_000
    longest: int = 256
    lowercase: bool = True
    style: str = "plain"
    ngrams: Sequence[int] = ()

    def __post_init__(self) -> None:
        for name, known in (("tokenizer", LEVELS), ("style", STYLES)):
            if getattr(self, name) not in known:
                raise DataError(f"`{name}` must be one of {', '.join(known)}, got {show(getattr(self, name))}")
        for name, least in (("vocabulary", 3), ("longest", 1)):
            value = getattr(self, name)
            if type(value) is not int or not least <= value <= _MOST:
                raise DataError(f"`{name}` must be an integer from {least} to {_MOST}, got {show(value)}")
        if type(self.lowercase) is not bool:
            raise DataError(f"`lowercase` must be true or false, got {show(self.lowercase)}")
        counts = self.ngrams
        for one in counts if isinstance(counts, (tuple, list)) else (counts,):
            if type(one) is not int or not 0 < one <= _MOST:
                raise DataError(
                    f"`ngrams` must be integers from 1 to {_MOST}, such as (30_000, 60_000), got {show(one)}"
                )
        if not isinstance(counts, (tuple, list)):
            raise DataError(f"`ngrams` must be a tuple, such as (30_000,), got {show(counts)}")
        if len(counts) > MOST_ORDERS:
            raise DataError(
                f"`ngrams` takes at most {MOST_ORDERS} counts, of 2 to {MOST_ORDERS + 1} tokens, got {len(counts)}"
            )
        if counts and self.tokenizer not in NGRAM_LEVELS:
            raise DataError(f"`ngrams` go with {', '.join(map(repr, NGRAM_LEVELS))}, got tokenizer={self.tokenizer!r}")
        object.__setattr__(self, "ngrams", tuple(counts))

    def takes(self, schema: Schema) -> bool:
        """Whether this preprocessing is the one for these fields."""
        return Text.takes(schema)

    def learn(self, schema: Schema, columns: Columns) -> Text:
        """Learn the vocabulary from training rows, and only from them."""
        name = schema.names[0]
        texts = self.normalised({name: columns[name]})[name]
        words = [split_words(text, self.tokenizer, self.longest) for text in texts]
        learned = Tokenizer.learn(self.tokenizer, words, vocabulary=self.vocabulary, ngrams=self.ngrams)
        return Text(schema, self, learned)

    def normalised(self, columns: Columns) -> Columns:
        """The texts as the network will be shown them, for `rows.drop_duplicates(alike=options.normalised)`."""
        done = {}
        for name, column in columns.items():
            done[name] = np.empty(len(column), object)
            done[name][:] = [normalise(text, style=self.style, lowercase=self.lowercase) for text in column]
        return done


@preprocess("text")
@dataclass(frozen=True)
class Text:
    """One field of text to `tokens`, int64 of shape (batch, tokens), and `tokens_lengths`, int64 of shape (batch,).

    A text is normalised (NFKC, white space, by option case, links and handles), cut into at most `longest` tokens and
    numbered: 0 pads, 1 is any token that was not learned. With n-grams `tokens` is (batch, tokens, 1 + orders): each
    token, the pair that begins with it, the run of three, ..., and 0 where there is none that was learned. A text of
    which nothing is left is refused.

    The rows stay as they came, so that a served text goes the very same way; two texts that differ only in what is
    normalised away are found by `rows.drop_duplicates(alike=options.normalised)` before the split.

    Args:
        schema: one field of kind "text".
        options: how texts are read.
        tokenizer: the learned vocabulary.
    """

    kind = "text"

    schema: Schema
    options: TextOptions
    tokenizer: Tokenizer

    @classmethod
    def takes(cls, schema: Schema) -> bool:
        return [(field.kind, field.dtype, field.nullable) for field in schema.fields] == [("text", "string", False)]

    @staticmethod
    def with_options(
        *,
        tokenizer: str = "word",
        vocabulary: int = 10_000,
        longest: int = 256,
        lowercase: bool = True,
        style: str = "plain",
        ngrams: Sequence[int] = (),
    ) -> TextOptions:
        """This preprocessing, told how: `maas.fit(recipe, train, preprocess=Text.with_options(tokenizer="bpe"))`.

        Args: those of `TextOptions`.
        """
        return TextOptions(tokenizer, vocabulary, longest, lowercase, style, ngrams)

    @classmethod
    def learn(cls, schema: Schema, columns: Columns) -> Text:
        return TextOptions().learn(schema, columns)

    @property
    def outputs(self) -> Mapping[str, TensorSpec]:
        orders = len(self.tokenizer.ngrams)
        shape = (None, 1 + orders) if orders else (None,)
        tokens = TensorSpec(shape, "int64", len(self.tokenizer), longest=self.options.longest)
        return {"tokens": tokens, "tokens_lengths": TensorSpec((), "int64")}

    def apply(self, columns: Columns) -> tuple[dict[str, torch.Tensor], dict[int, RowError]]:
        name, options = self.schema.names[0], self.options
        errors: dict[int, RowError] = {}
        known: dict[str, list[int]] = {}
        found: list[np.ndarray[Any, Any]] = []
        for row, text in enumerate(self.options.normalised({name: columns[name]})[name]):
            words = split_words(text, options.tokenizer, options.longest)
            numbers = self.tokenizer.numbers(words, options.longest, known)
            if not numbers:
                errors[row] = RowError(row, name, f"field {show(name)} must hold text, got white space or nothing")
                words, numbers = ["?"], [UNKNOWN]
            found.append(np.array([numbers, *self.tokenizer.runs(words)], np.int64))
        lengths = np.array([part.shape[1] for part in found], np.int64)
        tokens = np.full((len(found), max(lengths, default=1), 1 + len(self.tokenizer.ngrams)), PADDING, np.int64)
        for row, part in enumerate(found):
            tokens[row, : lengths[row]] = part.T
        if not self.tokenizer.ngrams:
            tokens = tokens[:, :, 0]
        return {"tokens": torch.from_numpy(tokens), "tokens_lengths": torch.from_numpy(lengths)}, errors

    def baselines(self) -> Mapping[str, torch.Tensor]:
        """Padding, whose vector is zero."""
        return {"tokens": torch.tensor(PADDING)}

    def attribute(self, columns: Columns, parts: Mapping[str, np.ndarray[Any, Any]]) -> list[dict[str, Any]]:
        """The normalised text, and its tokens: where each begins and ends in it, and what it adds.

        What an n-gram adds is counted to the token that it begins with.
        """
        name = self.schema.names[0]
        rows = []
        for text, part in zip(self.options.normalised({name: columns[name]})[name], parts["tokens"], strict=True):
            added = part if part.ndim == 1 else part.sum(axis=1)
            tokens = [
                {"token": text[start:end], "start": start, "end": end, "attribution": number}
                for (start, end), number in zip(self._places(text), added.tolist(), strict=False)
            ]
            rows.append({name: {"text": text, "tokens": tokens}})
        return rows

    def _places(self, text: str) -> list[tuple[int, int]]:
        """Where the tokens of a normalised text begin and end in it."""
        known: dict[str, list[int]] = {}
        places, at = [], 0
        for word in split_words(text, self.options.tokenizer, self.options.longest):
            at = text.index(word, at)
            lengths = self.tokenizer.lengths(word, known)
            for length in lengths:
                places.append((at, at + length))
                at += length
        return places[: self.options.longest]

    def examples(self, count: int) -> list[dict[str, Any]]:
        field = self.schema.fields[0]
        between = "" if self.options.tokenizer == "char" else " "
        tokens = [token.removeprefix("##") for token in self.tokenizer.tokens]
        tokens = [token for token in tokens if normalise(token)] or ["?"]
        rows = []
        for index in range(count):
            drawn = [tokens[int(spread(index + 1, place + 1) * len(tokens))] for place in range(4 + 3 * index)]
            if index == 0:  # the greatest numbers, which a network with too small an embedding has no place for
                drawn = [tokens[-1], *[runs[-1] for runs in self.tokenizer.ngrams if runs][-1:], *drawn]
            rows.append({field.name: between.join(drawn)[: field.longest]})
        return rows

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray[Any, Any]]]:
        options = {**asdict(self.options), "ngrams": list(self.options.ngrams)}
        return {"options": options, **self.tokenizer.state()}, {}

    @classmethod
    def from_state(cls, schema: Schema, state: Mapping[str, Any], arrays: Arrays) -> Text:
        if not cls.takes(schema):
            raise FormatError("a text's schema is one field of kind text, a string that is never null")
        state = _of_pairs(state)
        given = state["options"]
        if type(given) is not dict or set(given) != {field.name for field in fields(TextOptions)}:
            raise FormatError(f"a text's options must be {', '.join(field.name for field in fields(TextOptions))}")
        try:
            options = TextOptions(**given)
        except (DataError, TypeError) as error:
            raise FormatError(str(error)) from error
        return cls(schema, options, Tokenizer.from_state(options.tokenizer, state))


def _of_pairs(state: Mapping[str, Any]) -> Mapping[str, Any]:
    """A state as it is written now: older artifacts have `bigrams`, pairs of characters only."""
    options = state["options"]
    if "ngrams" in state or type(options) is not dict or type(options.get("bigrams")) is not int:
        return state
    options = {name: value for name, value in options.items() if name != "bigrams"}
    options["ngrams"] = [state["options"]["bigrams"]] if state["options"]["bigrams"] else []
    return {**state, "options": options, "ngrams": [state["bigrams"]] if state["bigrams"] else []}
