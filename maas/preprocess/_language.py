"""A language model's tokens and its form of a conversation: the files that a tokenizer of Hugging Face consists of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from maas.errors import DataError, FormatError, show

END = "<|endoftext|>"


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
    def learn(cls, texts: Iterable[str], *, vocabulary: int) -> Language:
        """Byte pairs of training texts: every text can be written, none is unknown.

        Raises:
            DataError: the vocabulary is too small for the 256 bytes and the token that ends a text.
        """
        library = _library()
        if type(vocabulary) is not int or vocabulary < 257:
            raise DataError(f"`vocabulary` must be an integer from 257 on, got {show(vocabulary)}")
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
        return cls(made.to_str(), begin=0, ends=(0,), special={"eos_token": END, "bos_token": END})

    def __len__(self) -> int:
        """How many tokens there are."""
        return int(self._pieces.get_vocab_size(with_added_tokens=True))

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """The tokens of texts, with `begin` before each; names of special tokens in a text stand for these."""
        first = [] if self.begin is None else [self.begin]
        return [first + one.ids for one in self._pieces.encode_batch(list(texts), add_special_tokens=False)]

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of tokens; special ones are left out."""
        return str(self._pieces.decode(list(tokens), skip_special_tokens=True))

    def token(self, number: int) -> str:
        """One token as text; bytes that are no whole character become U+FFFD."""
        return str(self._pieces.decode([number], skip_special_tokens=False))

    def chat(self, messages: Sequence[tuple[str, str]]) -> str:
        """A conversation as the text from which an answer goes on.

        Raises:
            DataError: the model takes no conversations, or not this one.
        """
        import jinja2

        if self._template is None:
            raise DataError("this model takes no `messages`, give a `prompt`")
        for _, content in messages:
            if found := next((one for one in self._special if one in content), None):
                raise DataError(f"a message holds {found}, which only the model's own template may write")
        listed = [{"role": role, "content": content} for role, content in messages]
        try:
            return str(self._template.render(messages=listed, add_generation_prompt=True, **self.special))
        except (jinja2.TemplateError, TypeError, ValueError, LookupError, ArithmeticError, RecursionError) as error:
            raise DataError(f"the model takes no such conversation: {str(error)[:300]}") from error

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
    def _pieces(self) -> Any:
        try:
            made = _library().Tokenizer.from_str(self.tokenizer)
        except Exception as error:  # the library raises bare ones
            raise FormatError(f"the tokenizer cannot be read: {str(error)[:300]}") from error
        made.no_truncation()
        made.no_padding()
        return made

    @cached_property
    def _special(self) -> list[str]:
        added = self._pieces.get_added_tokens_decoder().values()
        return [token.content for token in added if token.special and token.content]

    @cached_property
    def _template(self) -> Any:
        if self.chat_template is None:
            return None
        try:
            import jinja2
            from jinja2.sandbox import ImmutableSandboxedEnvironment
        except ImportError as error:
            raise DataError("conversations need: pip install 'maas-torch[generate]'") from error

        def refuse(message: str) -> None:
            raise jinja2.TemplateError(message)

        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        environment.globals["raise_exception"] = refuse
        try:
            return environment.from_string(self.chat_template)
        except jinja2.TemplateError as error:
            raise FormatError(f"the chat template cannot be read: {error}") from error


def _library() -> Any:
    try:
        import tokenizers
    except ImportError as error:
        raise DataError("language models need: pip install 'maas-torch[generate]'") from error
    return tokenizers
