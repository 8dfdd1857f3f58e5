"""maas.archive: an artifact as a `.mar` and back."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import yaml

import maas
from maas.archive import CONFIG, HANDLER, MANIFEST, Archive, Deployment, handler_path, read_archive
from maas.errors import ArchiveError, FormatError, IntegrityError


def written(deployment: Deployment) -> dict[str, int]:
    """What its YAML says: `threads` only where it is said."""
    return {name: value for name, value in asdict(deployment).items() if value is not None}


FILES = {"SHA256SUMS", "artifact.json", "card.json", "example.json", "model.safetensors"}


def test_the_same_artifact_gives_the_same_bytes(
    wine_artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = maas.package(wine_artifact, store=tmp_path / "one").read_bytes()
    copy = Path(shutil.copytree(wine_artifact, tmp_path / "else" / "wine"))
    for file in copy.iterdir():
        file.chmod(0o600)
        os.utime(file, (1, 1))
    (copy / "notes.txt").write_text("not listed, not packaged")
    monkeypatch.chdir(tmp_path / "else")
    assert maas.package("wine").read_bytes() == first
    assert (tmp_path / "else" / "model_store" / "wine.mar").is_file()


def test_members_are_the_artifact_the_handler_and_two_files(wine_artifact: Path, tmp_path: Path) -> None:
    path = maas.package(wine_artifact, store=tmp_path, name="wine-2", version="2.1", workers=3, max_batch_delay_ms=7)
    assert path == tmp_path / "wine-2.mar"
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        members = {info.filename: archive.read(info) for info in archive.infolist()}
        assert all(info.date_time == (1980, 1, 1, 0, 0, 0) for info in archive.infolist())
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
    assert list(members) == sorted([*FILES, HANDLER, CONFIG, MANIFEST])
    for name in FILES:
        assert members[name] == (wine_artifact / name).read_bytes()
    assert members[HANDLER] == handler_path().read_bytes()
    assert json.loads(members[MANIFEST])["model"] == {
        "modelName": "wine-2",
        "serializedFile": "model.safetensors",
        "handler": "maas_handler.py",
        "modelVersion": "2.1",
        "configFile": "model-config.yaml",
    }
    deployment = Deployment(minWorkers=3, maxWorkers=3, maxBatchDelay=7)
    assert read_archive(path) == Archive("wine-2", "2.1", deployment)
    assert yaml.safe_load(members[CONFIG]) == written(deployment)


def test_verify_gives_the_digest_of_folder_and_archive(wine_artifact: Path, tmp_path: Path) -> None:
    digest = maas.load(wine_artifact).digest
    assert maas.verify(wine_artifact) == maas.verify(str(maas.package(wine_artifact, store=tmp_path))) == digest


def test_verify_tells_of_files_that_are_not_listed(wine_artifact: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(wine_artifact, tmp_path / "wine"))
    (copy / "more.txt").write_text("x")
    with pytest.raises(FormatError, match=r"holds files that SHA256SUMS does not list: more.txt; remove them"):
        maas.verify(copy)


def test_a_damaged_artifact_is_not_packaged(wine_artifact: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(wine_artifact, tmp_path / "wine"))
    (copy / "card.json").write_text("{}")
    with pytest.raises(IntegrityError, match=r"card.json is not what was saved"):
        maas.package(copy, store=tmp_path / "store")
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("name", ["wine", "w", "0", "a" * 64, "a-b_c", "model", "tok-en"])
def test_names_that_torchserve_bears(name: str, wine_artifact: Path, tmp_path: Path) -> None:
    assert read_archive(maas.package(wine_artifact, store=tmp_path, name=name)).name == name


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("models", "cannot be called 'models': torch-model-archiver would delete TorchServe's own folder"),
        ("my_token", "cannot contain 'token', got 'my_token': TorchServe takes its address for that of the token"),
        ("tokens", "cannot contain 'token', got 'tokens'"),
        ("Wine", "1 to 64 lower-case letters, digits, '_' and '-'.*got 'Wine'; give one with name="),
        ("a" * 65, "1 to 64 lower-case letters.*got 'aaa"),
        ("", "1 to 64 lower-case letters.*got ''"),
        ("-wine", "beginning with a letter or digit, got '-wine'"),
        ("a.b", "1 to 64 lower-case letters.*got 'a.b'"),
        ("../wine", "1 to 64 lower-case letters.*got '../wine'"),
        ("wine\n", "1 to 64 lower-case letters.*got 'wine"),
        ("größe", "1 to 64 lower-case letters.*got 'größe'"),
        (3, "1 to 64 lower-case letters.*got 3"),
    ],
)
def test_a_name_is_refused_with_the_reason(name: Any, message: str, wine_artifact: Path, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match=message):
        maas.package(wine_artifact, store=tmp_path, name=name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("version", ["1", "1.0", "2024.11.3", "999999999"])
def test_versions(version: str, wine_artifact: Path, tmp_path: Path) -> None:
    assert read_archive(maas.package(wine_artifact, store=tmp_path, version=version)).version == version


@pytest.mark.parametrize("version", ["x", "", "1.", "1.0.0.0", "1.0-rc1", "1 ", "-1", "1234567890", "١", 1.0, None])
def test_a_version_that_is_none_is_refused(version: Any, wine_artifact: Path, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match=r"a version is one to three numbers, such as '1.0', got"):
        maas.package(wine_artifact, store=tmp_path, version=version)


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("workers", 0, "minWorkers must be a positive integer, got 0"),
        ("workers", True, "minWorkers must be a positive integer, got True"),
        ("batch_size", -1, "batchSize must be a positive integer, got -1"),
        ("batch_size", 2**31, "batchSize must be a positive integer, got 2147483648"),
        ("max_batch_delay_ms", 0, "maxBatchDelay must be a positive integer, got 0"),
        ("max_batch_delay_ms", 1.5, "maxBatchDelay must be a positive integer, got 1.5"),
    ],
)
def test_a_bad_number_is_named(setting: str, value: Any, message: str, wine_artifact: Path, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match=message):
        maas.package(wine_artifact, store=tmp_path, **{setting: value})


def test_a_deployment_is_yaml_and_comes_back() -> None:
    """Reference: PyYAML, by which TorchServe reads the file."""
    deployment = Deployment(2, 2, 8, 50, 30, 40, 10, 100)
    assert yaml.safe_load(deployment.to_yaml()) == written(deployment)
    assert Deployment.from_yaml(deployment.to_yaml()) == deployment
    spaced = "# how it runs\n\n" + deployment.to_yaml().replace("batchSize: 8", "  # comment\nbatchSize:   8  # rows")
    assert yaml.safe_load(spaced) == written(deployment)
    assert Deployment.from_yaml(spaced) == deployment


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("batchSize: -1", "a line that maas does not write: 'batchSize: -1'"),
        ("batchSize: 0", "batchSize must be a positive integer, got 0"),
        ("batchSize: 1.5", "a line that maas does not write"),
        ("batchSize: [8]", "a line that maas does not write"),
        ("batchSize:", "a line that maas does not write"),
        ("batchSize: 8\nbatchSize: 9", "a line that maas does not write: 'batchSize: 9'"),
        ("handler: evil.py", "a line that maas does not write: 'handler: evil.py'"),
        ("!!python/object/apply:os.system [id]", "a line that maas does not write"),
        ("# nothing", "model-config.yaml lacks batchSize"),
    ],
)
def test_other_yaml_is_refused(line: str, message: str) -> None:
    with pytest.raises(ArchiveError, match=message):
        Deployment.from_yaml(Deployment().to_yaml().replace("batchSize: 16", line))


@pytest.mark.parametrize(
    "text",
    ["batchSize: 020", "batchSize: ١٦", "batchSize:16", "batchSize: 16\x0b", "  batchSize: 16", "batchSize: 16#x"],
)
def test_what_it_reads_is_what_yaml_reads(text: str) -> None:
    """Reference: PyYAML. A file that the two read differently must be refused, for TorchServe reads it by YAML."""
    config = Deployment().to_yaml().replace("batchSize: 16", text)
    try:
        found = asdict(Deployment.from_yaml(config))
    except ArchiveError:
        return
    try:
        wanted = yaml.safe_load(config)
    except yaml.YAMLError as error:
        wanted = type(error).__name__
    assert found == wanted
