"""How much memory a process may use, on a machine and in a container."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from maas.nn._memory import free_bytes, total_bytes

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("most", "now", "stat"),
    [
        ("memory.max", "memory.current", "memory.stat"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
    ],
)
def test_a_containers_limit_counts(
    most: str, now: str, stat: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It has read large files: nearly all counts as used, and most of that is given up at need."""
    monkeypatch.setattr("maas.nn._memory._GROUPS", tmp_path)
    for name, text in ((most, "5000\n"), (now, "4900\n"), (stat, "anon 900\ninactive_file 3000\n")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert (total_bytes(), free_bytes(CPU)) == (5000, 3100)
    (tmp_path / now).write_text("9000\n")  # a limit may be lowered below what is taken
    assert free_bytes(CPU) == 0
    (tmp_path / most).write_text("max\n")
    assert 1 << 20 < free_bytes(CPU) < total_bytes() < 1 << 50


def test_a_machine_without_containers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("maas.nn._memory._GROUPS", tmp_path)
    assert 1 << 20 < free_bytes(CPU) < total_bytes() < 1 << 50
