"""An artifact whose weights stand in several files: read, packaged, verified, signed and pushed as any other."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
import safetensors.torch

import maas
from maas import artifact
from maas.archive import read_archive
from maas.errors import ArchiveError, IntegrityError
from maas.model._stored import description_of
from maas.signing import keygen


@pytest.fixture
def sharded(wine_artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(artifact, "_MOST_WEIGHTS_BYTES", 1000)
    return maas.load(wine_artifact).save(tmp_path / "sharded")


def test_a_small_model_is_one_file_as_the_library_writes_it(wine_artifact: Path, tmp_path: Path) -> None:
    model = maas.load(wine_artifact)
    again = model.save(tmp_path / "again")
    stored = artifact.read(again)
    tensors = {name: one.clone().contiguous() for name, one in description_of(model)[1].items()}
    assert (again / "model.safetensors").read_bytes() == safetensors.torch.save(tensors)
    assert stored.description["weights"] == ["model.safetensors"]
    assert stored.digest == artifact.read(wine_artifact).digest


def test_the_files_are_numbered_and_hold_every_tensor(sharded: Path, wine_artifact: Path) -> None:
    weights = json.loads((sharded / "artifact.json").read_text())["weights"]
    count = len(weights)
    assert count > 1
    assert weights == [f"model-{place:05d}-of-{count:05d}.safetensors" for place in range(1, count + 1)]
    stored, whole = artifact.read(sharded), artifact.read(wine_artifact)
    assert stored.tensors.keys() == whole.tensors.keys()
    assert all((stored.tensors[name] == one).all() for name, one in whole.tensors.items())
    assert stored.digest != whole.digest  # what it lists is part of what it is


def test_every_file_is_covered(sharded: Path) -> None:
    last = sorted(sharded.glob("model-*.safetensors"))[-1]
    data = last.read_bytes()
    last.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(IntegrityError, match=f"{last.name} is not what was saved"):
        maas.load(sharded)
    last.unlink()
    with pytest.raises(IntegrityError, match=f"{last.name} cannot be read"):
        maas.load(sharded)


def test_it_is_packaged_and_verified(sharded: Path, tmp_path: Path) -> None:
    archive = maas.package(sharded, store=tmp_path / "store", name="wine")
    assert maas.verify(archive) == maas.verify(sharded)
    with zipfile.ZipFile(archive) as found:
        manifest = json.loads(found.read("MAR-INF/MANIFEST.json"))
    assert manifest["model"]["serializedFile"] == sorted(sharded.glob("*.safetensors"))[0].name
    before = archive.read_bytes()
    assert maas.package(sharded, store=tmp_path / "store", name="wine").read_bytes() == before


def test_an_archive_of_several_gigabytes(sharded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where places no longer fit into 31 bits Python's zipfile writes them in 64; here it takes less for that."""
    archive = maas.package(sharded, store=tmp_path / "store", name="wine")
    with zipfile.ZipFile(archive) as found:
        last = max(info.header_offset for info in found.infolist())
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", last - 1)
    large = maas.package(sharded, store=tmp_path / "large", name="wine")
    data = large.read_bytes()
    assert b"PK\6\6" in data
    assert maas.verify(large) == maas.verify(sharded)
    for at in range(len(data) - 98, len(data)):  # in the records that end it
        (tmp_path / "bad.mar").write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        with pytest.raises(ArchiveError):
            read_archive(tmp_path / "bad.mar")


def test_an_archive_that_lacks_a_file(sharded: Path, tmp_path: Path) -> None:
    archive = maas.package(sharded, store=tmp_path / "store", name="wine")
    with zipfile.ZipFile(archive) as found:
        members = {info.filename: found.read(info) for info in found.infolist()}
    for name, error in (("model-00001", ArchiveError), ("model-00002", IntegrityError)):
        with zipfile.ZipFile(tmp_path / "bad.mar", "w") as written:
            for one, data in members.items():
                if not one.startswith(name):
                    written.writestr(one, data)
        with pytest.raises(error):
            maas.verify(tmp_path / "bad.mar")


def test_it_is_signed_and_pushed(sharded: Path, tmp_path: Path) -> None:
    private, public = keygen(tmp_path / "key")
    maas.sign(sharded, private)
    registry = maas.Registry.create(tmp_path / "registry")
    pushed = registry.push(sharded, "wine")
    registry.pull("wine", pushed.version, tmp_path / "pulled")
    assert maas.verify(tmp_path / "pulled", public_keys=[public]) == artifact.read(sharded).digest
