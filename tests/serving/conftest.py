"""A running TorchServe, shared by the tests that only ask it things."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

import maas
from maas.serving import Server


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory, wine_artifact: Path, cancer_artifact: Path) -> Path:
    store = tmp_path_factory.mktemp("store")
    maas.package(wine_artifact, store=store, name="wine")
    maas.package(cancer_artifact, store=store, name="cancer", version="2.1", batch_size=8, max_batch_delay_ms=20)
    return store


@pytest.fixture(scope="session")
def server(store: Path) -> Iterator[Server]:
    with maas.serve(store, ["wine", "cancer"], port=None) as server:
        yield server


@pytest.fixture
def http(server: Server) -> Iterator[httpx.Client]:
    """A bare HTTP client with the inference token."""
    headers = {"Authorization": f"Bearer {server.token()}"}
    with httpx.Client(base_url=server.url, headers=headers, timeout=30, trust_env=False) as client:
        yield client
