"""Text to words: what counts as the same text, and where one word ends."""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from itertools import islice
from typing import Any

from maas.errors import DataError

LEVELS = ("word", "char", "jieba", "bpe", "wordpiece")
STYLES = ("plain", "tweets")
LONGEST_WORD = 100
"""Characters; a longer run is cut into several words, so that no text costs more than its length."""

# Scripts written without spaces: Han (with extensions and compatibility forms), Hiragana and Katakana.
_SPACELESS = r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_MARKS = "<url>|<user>"
_WORDS = re.compile(rf"{_MARKS}|[{_SPACELESS}]|(?:(?![{_SPACELESS}])\w){{1,{LONGEST_WORD}}}|[^\w\s]")
_RUNS = re.compile(rf"{_MARKS}|\w{{1,{LONGEST_WORD}}}|[^\w\s]")
_HAS_SPACELESS = re.compile(rf"[{_SPACELESS}]")
_LINK = re.compile(r"https?://\S+|www\.\S+", re.IGNORECASE)
_HANDLE = re.compile(r"@\w+")
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def normalise(text: str, *, style: str = "plain", lowercase: bool = True) -> str:
    """A text in the one form that all texts alike share.

    Unicode's NFKC (full-width and half-width forms, ligatures), one space for any white space, none at the ends;
    lone surrogates, which are no text, become U+FFFD.

    Args:
        text: any length.
        style: "plain", or "tweets": links become `<url>` and handles `<user>`. HTML entities stay.
        lowercase: whether upper and lower case are alike.

    Source: Unicode Standard Annex 15 for NFKC.

    >>> normalise("Ｇreat！  @Ann: https://x.org/1", style="tweets")
    'great! <user>: <url>'
    """
    text = unicodedata.normalize("NFKC", _SURROGATE.sub("\ufffd", text))
    if style == "tweets":
        text = _HANDLE.sub("<user>", _LINK.sub("<url>", text))
    if lowercase:
        text = text.lower()
    return " ".join(text.split())


def split_words(text: str, level: str, most: int) -> list[str]:
    """The first words of a normalised text.

    Args:
        text: normalised.
        level: "char": every character, spaces too. "word" and "wordpiece": runs of letters and digits, single marks,
            and single characters of Chinese and Japanese. "bpe": the same, but such characters form runs too,
            for pair encoding finds its own words in them. "jieba": the same, each run with such characters cut into the
            words of jieba's dictionary, which needs the extra `chinese`.
        most: how many words at most; the rest of the text is not looked at.

    >>> split_words("it's 很好吃!", "word", 100)
    ['it', "'", 's', '很', '好', '吃', '!']
    """
    if level == "char":
        return list(text[:most])
    if level == "jieba":
        words = (word for match in _RUNS.finditer(text) for word in _cut(match.group()))
        return list(islice(words, most))
    pattern = _RUNS if level == "bpe" else _WORDS
    return [match.group() for match in islice(pattern.finditer(text), most)]


def _cut(run: str) -> list[str]:
    """A run as words of the dictionary, where it has characters of a script without spaces."""
    if not _HAS_SPACELESS.search(run):
        return [run]
    words: list[str] = _segmenter().cut(run)
    return words


@cache
def _segmenter() -> Any:
    try:
        import rjieba
    except ImportError as error:
        raise DataError("the tokenizer 'jieba' needs: pip install 'maas-torch[chinese]'") from error
    return rjieba.Jieba()  # of its own: the module's can be taught words by anyone
