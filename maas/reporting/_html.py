"""HTML in which whatever is not marked as HTML is escaped where it is put in."""

from __future__ import annotations

import html
import unicodedata

_LONGEST = 300
_CONTROLS = frozenset({"Cc", "Cs"})
_DIRECTIONS = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_EMPTY = frozenset({"meta", "img", "br", "line", "circle", "rect", "path", "polyline"})


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def tag(name: str, /, *children: str, **attributes: str | float | None) -> Html:
    """An element. Children and attributes are escaped, but for children that are `Html`.

    Args:
        name: such as "td".
        children: what stands in it.
        attributes: by name: `class_` is `class`, `stroke_width` is `stroke-width`. None leaves one out.

    >>> tag("b", "1 < 2", class_="best")
    '<b class="best">1 &lt; 2</b>'
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(_visible(_number(value)))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _EMPTY:
        return Html(f"<{name}{written}/>")
    return Html(f"<{name}{written}>{join(*children)}</{name}>")


def join(*parts: str) -> Html:
    """Parts one after the other; those that are not `Html` are escaped."""
    return Html("".join(one if isinstance(one, Html) else html.escape(_visible(one)) for one in parts))


def cut(text: str, longest: int = _LONGEST) -> str:
    """A text cut to so many characters."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _visible(text: str) -> str:
    """A text whose control characters, and those that turn the direction of writing, are shown and not obeyed."""
    return "".join(_shown(one) for one in text)


def _shown(character: str) -> str:
    if character in "\n\t ":
        return character
    if character in _DIRECTIONS or unicodedata.category(character) in _CONTROLS:
        return ascii(character)[1:-1]
    return character


def _number(value: str | float) -> str:
    if isinstance(value, str):
        return value
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
