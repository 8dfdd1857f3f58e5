"""maas export."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from maas.cli import main

Capture = pytest.CaptureFixture[str]


def test_export(wine_artifact: Path, tmp_path: Path, capsys: Capture) -> None:
    output = str(tmp_path / "wine")
    for flags in ([], ["--json"]):  # the second time in place of the first
        assert main(["export", str(wine_artifact), "--format", "pt2", "--output", output, *flags]) == 0
    plain, _, said = capsys.readouterr().out.rpartition("\n{")
    assert "model.pt2 (" in plain
    assert "over its golden rows" in plain
    assert sorted(json.loads("{" + said)["files"]) == ["arrays.safetensors", "model.json", "model.pt2"]


def test_what_is_no_artifact(tmp_path: Path, capsys: Capture) -> None:
    assert main(["export", str(tmp_path), "--output", str(tmp_path / "out")]) == 3
    assert "is not an artifact" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["export", str(tmp_path), "--format", "tflite", "--output", "x"])
