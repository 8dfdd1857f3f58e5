"""What an imported model's card says of its licence: what its folder says, and nothing made up."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

_MOST_BYTES = 1 << 20
_LICENCES = ("LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE")
_FRONT = re.compile(r"\A---\r?\n(.*?)\r?\n---\r?$", re.DOTALL | re.MULTILINE)
_LINES = {  # of the front matter, flat YAML
    "license": re.compile(r"^license:[ \t]*[\"']?([\w.+-]{1,60})[\"']?[ \t]*\r?$", re.MULTILINE),
    "base_model": re.compile(r"^base_model:[ \t]*(?:\r?\n- )?[\"']?([\w./-]{1,200})[\"']?[ \t]*\r?$", re.MULTILINE),
}


def licence_of(text: Callable[[str, int], str | None]) -> dict[str, Any]:
    """`license`, `base_model` and `license_text`, as far as a folder tells them.

    Args:
        text: reads a file of the folder; None: there is none.
    """
    found: dict[str, Any] = {}
    if front := _FRONT.match(text("README.md", _MOST_BYTES) or ""):
        for key, line in _LINES.items():
            if told := line.search(front[1]):
                found[key] = told[1]
    for name in _LICENCES:
        if (written := text(name, _MOST_BYTES)) is not None:
            return {**found, "license_text": written}
    return found
