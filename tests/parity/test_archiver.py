"""maas.package against the stock torch-model-archiver on the same files."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import maas
from maas.archive import CONFIG, HANDLER, MANIFEST, handler_path
from maas.artifact import DOCUMENTS, SIGNATURE, SUMS, WEIGHTS
from maas.signing import keygen

NAME = "maas-parity-wine"  # torch-model-archiver deletes a folder of this name in TMPDIR


def _members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist() if not info.is_dir()}


def test_the_stock_archiver_gives_an_equal_archive(wine_artifact: Path, tmp_path: Path) -> None:
    """Equal but for the manifest's date. That TorchServe serves both alike is tested with TorchServe.

    The artifact is signed: its signature is one more extra file.
    """
    private, public = keygen(tmp_path / "key")
    wine_artifact = shutil.copytree(wine_artifact, tmp_path / "wine")
    maas.sign(wine_artifact, private)
    ours = _members(maas.package(wine_artifact, store=tmp_path / "ours", name=NAME, version="3.1"))
    config, temporary, store = tmp_path / CONFIG, tmp_path / "tmp", tmp_path / "stock"
    config.write_bytes(ours[CONFIG])
    temporary.mkdir()
    store.mkdir()
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("torch-model-archiver")),
            *("--model-name", NAME, "--version", "3.1", "--export-path", str(store)),
            *("--serialized-file", str(wine_artifact / WEIGHTS), "--handler", str(handler_path())),
            *("--extra-files", ",".join(str(wine_artifact / name) for name in (*DOCUMENTS, SUMS, SIGNATURE))),
            *("--config-file", str(config)),
        ],
        env={**os.environ, "TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    stock = _members(store / f"{NAME}.mar")
    assert set(ours) == set(stock) == {*DOCUMENTS, SUMS, SIGNATURE, WEIGHTS, HANDLER, CONFIG, MANIFEST}
    manifests = [json.loads(members.pop(MANIFEST)) for members in (ours, stock)]
    assert ours == stock
    dates = [manifest.pop("createdOn") for manifest in manifests]
    assert dates[0] == "01/01/1980 00:00:00" != dates[1]
    assert manifests[0] == manifests[1]
    assert list(manifests[0]) == list(manifests[1])
    assert maas.verify(store / f"{NAME}.mar", public_keys=[public]) == maas.verify(wine_artifact)
