"""maas doctor."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import maas
from maas.cli import main
from maas.serving._ports import free_ports

Capture = pytest.CaptureFixture[str]


def test_a_good_archive_and_its_artifact(
    wine_artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    archive = maas.package(wine_artifact)
    (port,) = free_ports(1)
    assert main(["doctor", str(archive), str(wine_artifact), "--port", str(port), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["ok"] is True
    ok = {(one["section"], one["subject"]) for one in said["findings"] if one["level"] == "ok"}
    for section in (str(archive), str(wine_artifact)):
        assert ok >= {(section, subject) for subject in ("name", "load", "poisoned batch", "answer size", "memory")}
    assert ok >= {("software", "torch"), ("software", "Java"), ("machine", f"port {port}"), (str(archive), "contents")}
    assert all(one["remedy"] for one in said["findings"] if one["level"] in ("warning", "error"))


def test_what_is_wrong_is_told_with_its_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("wine.mar").write_bytes(b"PK")
    Path("empty").mkdir()
    assert main(["doctor", "wine.mar", "empty"]) == 1
    printed = capsys.readouterr().out
    assert "wine.mar\n  [error]   archive: is not a whole zip: File is not a zip file\n" in printed
    assert "\n            -> copy it again, or maas package DIR --store ." in printed
    assert "empty\n  [error]   artifact: empty is not an artifact: it has no SHA256SUMS\n" in printed
    assert "\nnot checked\n  the rest: the archive has to be whole for that\n" in printed
    assert printed.splitlines()[-1].startswith("2 errors")
