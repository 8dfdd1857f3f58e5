"""Serving from a registry: a promotion is a release, and a release that fails is no promotion."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
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
from maas.data import Rows, read_table
from maas.errors import RegistryError, ServingError
from maas.registry import Registry
from maas.serving import Server, _promote
from maas.serving._follow import Follower
from maas.serving._registered import Source, from_registry

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
def running(registry: Registry) -> Iterator[Server]:
    with (
        from_registry(registry.path, ["wine@production"]) as (source, models),
        maas.serve(source.store, models, port=None) as server,
    ):
        source.write(server.folder)
        yield server


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


def test_a_promotion_is_a_release_and_so_is_the_way_back(
    registry: Registry, running: Server, row: dict[str, Any]
) -> None:
    with load(running.url, running.token(), row) as counts:
        assert _promote.release(registry, registry.check_promotion("wine", "2")) == [running.url]
        assert (served(running), registry.aliases("wine")) == (["2"], {"production": "2"})
        time.sleep(0.2)
        assert _promote.release(registry, registry.check_rollback("wine")) == [running.url]
        assert (served(running), registry.aliases("wine")) == (["1"], {"production": "1"})
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


def test_what_another_machine_promotes_is_followed(registry: Registry, running: Server) -> None:
    source = Source.read(running.folder)
    assert source is not None
    said: list[str] = []
    follower = Follower(running.folder, source, {"wine": "1"})
    follower.look(said.append)
    registry.promote("wine", "2")
    follower.look(said.append)
    assert (served(running), said) == (["2"], ["wine@2 serves"])
    # As a promotion here does it: released, and the alias not set yet. It is left alone.
    running.deploy("wine", "1", store=source.store)
    follower.look(said.append)
    registry.rollback("wine")
    follower.look(said.append)
    assert (served(running), said) == (["1"], ["wine@2 serves"])
    (registry.path / "maas-registry.json").rename(registry.path / "away")
    follower.look(said.append)
    (registry.path / "away").rename(registry.path / "maas-registry.json")
    assert "wine@production is not followed" in said[-1]


def test_what_cannot_be_served(registry: Registry) -> None:
    for models in ([], ["wine@1", "wine@2"]):
        with pytest.raises(ServingError, match=r"--registry wants each model once, as NAME@production, got "):
            from_registry(registry.path, models).__enter__()
    with pytest.raises(RegistryError, match="no version of wine is its staging"):
        from_registry(registry.path, ["wine@staging"]).__enter__()


def test_promoted_and_followed_through_the_front_no_client_loses_a_request(
    registry: Registry, row: dict[str, Any]
) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="maas-t") as folder:
        own = {**os.environ, "TMPDIR": folder, "MAAS_REGISTRY": str(registry.path)}
        command = [*MAAS, "serve", "--registry", str(registry.path), "wine@production", "--front", "--follow", "0.5"]
        process = subprocess.Popen(
            [*command, "--json"], env=own, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            line = process.stdout.readline()
            assert line, process.stderr.read()
            said = json.loads(line)
            with load(said["url"], Path(said["keys"]).read_text().strip(), row) as counts:
                done = subprocess.run([*MAAS, "promote", "wine@2", "--json"], env=own, capture_output=True, text=True)
                assert done.returncode == 0, done.stderr
                assert json.loads(done.stdout)["released"] == ["the front"]
                while not counts["2"]:
                    time.sleep(0.05)
                counts.clear()
                registry.rollback("wine")  # as another machine does it
                assert "wine@1 serves" in process.stderr.readline()
                time.sleep(0.2)
            assert set(counts) == {"1", "2"}
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)
        assert not list(Path(folder).glob("maas-*/*"))
