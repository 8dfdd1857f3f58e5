"""The tokenizer that a GGUF file describes, as a tokenizer.json: pairs of bytes, cut up before as its kind says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from maas.errors import DataError, FormatError, show

_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_DIGITS: Mapping[str, str] = {"qwen2": "", "llama-bpe": "{1,3}"}  # how many together, of what cuts by `_WORDS`
_KINDS = ("gpt-2", "smollm", *_DIGITS)
_SPECIAL, _USERS = 3, 4  # kinds of tokens: control ones, and those that a user added


def tokenizer_of(told: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """tokenizer.json and tokenizer_config.json.

    Args:
        told: the file's metadata.

    Raises:
        FormatError: the tokenizer is of another kind, or damaged.
    """
    try:
        import tokenizers
    except ImportError as error:
        raise DataError("language models need: pip install 'maas-torch[generate]'") from error
    model, kind = told.get("tokenizer.ggml.model"), told.get("tokenizer.ggml.pre")
    if model != "gpt2" or kind not in _KINDS:
        raise FormatError(
            f"the file has a tokenizer {show(model)} of the kind {show(kind)}, maas rebuilds gpt2 of the kinds "
            f"{', '.join(_KINDS)}; import the model's folder in the form of Hugging Face, which has a tokenizer.json"
        )
    try:
        tokens, kinds = told["tokenizer.ggml.tokens"], told["tokenizer.ggml.token_type"]
        merges = [tuple(one.split(" ")) for one in told["tokenizer.ggml.merges"]]
        pieces = tokenizers.models.BPE(
            vocab={token: number for number, token in enumerate(tokens)},
            merges=merges,
            ignore_merges=kind == "llama-bpe",
        )
        made = tokenizers.Tokenizer(pieces)
        for token, sort in zip(tokens, kinds, strict=True):
            if sort in (_SPECIAL, _USERS):
                added = tokenizers.AddedToken(token, special=sort == _SPECIAL, normalized=False)
                (made.add_special_tokens if sort == _SPECIAL else made.add_tokens)([added])
    except Exception as error:  # the library raises bare ones
        raise FormatError(f"the file's tokenizer cannot be read: {str(error)[:300]}") from error
    if kind == "qwen2":
        made.normalizer = tokenizers.normalizers.NFC()
    made.pre_tokenizer = _cut(tokenizers, kind)
    made.decoder = tokenizers.decoders.ByteLevel()
    config = _config(told, tokens)
    if told.get("tokenizer.ggml.add_eos_token") is True:
        raise FormatError("the file has `add_eos_token` true: every prompt would be at its end")
    if told.get("tokenizer.ggml.add_bos_token", kind == "llama-bpe") is True and "bos_token" in config:
        begin, number = config["bos_token"], told["tokenizer.ggml.bos_token_id"]
        made.post_processor = tokenizers.processors.TemplateProcessing(
            single=[begin, "$A"], special_tokens=[(begin, number)]
        )
    return made.to_str(), config


def _cut(tokenizers: Any, kind: str) -> Any:
    """How a text is cut before pairs are joined."""
    cuts = tokenizers.pre_tokenizers
    if kind == "gpt-2":
        return cuts.ByteLevel(add_prefix_space=False)
    if kind == "smollm":
        return cuts.Sequence([cuts.Digits(individual_digits=True), cuts.ByteLevel(add_prefix_space=False)])
    words = cuts.Split(tokenizers.Regex(_WORDS % _DIGITS[kind]), behavior="isolated")
    return cuts.Sequence([words, cuts.ByteLevel(add_prefix_space=False, use_regex=False)])


def _config(told: Mapping[str, Any], tokens: list[str]) -> dict[str, Any]:
    numbers = {
        "bos_token": told.get("tokenizer.ggml.bos_token_id"),
        "eos_token": told.get("tokenizer.ggml.eos_token_id"),
        "unk_token": told.get("tokenizer.ggml.unknown_token_id"),
        "pad_token": told.get("tokenizer.ggml.padding_token_id"),
    }
    for name, number in numbers.items():
        if number is not None and not (type(number) is int and 0 <= number < len(tokens)):
            raise FormatError(f"the file has the {name} {show(number)}, and {len(tokens)} tokens")
    return {
        "chat_template": told.get("tokenizer.chat_template"),
        **{name: tokens[number] for name, number in numbers.items() if number is not None},
    }
