"""maas.generation.TextStream: what is told piece by piece is what the whole says, up to the first stop string."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from maas.generation import TextStream

TEXTS = [
    "床前明月光，疑是地上霜。举头望明月，低头思故乡。",
    "a 🙂 and 👩‍👩‍👧‍👦 and 🇨🇳, é and ß; end",
    "no more, no more; no moron\n\n### User: stop",
]


def decode(tokens: Sequence[int]) -> str:
    return bytes(tokens).decode("utf-8", errors="replace")


def told(tokens: Sequence[int], stop: Sequence[str]) -> tuple[list[str], TextStream]:
    stream, parts = TextStream(decode, stop), []
    for token in tokens:
        parts.append(stream.add(token))
        if stream.stopped:
            return parts, stream
    return [*parts, stream.end()], stream


def cut(text: str, stop: Sequence[str]) -> str:
    """The text before the stop string that is complete first; of several, that which begins first."""
    for end in range(1, len(text) + 1):
        places = [text[:end].find(one) for one in stop if one and one in text[:end]]
        if places:
            return text[: min(places)]
    return text


@pytest.mark.parametrize("text", TEXTS)
def test_pieces_join_to_the_whole_up_to_the_stop(text: str) -> None:
    """Byte by byte, for stop strings drawn from the text itself, some of which overlap."""
    for seed in range(150):
        draw = random.Random(seed)
        stop = []
        for _ in range(draw.randrange(4)):
            start = draw.randrange(len(text))
            stop.append(text[start : start + draw.randrange(0, 5)])
        parts, stream = told(text.encode(), stop)
        assert "".join(parts) == cut(text, stop), (seed, stop)
        assert stream.stopped == (cut(text, stop) != text or any(one and text.endswith(one) for one in stop))
        assert "�" not in "".join(parts)


def test_a_character_is_told_once_its_last_byte_is_there() -> None:
    parts, _ = told("霜🙂".encode(), [])
    assert parts == ["", "", "霜", "", "", "", "🙂", ""]


def test_what_may_begin_a_stop_string_is_held_until_it_does_not() -> None:
    parts, stream = told(b"a ST x STOP y", ["STOP"])
    assert parts == ["a", " ", "", "", "ST ", "x", " ", "", "", "", ""]
    assert stream.stopped


def test_bytes_that_are_no_text_are_told_at_the_end() -> None:
    parts, _ = told(b"a\xe5\xba", [])
    assert parts == ["a", "", "", "�"]


def test_no_token_makes_more_than_a_few_be_read_again() -> None:
    """The cost of a token does not grow with the text, nor with bytes that never become a character."""
    read = []

    def counted(tokens: Sequence[int]) -> str:
        """Tokens of number 0 have no text, as special ones."""
        read.append(len(tokens))
        return decode([token for token in tokens if token])

    for tokens in ("霜".encode() * 300, b"\xff" * 900, b"a" + b"\0" * 900 + b"b"):
        stream = TextStream(counted)
        text = "".join(stream.add(token) for token in tokens) + stream.end()
        assert text == decode([token for token in tokens if token])
    assert max(read) <= 16
