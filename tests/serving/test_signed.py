"""A launcher that was told which keys to trust: nothing else is served by it, at the start or later."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import maas
from maas.cli import main
from maas.errors import SignatureError
from maas.serving import attach
from maas.signing import keygen, read_public_keys

UNSIGNED = (
    r"wine@?[0-9.]*\.mar is not trusted: it is not signed: it has no model\.sig; sign the artifact with maas sign"
)


@pytest.fixture
def store(wine_artifact: Path, tmp_path: Path) -> Path:
    """1.0 is signed by our key, 2.0 by nobody, 3.0 by another, 4.0 by ours again."""
    artifacts = {name: shutil.copytree(wine_artifact, tmp_path / name / "wine") for name in ("ours", "none", "theirs")}
    maas.sign(artifacts["ours"], keygen(tmp_path / "our")[0])
    maas.sign(artifacts["theirs"], keygen(tmp_path / "their")[0])
    for version, name in (("1.0", "ours"), ("2.0", "none"), ("3.0", "theirs"), ("4.0", "ours")):
        maas.package(artifacts[name], store=tmp_path / "store", version=version)
    return tmp_path / "store"


def test_it_starts_and_deploys_what_is_signed_only(store: Path, tmp_path: Path) -> None:
    public = tmp_path / "our.public.pem"
    with pytest.raises(SignatureError, match=UNSIGNED):
        maas.serve(store, ["wine@2.0"], public_keys=[public])
    with pytest.raises(SignatureError, match=r"wine@3\.0\.mar is not trusted: it is signed by key [0-9a-f]{64}, and"):
        maas.serve(store, ["wine@3.0"], public_keys=[public])
    with pytest.raises(SignatureError, match="`public_keys` is empty"):
        maas.serve(store, ["wine@1.0"], public_keys=[])
    (key,) = read_public_keys([public])
    with maas.serve(store, ["wine@1.0"], public_keys=[public]) as server:
        public.unlink()  # what it was told stands in its own folder
        for version, wanted in (("2.0", UNSIGNED), ("3.0", f"and trusted is {key.fingerprint}")):
            with pytest.raises(SignatureError, match=wanted):
                attach(server.url).deploy("wine", version, store=store)
            assert not (server.folder / "store" / f"wine@{version}.mar").exists()
        assert server.status()["models"][0]["version"] == "1.0"
        attach(server.url).deploy("wine", "4.0", store=store)
        assert server.status()["models"][0]["version"] == "4.0"
        served = {file.name for file in (server.folder / "tmp" / "models").rglob("model.sig")}
        assert served == {"model.sig"}  # TorchServe unpacks it beside; the worker has no use for it


def test_the_command_refuses_with_exit_code_3(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["serve", "wine@2.0", "--store", str(store), "--public-key", str(tmp_path / "our.public.pem")]
    assert main(arguments) == 3
    assert "it has no model.sig" in capsys.readouterr().err
    private = [*arguments[:-1], str(tmp_path / "our.private.pem"), "--dry-run"]
    assert main(private) == 3
    assert "holds a private key" in capsys.readouterr().err
    assert main(["verify", str(store / "wine.mar"), "--json", *arguments[-2:]]) == 0
    assert len(json.loads(capsys.readouterr().out)["digest"]) == 64
