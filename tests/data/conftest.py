"""Tables in files, and what was made of their columns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from maas.data import Rows

Csv = Callable[..., Path]


@pytest.fixture
def csv(tmp_path: Path) -> Csv:
    """Writes a table as text and gives its path."""

    def write(text: str, name: str = "table.csv", encoding: str = "utf8") -> Path:
        path = tmp_path / name
        path.write_text(text, encoding=encoding)
        return path

    return write


def kinds(rows: Rows) -> dict[str, str]:
    return {field.name: field.kind for field in rows.schema.fields}
