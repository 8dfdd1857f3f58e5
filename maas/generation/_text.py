"""Text out of tokens as they come."""

from __future__ import annotations

from collections.abc import Callable, Sequence

_REPLACEMENT = "�"


class TextStream:
    """The text of one answer, told piece by piece.

    A character whose bytes are not all there yet is held back, and so is what may be the beginning of a stop string.

    Args:
        decode: token ids to text.
        stop: texts at which the answer ends, before them.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str], stop: Sequence[str] = ()) -> None:
        self._decode, self._stop = decode, [one for one in stop if one]
        self._tokens: list[int] = []
        self._start, self._read = 0, 0  # tokens that give context, and those whose text was taken
        self._held = ""
        self.stopped = False

    def add(self, token: int) -> str:
        """One more token; returns the text that is now certain."""
        self._tokens.append(token)
        before = self._decode(self._tokens[self._start : self._read])
        text = self._decode(self._tokens[self._start :])
        if text.endswith(_REPLACEMENT) or len(text) <= len(before):
            return ""
        self._start, self._read = self._read, len(self._tokens)
        return self._take(text[len(before) :])

    def end(self) -> str:
        """No more tokens come; returns what was held back."""
        before = self._decode(self._tokens[self._start : self._read])
        text = self._take(self._decode(self._tokens[self._start :])[len(before) :])
        held, self._held = self._held, ""
        return text if self.stopped else text + held

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
