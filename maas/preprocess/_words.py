"""Text to words: what counts as the same text, and where one word ends."""

from __future__ import annotations

import re
import unicodedata
from itertools import islice

LEVELS = ("word", "char", "bpe", "wordpiece")
STYLES = ("plain", "tweets")
LONGEST_WORD = 100
"""Characters; a longer run is cut into several words, so that no text costs more than its length."""

# Scripts written without spaces: Han (with extensions and compatibility forms), Hiragana and Katakana.
_SPACELESS = r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_MARKS = "<url>|<user>"
_WORDS = re.compile(rf"{_MARKS}|[{_SPACELESS}]|(?:(?![{_SPACELESS}])\w){{1,{LONGEST_WORD}}}|[^\w\s]")
_RUNS = re.compile(rf"{_MARKS}|\w{{1,{LONGEST_WORD}}}|[^\w\s]")
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
            for pair encoding finds its own words in them.
        most: how many words at most; the rest of the text is not looked at.

    >>> split_words("it's 很好吃!", "word", 100)
    ['it', "'", 's', '很', '好', '吃', '!']
    """
    if level == "char":
        return list(text[:most])
    pattern = _RUNS if level == "bpe" else _WORDS
    return [match.group() for match in islice(pattern.finditer(text), most)]
