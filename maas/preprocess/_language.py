"""A language model's tokens and its form of a conversation: the files that a tokenizer of Hugging Face consists of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from maas.errors import DataError, FormatError, MaasError, show

END = "<|endoftext|>"
TOKENIZERS = ("bpe", "char")
_PROBE = "A\u00e9 \u4f60\n\U0001f600"  # of one to four bytes


@dataclass(frozen=True)
class Language:
    """Text to tokens and back, and conversations to text.

    Args:
        tokenizer: the content of a `tokenizer.json`.
        begin: the token put before every text; None: none.
        ends: tokens that end an answer; the first one is put after every training text.
        chat_template: a Jinja template; None: the model takes no conversations.
        special: names of tokens that templates use, such as `{"bos_token": "<s>"}`.

    Raises:
        FormatError: the tokenizer or the template cannot be read.
    """

    tokenizer: str = field(repr=False)
    begin: int | None = None
    ends: tuple[int, ...] = ()
    chat_template: str | None = field(default=None, repr=False)
    special: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        size = len(self)
        for one in (*self.ends, *([] if self.begin is None else [self.begin])):
            if type(one) is not int or not 0 <= one < size:
                raise FormatError(f"a language's tokens are integers from 0 to {size - 1}, got {show(one)}")
        if self.chat_template is not None:
            _ = self._template

    @classmethod
    def learn(cls, texts: Iterable[str], *, vocabulary: int, tokenizer: str = "bpe") -> Language:
        """The tokens of training texts: every text can be written in them, none is unknown.

        Args:
            texts: to learn from.
            vocabulary: most tokens.
            tokenizer: "bpe", pairs of bytes that often stand together; or "char", a token for each of the most frequent
                characters that stand there at least twice, and bytes for the others.

        Raises:
            DataError: the vocabulary is too small for the 256 bytes and the token that ends a text.
        """
        if type(vocabulary) is not int or vocabulary < 257:
            raise DataError(f"`vocabulary` must be an integer from 257 on, got {show(vocabulary)}")
        if tokenizer not in TOKENIZERS:
            raise DataError(f"`tokenizer` must be one of {', '.join(TOKENIZERS)}, got {show(tokenizer)}")
        made = _byte_pairs(texts, vocabulary) if tokenizer == "bpe" else _characters(texts, vocabulary)
        return cls(made, begin=0, ends=(0,), special={"eos_token": END, "bos_token": END})

    def __len__(self) -> int:
        """How many tokens there are: one more than the greatest number of one."""
        return self._size

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """The tokens of texts, with `begin` before each; what stands for a special token becomes that token.

        Raises:
            DataError: the tokenizer cannot read one of them.
        """
        first = [] if self.begin is None else [self.begin]
        return [first + one for one in self._encoded(texts)]

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of tokens; special ones are left out."""
        with _told("the tokenizer cannot write these tokens", DataError):
            return str(self._pieces.decode(list(tokens), skip_special_tokens=True))

    def token(self, number: int) -> str:
        """One token as text; bytes that are no whole character become U+FFFD."""
        with _told("the tokenizer cannot write this token", DataError):
            return str(self._pieces.decode([number], skip_special_tokens=False))

    def chat(self, messages: Sequence[tuple[str, str]]) -> str:
        """A conversation as the text from which an answer goes on.

        Raises:
            DataError: the model takes no conversations, or not this one; or a message holds what stands for a special
                token, which only the template may write.
        """
        if self._template is None:
            raise DataError("this model takes no `messages`, give a `prompt`")
        parts = [part for message in messages for part in message]
        together = "".join(content.strip() for _, content in messages)  # a template may write them end to end
        for part in [*parts, together]:
            if found := next((one for one in self._special.values() if one in part), None):
                raise DataError(f"a message holds {found}, which only the model's own template may write")
        unknown = getattr(self._pieces.model, "unk_token", None)
        special = {number for number, name in self._special.items() if name != unknown}
        if special and any(not special.isdisjoint(row) for row in self._encoded([*parts, together])):
            raise DataError("a message holds another writing of a special token, which only the template may write")
        return str(self._template.render(messages))

    def state(self) -> dict[str, Any]:
        return {
            "tokenizer": self.tokenizer,
            "begin": self.begin,
            "ends": list(self.ends),
            "chat_template": self.chat_template,
            "special": dict(self.special),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Language:
        template, special = state["chat_template"], state["special"]
        if type(state["tokenizer"]) is not str or not (template is None or type(template) is str):
            raise FormatError("a language's tokenizer and chat template are strings")
        if type(special) is not dict or not all(type(one) is str for one in special.values()):
            raise FormatError("a language's special tokens are strings by name")
        return cls(state["tokenizer"], state["begin"], tuple(state["ends"]), template, special)

    @cached_property
    def _size(self) -> int:
        return 1 + max(self._pieces.get_vocab(with_added_tokens=True).values(), default=-1)  # there may be holes

    def _encoded(self, texts: Sequence[str]) -> list[list[int]]:
        with _told("the tokenizer cannot read this text", DataError):
            return [one.ids for one in self._pieces.encode_batch(list(texts), add_special_tokens=False)]

    @cached_property
    def _pieces(self) -> Any:
        with _told("the tokenizer cannot be read", FormatError):
            made = _library().Tokenizer.from_str(self.tokenizer)
            made.no_truncation()
            made.no_padding()
            made.decode(made.encode_batch([_PROBE], add_special_tokens=False)[0].ids)
        return made

    @cached_property
    def _special(self) -> dict[int, str]:
        """What stands for special tokens, by number."""
        added = self._pieces.get_added_tokens_decoder()
        return {number: token.content for number, token in added.items() if token.special and token.content}

    @cached_property
    def _template(self) -> Any:
        if self.chat_template is None:
            return None
        from maas.preprocess._chat_template import ChatTemplate

        return ChatTemplate(self.chat_template, self.special)


@contextmanager
def _told(what: str, error_class: type[DataError] | type[FormatError]) -> Iterator[None]:
    """Make one of our errors of whatever the library raises: bare ones, and panics, which are no `Exception`."""
    try:
        yield
    except (MaasError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:
        raise error_class(f"{what}: {str(error)[:300]}") from error


def _byte_pairs(texts: Iterable[str], vocabulary: int) -> str:
    """Source: Sennrich et al. 2016 (byte pairs); Radford et al. 2019, section 2.2 (of bytes)."""
    library = _library()
    made = library.Tokenizer(library.models.BPE())
    made.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = library.decoders.ByteLevel()
    trainer = library.trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END],
        initial_alphabet=sorted(library.pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    made.train_from_iterator(texts, trainer)
    return str(made.to_str())


def _characters(texts: Iterable[str], vocabulary: int) -> str:
    library = _library()
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text)
    often = sorted((one for one, count in counts.items() if count > 1), key=lambda one: (-counts[one], one))
    names = [END, *(f"<0x{byte:02X}>" for byte in range(256)), *often[: vocabulary - 257]]
    pairs = library.models.BPE({name: place for place, name in enumerate(names)}, [], byte_fallback=True)
    made = library.Tokenizer(pairs)
    made.decoder = library.decoders.Sequence([library.decoders.ByteFallback(), library.decoders.Fuse()])
    made.add_special_tokens([END])
    return str(made.to_str())


def _library() -> Any:
    try:
        import tokenizers
    except ImportError as error:
        raise DataError("language models need: pip install 'maas-torch[generate]'") from error
    return tokenizers
