"""The archive that tests spoil."""

from __future__ import annotations

from pathlib import Path

import pytest

import maas


@pytest.fixture(scope="session")
def wine_mar(wine_artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Read only."""
    return maas.package(wine_artifact, store=tmp_path_factory.mktemp("doctor"), name="wine")
