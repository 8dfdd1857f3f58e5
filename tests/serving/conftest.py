"""A running TorchServe, shared by the tests that only ask it things."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

import maas
from maas.serving import Server

from .generation import taught

OWN_NETWORK = """
import torch, maas

@maas.network("test.line")
class Line(torch.nn.Linear):
    @classmethod
    def sizes(cls, inputs, num_outputs):
        return {"in_features": inputs["x"].shape[0], "out_features": num_outputs}

    def forward(self, x):
        return super().forward(x)
"""
"""A user's module."""


def lives(pid: int) -> bool:
    """Whether a process runs; one that has ended but was not yet waited for does not."""
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


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


@pytest.fixture(scope="session")
def tiny_model() -> maas.Model:
    """Goes on from sentences. Read only."""
    return taught()


@pytest.fixture(scope="session")
def tiny_artifact(tiny_model: maas.Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model.save(tmp_path_factory.mktemp("artifacts") / "tiny")


@pytest.fixture(scope="session")
def texts(tiny_artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of the model that goes on from sentences, four at a time."""
    store = tmp_path_factory.mktemp("texts")
    maas.package(tiny_artifact, store=store, name="tiny", batch_size=4)
    with maas.serve(store, threads=1) as server:
        yield server
