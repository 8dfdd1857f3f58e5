"""HTML in which text is escaped where it is put in."""

from __future__ import annotations

import pytest

from maas.reporting._html import Html, cut, join, tag


def test_children_and_attributes_are_escaped() -> None:
    assert tag("td", "<script>1 & 2</script>", title='"><b>') == (
        '<td title="&quot;&gt;&lt;b&gt;">&lt;script&gt;1 &amp; 2&lt;/script&gt;</td>'
    )
    assert join("<", Html("<b>"), tag("i", "x")) == "&lt;<b><i>x</i>"


def test_attributes_are_written_as_html_has_them() -> None:
    assert tag("line", x1=1.0, y1=0.126, x2=-0.001, class_="axis", stroke_width=2, rel=None) == (
        '<line x1="1" y1="0.13" x2="0" class="axis" stroke-width="2"/>'
    )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\0b\x1b[2J", "a\\x00b\\x1b[2J"),
        ("abc\u202egnp", "abc\\u202egnp"),
        ("\ud800", "\\ud800"),
        ("好 é 👩‍🚀\u3000\n", "好 é 👩‍🚀\u3000\n"),
    ],
)
def test_what_steers_is_shown_and_not_obeyed(text: str, shown: str) -> None:
    assert tag("p", text) == f"<p>{shown}</p>"


def test_a_long_text_is_cut() -> None:
    assert cut("abcdef", 4) == "abc…"
    assert cut("abcd", 4) == "abcd"
