"""Our signatures against the reference implementation of OpenSSF Model Signing, by its own command, both ways."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import maas
from maas.artifact import SIGNATURE
from maas.errors import SignatureError
from maas.signing import keygen


@pytest.fixture
def copied(wine_artifact: Path, tmp_path: Path) -> Path:
    return shutil.copytree(wine_artifact, tmp_path / "wine")


def _model_signing(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "model_signing", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_the_reference_verifies_what_maas_signs(copied: Path, tmp_path: Path) -> None:
    private, public = keygen(tmp_path / "key")
    maas.sign(copied, private)
    theirs = ("verify", "key", copied, "--signature", copied / SIGNATURE, "--public_key", public)
    done = _model_signing(*theirs)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip() == "Verification succeeded"  # no warning of an older form either
    with zipfile.ZipFile(maas.package(copied, store=tmp_path / "store")) as archive:
        archive.extractall(tmp_path / "unpacked")  # as TorchServe has it, with files beside
    unpacked = ("verify", "key", tmp_path / "unpacked", "--signature", tmp_path / "unpacked" / SIGNATURE)
    done = _model_signing(*unpacked, "--public_key", public, "--ignore_unsigned_files")
    assert done.returncode == 0, done.stdout + done.stderr
    card = copied / "card.json"
    card.write_bytes(card.read_bytes().replace(b"created", b"Created"))
    done = _model_signing(*theirs)
    assert done.returncode != 0
    told = (done.stdout + done.stderr).replace("\\", "")  # quotes are escaped where a digest holds one too
    assert "Hash mismatch for 'card.json'" in told


def test_maas_verifies_what_the_reference_signs(copied: Path, tmp_path: Path) -> None:
    private, public = keygen(tmp_path / "key")
    done = _model_signing("sign", "key", copied, "--signature", copied / SIGNATURE, "--private_key", private)
    assert done.returncode == 0, done.stdout + done.stderr
    assert maas.verify(copied, public_keys=[public]) == maas.load(copied).digest
    with pytest.raises(SignatureError, match=r"is signed by key [0-9a-f]{64}, and trusted is"):
        maas.verify(copied, public_keys=[keygen(tmp_path / "other")[1]])
