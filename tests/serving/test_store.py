"""Versions side by side in a model store."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import maas
from maas.archive import read_archive
from maas.errors import ServingError
from maas.serving._store import choose, find


@pytest.fixture(scope="module")
def versions(wine_artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with wine 1.9, 1.10 and 1.2, and cider 3."""
    store = tmp_path_factory.mktemp("versions")
    for version in ("1.9", "1.10", "1.2"):
        maas.package(wine_artifact, store=store, name="wine", version=version)
    maas.package(wine_artifact, store=store, name="cider", version="3")
    return store


def test_another_version_is_written_beside(versions: Path) -> None:
    assert sorted(file.name for file in versions.iterdir()) == [
        "cider.mar",
        "wine.mar",
        "wine@1.10.mar",
        "wine@1.2.mar",
    ]
    assert read_archive(versions / "wine.mar").version == "1.9"
    assert read_archive(versions / "wine@1.10.mar").version == "1.10"


def test_the_same_version_takes_its_own_place(wine_artifact: Path, versions: Path, tmp_path: Path) -> None:
    store = Path(shutil.copytree(versions, tmp_path / "store"))
    before = sorted(store.iterdir())
    for version, name in (("1.9", "wine.mar"), ("1.2", "wine@1.2.mar")):
        assert maas.package(wine_artifact, store=store, name="wine", version=version, workers=2) == store / name
        assert read_archive(store / name).deployment.maxWorkers == 2
    assert sorted(store.iterdir()) == before


def test_a_damaged_archive_is_written_anew(wine_artifact: Path, tmp_path: Path) -> None:
    (tmp_path / "wine.mar").write_bytes(b"damaged")
    assert maas.package(wine_artifact, store=tmp_path, version="2.0") == tmp_path / "wine.mar"
    assert read_archive(tmp_path / "wine.mar").version == "2.0"


def test_the_newest_is_found_by_its_numbers(versions: Path) -> None:
    assert find(versions, "wine").says.version == "1.10"
    assert find(versions, "wine@1.9").path == versions / "wine.mar"
    assert [(one.says.name, one.says.version) for one in choose(versions, None)] == [("cider", "3"), ("wine", "1.10")]
    assert [one.says.version for one in choose(versions, ["wine@1.2"])] == ["1.2"]


def test_what_cannot_be_chosen(versions: Path, tmp_path: Path) -> None:
    with pytest.raises(ServingError, match=r"has no version 4 of wine, there are 1\.2, 1\.9, 1\.10"):
        find(versions, "wine@4")
    with pytest.raises(ServingError, match="wine is named twice; a server starts with one version of a model"):
        choose(versions, ["wine", "wine@1.9"])
    shutil.copy(versions / "wine.mar", tmp_path / "wine.mar")
    shutil.copy(versions / "wine.mar", tmp_path / "wine@1.9.mar")
    with pytest.raises(ServingError, match=r"wine\.mar and wine@1\.9\.mar in .* hold the same version 1\.9; rem"):
        find(tmp_path, "wine")
    (tmp_path / "wine@1.9.mar").rename(tmp_path / "wine@2.0.mar")
    with pytest.raises(
        ServingError,
        match=r"holds the model 'wine' 1\.9; rename the file to wine\.mar, or wine@1\.9\.mar",
    ):
        find(tmp_path, "wine")
