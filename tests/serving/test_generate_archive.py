"""The archive of a model that generates text: its own handler, and continuous batching."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

import maas
from maas.archive import CONFIG, GENERATE, HANDLER, MANIFEST, Deployment, handler_path, read_archive
from maas.errors import ArchiveError


@pytest.fixture(scope="module")
def archive(tiny_artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return maas.package(tiny_artifact, store=tmp_path_factory.mktemp("store"), name="tiny")


def changed(archive: Path, folder: Path, **members: bytes | None) -> Path:
    """A copy with other members; None leaves one out."""
    names = {"config": CONFIG, "handler": HANDLER, "generate": GENERATE, "manifest": MANIFEST}
    with zipfile.ZipFile(archive) as file:
        files: dict[str, bytes | None] = {info.filename: file.read(info) for info in file.infolist()}
    files |= {names[name]: data for name, data in members.items()}
    with zipfile.ZipFile(folder / "other.mar", "w") as file:
        for name, data in files.items():
            if data is not None:
                file.writestr(name, data)
    return folder / "other.mar"


def test_it_has_the_handler_of_its_task_and_slots(archive: Path, tiny_artifact: Path) -> None:
    with zipfile.ZipFile(archive) as file:
        assert HANDLER not in file.namelist()
        assert file.read(GENERATE) == handler_path(GENERATE).read_bytes()
        config: dict[str, Any] = yaml.safe_load(file.read(CONFIG))
    assert config["continuousBatching"] is True
    assert (config["batchSize"], config["maxBatchDelay"], config["responseTimeout"]) == (8, 1, 120)
    assert read_archive(archive).deployment == Deployment.from_yaml(yaml.safe_dump(config).replace("True", "true"))
    assert maas.verify(archive) == maas.verify(tiny_artifact)


def test_other_handlers_and_settings_are_refused(archive: Path, wine_artifact: Path, tmp_path: Path) -> None:
    both = changed(archive, tmp_path, handler=handler_path().read_bytes())
    with pytest.raises(ArchiveError, match=r"holds maas_handler\.py, but its model is served by maas_generate\.py"):
        read_archive(both)
    with pytest.raises(ArchiveError, match=r"must hold maas_generate\.py once, it does 0 times"):
        read_archive(changed(archive, tmp_path, generate=None, handler=handler_path().read_bytes()))
    with pytest.raises(ArchiveError, match=r"holds another maas_generate\.py than the one installed"):
        read_archive(changed(archive, tmp_path, generate=b"import os"))
    with pytest.raises(ArchiveError, match=r"says continuousBatching: true for maas_generate\.py, and only for it"):
        read_archive(changed(archive, tmp_path, config=Deployment().to_yaml().encode()))
    wine = maas.package(wine_artifact, store=tmp_path, name="wine")
    with pytest.raises(ArchiveError, match=r"says continuousBatching: true for maas_generate\.py, and only for it"):
        read_archive(changed(wine, tmp_path, config=Deployment(continuousBatching=True).to_yaml().encode()))


def test_a_configuration_must_suit_the_task(tiny_artifact: Path, wine_artifact: Path, tmp_path: Path) -> None:
    plain, steps = tmp_path / "plain.yaml", tmp_path / "steps.yaml"
    plain.write_text(Deployment().to_yaml())
    steps.write_text(Deployment(batchSize=3, continuousBatching=True).to_yaml())
    with pytest.raises(ArchiveError, match="must say continuousBatching: true for this model"):
        maas.package(tiny_artifact, store=tmp_path, name="tiny", config=plain)
    with pytest.raises(ArchiveError, match="must not say continuousBatching: true for this model"):
        maas.package(wine_artifact, store=tmp_path, name="wine", config=steps)
    packed = maas.package(tiny_artifact, store=tmp_path, name="tiny", config=steps)
    assert read_archive(packed).deployment.batchSize == 3


@pytest.mark.parametrize("line", ["continuousBatching: 1", "continuousBatching: false", "batchSize: true"])
def test_yaml_that_maas_does_not_write_is_refused(line: str) -> None:
    name = line.partition(":")[0]
    others = "".join(one for one in Deployment().to_yaml().splitlines(keepends=True) if not one.startswith(name))
    with pytest.raises(ArchiveError, match="has a line that maas does not write"):
        Deployment.from_yaml(f"{others}{line}\n")
