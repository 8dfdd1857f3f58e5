"""Text out of tokens as they come."""

from __future__ import annotations

from collections.abc import Callable, Sequence

_REPLACEMENT = "�"
_LONGEST = 4  # most tokens of a character


class TextStream:
    """The text of one answer, told piece by piece.

    A character whose bytes are not all there yet is held back, and so is what may be the beginning of a stop string.

    Args:
        decode: token ids to text.
        stop: texts at which the answer ends, before them.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str], stop: Sequence[str] = ()) -> None:
        self._decode, self._stop = decode, [one for one in stop if one]
        self._tokens: list[int] = []  # those that give context, and those whose text is not told
        self._context, self._before = 0, ""  # how many of the former, and their text
        self._held = ""
        self.stopped = False

    def add(self, token: int) -> str:
        """One more token; returns the text that is now certain."""
        self._tokens.append(token)
        text = self._decode(self._tokens)
        if text == self._before and self._context:  # a token without text, such as a special one
            self._tokens.pop()
            return ""
        if not text.endswith(_REPLACEMENT):
            return self._told(text, len(self._tokens)) if len(text) > len(self._before) else ""
        sure = len(self._tokens) - _LONGEST
        if sure - self._context < _LONGEST:
            return ""
        part = self._decode(self._tokens[:sure])  # so many tokens make no character: there are bytes that are no text
        return self._told(part, sure) if text.startswith(part) and len(part) > len(self._before) else ""

    def end(self) -> str:
        """No more tokens come; returns what was held back."""
        text = self._told(self._decode(self._tokens), len(self._tokens))
        held, self._held = self._held, ""
        return text if self.stopped else text + held

    def _told(self, text: str, count: int) -> str:
        """Of `text`, which the first `count` tokens make, what was not told; those tokens are now the context."""
        new = text[len(self._before) :]
        self._tokens = self._tokens[self._context :]
        self._context = count - self._context
        self._before = self._decode(self._tokens[: self._context])
        return self._take(new)

    def _take(self, text: str) -> str:
        text = self._held + text
        places = [place for one in self._stop if (place := text.find(one)) >= 0]
        if places:
            self.stopped, self._held = True, ""
            return text[: min(places)]
        held = 0
        for one in self._stop:
            for size in range(min(len(one) - 1, len(text)), held, -1):
                if text.endswith(one[:size]):
                    held = size
                    break
        self._held = text[len(text) - held :] if held else ""
        return text[: len(text) - held] if held else text
