"""Serving from a registry: a promotion is a release, and a release that fails is no promotion."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

import maas
from maas.client import folder_of_servers
from maas.data import Rows, read_table
from maas.errors import RegistryError, ServingError
from maas.registry import Registry
from maas.serving import Server, _promote, attach
from maas.serving._registered import from_registry

MAAS = [sys.executable, "-m", "maas.cli"]


@pytest.fixture(scope="module")
def registry(
    wine_model: maas.Model, wine_split: tuple[Rows, Rows], tmp_path_factory: pytest.TempPathFactory
) -> Registry:
    """1, which is production, and 2, which is as good: the same model with other golden rows."""
    folder = tmp_path_factory.mktemp("registered")
    registry = Registry.create(folder / "registry")
    evaluation = wine_model.evaluate(wine_split[1])
    for count in (2, 3):
        rows = wine_model.preprocess.examples(count)
        registry.push(wine_model.save(folder / "artifact", evaluation=evaluation, examples=rows), "wine")
    registry.promote("wine", "1")
    return registry


@pytest.fixture(scope="module")
def process(registry: Registry) -> Iterator[subprocess.Popen[str]]:
    """`maas serve --registry`, which follows; at the end SIGTERM stops it, and leaves nothing."""
    command = [*MAAS, "serve", "--registry", str(registry.path), "wine@production", "--follow", "0.3", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        yield process
        process.terminate()
        assert process.wait(60) == 0, process.stderr.read()
        assert not list(folder_of_servers().glob(f"*{process.pid}-*"))
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def running(process: subprocess.Popen[str]) -> Server:
    assert process.stdout is not None
    assert process.stderr is not None
    line = process.stdout.readline()
    assert line, process.stderr.read()
    return attach(json.loads(line)["url"])


@pytest.fixture(scope="module")
def row(wine_model: maas.Model) -> dict[str, Any]:
    found: dict[str, Any] = wine_model.preprocess.examples(1)[0]
    return found


@contextmanager
def load(url: str, token: str, row: dict[str, Any]) -> Iterator[Counter[str]]:
    """Clients that never try again, as long as the block lasts; what answered, by version."""
    counts: Counter[str] = Counter()
    over = threading.Event()

    def ask() -> None:
        headers = {"Authorization": f"Bearer {token}"}
        with httpx.Client(base_url=url, headers=headers, timeout=30, trust_env=False) as http:
            while not over.wait(0.02):
                try:
                    answer = http.post("/predictions/wine", json=row)
                    counts[answer.json()["model"]["version"] if answer.is_success else answer.text] += 1
                except httpx.HTTPError as error:
                    counts[repr(error)] += 1

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield counts
    finally:
        over.set()
        for thread in threads:
            thread.join()


def served(server: Server) -> list[str]:
    return [one["modelVersion"] for one in server.manage("/models/wine/all")]


def test_promoted_here_or_elsewhere_no_client_loses_a_request(
    registry: Registry, process: subprocess.Popen[str], running: Server, row: dict[str, Any]
) -> None:
    assert process.stderr is not None
    assert (running.models, served(running)) == (("wine",), ["1"])
    with load(running.url, running.token(), row) as counts:
        assert _promote.release(registry, registry.check_promotion("wine", "2")) == [running.url]
        assert (served(running), registry.aliases("wine")) == (["2"], {"production": "2"})
        time.sleep(0.5)
        assert served(running) == ["2"]  # it follows the alias, which has changed: there is nothing to do
        registry.rollback("wine")  # as another machine does it
        assert process.stderr.readline() == "maas: wine@1 serves\n"
        assert served(running) == ["1"]
        time.sleep(0.2)
    assert set(counts) == {"1", "2"}


def test_another_alias_or_registry_is_not_served_here(registry: Registry, running: Server, tmp_path: Path) -> None:
    assert _promote.release(registry, registry.check_promotion("wine", "2", "candidate")) == []
    other = Registry.create(tmp_path / "other")
    registry.pull("wine", "2", tmp_path / "two")
    other.push(tmp_path / "two", "wine", "2")
    assert _promote.release(other, other.check_promotion("wine", "2")) == []
    assert served(running) == ["1"]


def test_a_release_that_fails_leaves_the_alias(
    registry: Registry, running: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A version that this process can load, and the server's check over HTTP finds to answer otherwise."""
    from maas.serving import _release

    def refuse(*_: Any) -> None:
        raise ServingError("it answers otherwise")

    monkeypatch.setattr(_release, "check_golden_rows", refuse)
    with pytest.raises(ServingError, match=r"(?s)deploy of wine 2 failed: could not answer .*wine 1 serves as before"):
        _promote.release(registry, registry.check_promotion("wine", "2"))
    assert (served(running), registry.aliases("wine")["production"]) == (["1"], "1")


def test_a_promotion_that_comes_too_late_is_taken_back(registry: Registry, running: Server) -> None:
    promotion = registry.check_promotion("wine", "2")
    registry.set_alias("wine", "candidate", "1")
    with pytest.raises(RegistryError, match="was faster, with alias of wine@1"):
        _promote.release(registry, promotion)
    assert (served(running), registry.aliases("wine")["production"]) == (["1"], "1")


def test_a_schema_that_breaks_clients_is_never_released(
    registry: Registry, running: Server, wine_csv: Path, tmp_path: Path
) -> None:
    rows = read_table(wine_csv, target="cultivar", drop=["hue"])
    recipe = maas.recipe(maas.nn.MLP, hidden=(4,))
    model = maas.fit(recipe, rows, epochs=1, device="cpu", progress=False)
    pushed = registry.push(model.save(tmp_path / "wine"), "wine")
    with pytest.raises(
        RegistryError, match=f"wine@{pushed.version} would break clients of wine@1: field 'hue' is gone"
    ):
        registry.check_promotion("wine", pushed.version)
    assert served(running) == ["1"]


def test_what_cannot_be_followed_is_told(
    registry: Registry, process: subprocess.Popen[str], running: Server, wine_csv: Path, tmp_path: Path
) -> None:
    """A damaged version, promoted with a reason; then the way back is nothing to release."""
    assert process.stderr is not None
    rows = read_table(wine_csv, target="cultivar")
    recipe = maas.recipe(maas.nn.MLP, hidden=(4,))
    model = maas.fit(recipe, rows, epochs=1, device="cpu", progress=False)
    pushed = registry.push(model.save(tmp_path / "wine"), "wine")
    promotion = registry.check_promotion("wine", pushed.version, force="to break it")
    (registry.path / "artifacts" / pushed.artifact / "model.safetensors").write_bytes(b"")
    registry.make(promotion)
    assert f"wine@{pushed.version} is production and is not released here: wine@" in process.stderr.readline()
    assert "promote another" in process.stderr.readline()
    registry.rollback("wine")
    assert served(running) == ["1"]


def test_what_cannot_be_served(registry: Registry) -> None:
    for models in ([], ["wine@1", "wine@2"]):
        with pytest.raises(ServingError, match=r"--registry wants each model once, as NAME@production, got "):
            from_registry(registry.path, models).__enter__()
    with pytest.raises(RegistryError, match="no version of wine is its staging"):
        from_registry(registry.path, ["wine@staging"]).__enter__()
