"""maas keygen, maas sign, maas verify --public-key."""

from __future__ import annotations

import io
import json
import shutil
import sys
from pathlib import Path

import pytest

from .conftest import Capture, run


def test_from_a_key_to_a_verified_model(
    wine_artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(wine_artifact, "wine")
    code, out, _ = run(capsys, "keygen", "release")
    assert code == 0
    assert out.startswith("release.private.pem signs: keep it to yourself\nrelease.public.pem verifies: give it to")
    code, out, _ = run(capsys, "verify", "wine", "--public-key", "release.public.pem")
    assert code == 3
    code, out, _ = run(capsys, "sign", "wine", "--key", "release.private.pem")
    assert code == 0
    assert "wine is signed by key " in out
    code, out, _ = run(capsys, "verify", "wine", "--public-key", "release.public.pem")
    assert code == 0
    assert out.startswith("wine is signed by a key that was given, is whole, and answers its golden rows")
    code, _, error = run(capsys, "keygen", "release")
    assert (code, error.count("\n")) == (3, 1)
    assert "is there already, and a key is never overwritten" in error


def test_a_passphrase_from_a_file_and_from_standard_input(
    wine_artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(wine_artifact, "wine")
    Path("phrase").write_text("correct horse\r\nnot this line")
    code, out, _ = run(capsys, "keygen", "mine", "--passphrase-file", "phrase", "--json")
    assert code == 0
    made = json.loads(out)
    assert (made["private"], made["public"]) == ("mine.private.pem", "mine.public.pem")
    code, _, error = run(capsys, "sign", "wine", "--key", "mine.private.pem")
    assert code == 3
    assert "it is encrypted: give its passphrase" in error
    monkeypatch.setattr(sys, "stdin", io.StringIO("correct horse\n"))
    code, out, _ = run(capsys, "sign", "wine", "--key", "mine.private.pem", "--passphrase-file", "-", "--json")
    assert code == 0
    assert json.loads(out) == {"path": "wine", "key": made["key"]}
