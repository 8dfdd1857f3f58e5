"""The tokens of a published model, its form of a conversation, and the options it was published with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from maas.errors import DataError, FormatError, show
from maas.importing._checkpoint import Checkpoint
from maas.preprocess import Language

_TOKENS = ("bos_token", "eos_token", "unk_token", "pad_token")
_PROBE = "a"
_DRAWN = ("temperature", "top_k", "top_p")  # what says how to draw, where a model is published to draw


def language_of(found: Checkpoint) -> Language:
    """The language of a checkpoint.

    Raises:
        FormatError: its tokenizer or template cannot be read, or adds tokens otherwise than one at the beginning.
    """
    try:
        import tokenizers
    except ImportError as error:
        raise DataError("language models need: pip install 'maas-torch[generate]'") from error
    config = found.tokenizer_config
    named = {name: _text(config[name], name) for name in _TOKENS if config.get(name) is not None}
    language = Language(found.tokenizer)  # it tells a tokenizer that cannot be read
    pieces = tokenizers.Tokenizer.from_str(found.tokenizer)
    return Language(
        found.tokenizer,
        _begin(pieces),
        _ends(pieces, found, named, len(language)),
        _template(config.get("chat_template")),
        named,
    )


def defaults_of(generation: Mapping[str, Any]) -> dict[str, float]:
    """Options of rows that do not say them, out of a generation_config.json; to draw only where it says `do_sample`.

    Raises:
        FormatError: one of them is no number.
    """
    wanted = {"repetition_penalty": "repetition_penalty", "max_tokens": "max_new_tokens"}
    if generation.get("do_sample") is True:
        wanted |= {name: name for name in _DRAWN}
    found: dict[str, float] = {}
    for name, theirs in wanted.items():
        value = generation.get(theirs, 1.0 if theirs == "temperature" else None)
        if value is None:
            continue
        if type(value) not in (int, float):
            raise FormatError(f"generation_config.json has the `{theirs}` {show(value)}, a number is wanted")
        found[name] = value
    return found


def _begin(pieces: Any) -> int | None:
    """The token before every text: tokenizer.json says it, which was written with what else is configured."""
    plain = pieces.encode(_PROBE, add_special_tokens=False).ids
    whole = pieces.encode(_PROBE, add_special_tokens=True).ids
    if whole == plain:
        return None
    if whole[1:] == plain:
        first: int = whole[0]
        return first
    raise FormatError(
        f"the post-processor of tokenizer.json makes {whole} of {plain}; maas adds one token, at the beginning"
    )


def _ends(pieces: Any, found: Checkpoint, named: Mapping[str, str], size: int) -> tuple[int, ...]:
    """The tokens that end an answer, as transformers finds them: those of the generation, else of the model."""
    for name, config in (("generation_config.json", found.generation_config), ("config.json", found.config)):
        said = config.get("eos_token_id")
        if said is None:
            continue
        ends = said if type(said) is list else [said]
        if not ends or not all(type(one) is int and 0 <= one < size for one in ends):
            raise FormatError(
                f"{name} has the `eos_token_id` {show(str(said))}, the tokenizer has tokens 0 to {size - 1}"
            )
        return tuple(ends)
    if "eos_token" in named:
        return (_number(pieces, named["eos_token"]),)
    raise FormatError(
        "neither generation_config.json nor config.json has an `eos_token_id`, nor tokenizer_config.json an "
        "`eos_token`: nothing would end an answer; say it in one of them"
    )


def _number(pieces: Any, token: str) -> int:
    found = pieces.token_to_id(token)
    if found is None:
        raise FormatError(f"tokenizer_config.json names the token {show(token)}, tokenizer.json has none such")
    number: int = found
    return number


def _template(said: Any) -> str | None:
    """A model may have several templates by name; the default one is for conversations."""
    if type(said) is list:
        said = next(
            (one.get("template") for one in said if isinstance(one, dict) and one.get("name") == "default"), None
        )
    if said is not None and type(said) is not str:
        raise FormatError(f"tokenizer_config.json has the `chat_template` {show(said)}, a text is wanted")
    return said


def _text(token: Any, name: str) -> str:
    content = token.get("content") if isinstance(token, dict) else token
    if type(content) is not str:
        raise FormatError(f"tokenizer_config.json has the `{name}` {show(content)}, a text is wanted")
    return content
