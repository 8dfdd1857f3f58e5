"""Tables in files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def csv(tmp_path: Path) -> Callable[..., Path]:
    """Writes a table as text and gives its path."""

    def write(text: str, name: str = "table.csv", encoding: str = "utf8") -> Path:
        path = tmp_path / name
        path.write_text(text, encoding=encoding)
        return path

    return write
