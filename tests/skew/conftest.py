"""A server of the models that a file trains, and what each file asks it with."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import torch

import maas
from maas.serving import Server


@pytest.fixture(scope="module")
def server(trained: tuple[Any, ...]) -> Iterator[Server]:
    """Serves the archives of the file's own fixture `trained`, whose last part is their folder."""
    with maas.serve(trained[-1], port=None) as server:
        yield server


@pytest.fixture
def http(server: Server) -> Iterator[httpx.Client]:
    """A bare HTTP client with the inference token."""
    headers = {"Authorization": f"Bearer {server.token()}"}
    with httpx.Client(base_url=server.url, headers=headers, timeout=60, trust_env=False) as client:
        yield client


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    """As many in process as the one worker has: with others the last bits differ."""
    before = torch.get_num_threads()
    torch.set_num_threads(os.cpu_count() or 1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def workers_live(server: Server) -> Iterator[None]:
    """Whether the workers after a test are those before it."""
    before = _workers(server)
    yield
    assert _workers(server) == before


def answer_of(response: httpx.Response) -> dict[str, Any]:
    """What was answered, without the model that answered."""
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    del body["model"]
    return body


def _workers(server: Server) -> list[int]:
    names = [one["modelName"] for one in server.manage("/models")["models"]]
    return [worker["pid"] for name in names for worker in server.manage(f"/models/{name}")[0]["workers"]]
