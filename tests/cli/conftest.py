"""The command line in this process."""

from __future__ import annotations

from pathlib import Path

import pytest

from maas.cli import main

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(capsys: Capture, *arguments: object) -> tuple[int, str, str]:
    """`maas` with these arguments: its exit code, what it printed, and what it told on standard error."""
    code = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err
