"""Releases: another version takes over without a lost request, and what goes wrong leaves the old one serving."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import maas
from maas.client import IDENTITY
from maas.errors import ArchiveError, ServingError, SkewError
from maas.serving import Server, _record, attach
from maas.serving._release import check_golden_rows, verified
from maas.serving._renew import TokenRenewal

from .conftest import OWN_NETWORK, lives


@pytest.fixture(scope="module")
def releases(wine_artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("releases")
    for version in ("1.0", "2.0"):
        maas.package(wine_artifact, store=store, name="wine", version=version)
    return store


@pytest.fixture(scope="module")
def running(releases: Path) -> Iterator[Server]:
    with maas.serve(releases, ["wine@1.0"], workers=2, batch_size=4, max_batch_delay_ms=1) as server:
        yield server


@pytest.fixture(scope="module")
def row(wine_model: maas.Model) -> dict[str, Any]:
    found: dict[str, Any] = wine_model.preprocess.examples(1)[0]
    return found


class Load:
    """Threads that ask over plain HTTP without pause and without trying again, as long as the block lasts."""

    def __init__(self, server: Server, row: dict[str, Any], threads: int = 3) -> None:
        self.outcomes: Counter[str] = Counter()
        self._server, self._row = server, row
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(threads)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        headers = {"Authorization": f"Bearer {self._server.token()}"}
        with httpx.Client(base_url=self._server.url, headers=headers, timeout=5, trust_env=False) as http:
            while not self._over.is_set():
                try:
                    answer = http.post("/predictions/wine", json=self._row)
                    self.outcomes[answer.json()["model"]["version"] if answer.is_success else str(answer)] += 1
                except httpx.HTTPError as error:
                    self.outcomes[repr(error)] += 1


def served(server: Server) -> list[str]:
    return sorted(one["modelVersion"] for one in server.manage("/models/wine/all"))


def test_three_swaps_under_load_lose_no_request(running: Server, releases: Path, row: dict[str, Any]) -> None:
    with Load(running, row) as load:
        running.deploy("wine", "2.0", store=releases)
        assert served(running) == ["2.0"]
        assert running.rollback("wine") == "1.0"
        assert served(running) == ["1.0"]
        attach(running.url).deploy("wine", "2.0", store=releases)
        time.sleep(0.2)
    assert set(load.outcomes) == {"1.0", "2.0"}, load.outcomes
    assert min(load.outcomes.values()) > 10
    (model,) = running.status()["models"]
    assert (model["version"], len(model["workers"]), model["batch_size"]) == ("2.0", 2, 4)  # as said at the start
    actions = [(line["action"], line["version"]) for line in _record.read(running.folder)]
    assert actions == [("serve", "1.0"), ("deploy", "2.0"), ("rollback", "1.0"), ("deploy", "2.0")]


def test_there_is_nothing_to_go_back_to(server: Server) -> None:
    with pytest.raises(
        ServingError, match=r"no version of wine was served here before 1\.0; there is none to go back to"
    ):
        server.rollback("wine")


def test_a_damaged_version_changes_nothing(running: Server, releases: Path, tmp_path: Path) -> None:
    (tmp_path / "wine@3.0.mar").write_bytes((releases / "wine.mar").read_bytes()[:-9])
    with pytest.raises(ArchiveError, match="not a whole archive"):
        running.deploy("wine", "3.0", store=tmp_path)
    with pytest.raises(ServingError, match=r"has no version 7 of wine, there are 1\.0, 2\.0"):
        running.deploy("wine", "7", store=releases)
    with pytest.raises(ServingError, match=r"wine 2\.0 is served already; package the new model under another version"):
        running.deploy("wine", "2.0", store=releases)
    assert served(running) == ["2.0"]


def test_a_version_that_workers_cannot_load_is_taken_back(
    running: Server, wine_csv: Path, row: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This process knows the network that the model is of, the workers do not."""
    (tmp_path / "release_of_mine.py").write_text(OWN_NETWORK)
    monkeypatch.syspath_prepend(tmp_path)
    import release_of_mine  # type: ignore[import-not-found]  # noqa: F401

    rows = maas.data.read_table(wine_csv, target="cultivar")
    model = maas.fit(maas.recipe("test.line"), rows, epochs=1, device="cpu", progress=False)
    maas.package(model.save(tmp_path / "wine"), store=tmp_path / "store", version="3.0")
    with (
        Load(running, row, threads=1) as load,
        pytest.raises(
            ServingError,
            match=r"(?s)deploy of wine 3\.0 failed: could not load it beside: .*Traceback.*no network is registered as "
            r"'test\.line'.*\nwine 2\.0 serves as before",
        ),
    ):
        running.deploy("wine", "3.0", store=tmp_path / "store")
    assert set(load.outcomes) == {"2.0"}
    assert served(running) == ["2.0"]


def test_golden_rows_that_are_answered_otherwise_stop_a_release(running: Server, releases: Path) -> None:
    example, tolerance = verified(releases / "wine@2.0.mar")
    check_golden_rows(running.local, "/predictions/wine/2.0", example, tolerance)
    first = example["answers"][0]
    other = {**first, "probabilities": {name: 1 - value for name, value in first["probabilities"].items()}}
    changed = {**example, "answers": [other, *example["answers"][1:]]}
    with pytest.raises(SkewError, match="golden row 0 was answered"):
        check_golden_rows(running.local, "/predictions/wine/2.0", changed, tolerance)
    with pytest.raises(ServingError, match="404"):
        check_golden_rows(running.local, "/predictions/wine/9", example, tolerance)


def test_a_killed_worker_fails_no_more_than_its_batch_and_comes_back(running: Server, row: dict[str, Any]) -> None:
    """The client, which tries again, sees none of it."""
    workers = [worker["pid"] for worker in running.manage("/models/wine")[0]["workers"]]
    with Load(running, row) as load, running.client("wine") as client:
        time.sleep(0.2)
        os.kill(workers[0], signal.SIGKILL)
        assert all(client.predict(row)["label"] in (0, 1, 2) for _ in range(20))
        while workers[0] in (now := [one["pid"] for one in running.manage("/models/wine")[0]["workers"]]):
            time.sleep(0.05)
        while not all(one["status"] == "READY" for one in running.manage("/models/wine")[0]["workers"]):
            time.sleep(0.05)
    assert workers[1] in now
    failed = sum(load.outcomes.values()) - load.outcomes["2.0"]
    assert failed <= 4, load.outcomes  # requests in a batch


def test_tokens_renewed_under_load_lose_nothing_for_the_client(running: Server, row: dict[str, Any]) -> None:
    """Each quarter of a second the old token dies at once: a leaked one is of no use."""
    first = running.token()
    renewal = TokenRenewal(running.local, token_minutes=0.25 / 60 / 0.75)
    tokens = set()
    try:
        with running.client("wine") as client:
            deadline = time.monotonic() + 2
            while time.monotonic() < deadline:
                assert client.predict(row)["label"] in (0, 1, 2)
                tokens.add(running.token())
    finally:
        renewal.stop()
    assert len(tokens) > 3
    old = httpx.get(f"{running.url}/predictions/wine", headers={"Authorization": f"Bearer {first}", "Accept": IDENTITY})
    assert (old.status_code, old.json()["type"]) == (400, "InvalidKeyException")


def test_management_finds_its_way_when_its_token_has_expired(running: Server) -> None:
    key_file = running.folder / "key_file.json"
    key_file.write_text(key_file.read_text().replace(running.token("management"), "expired0"))
    assert served(running) == ["2.0"]
    assert running.token("management") != "expired0"


def test_a_stop_answers_what_is_in_flight(releases: Path, row: dict[str, Any]) -> None:
    """A request that the worker has not looked at when the stop comes is told to come again; then nothing is left."""
    server = maas.serve(releases, ["wine@1.0"])
    worker = server.manage("/models/wine")[0]["workers"][0]["pid"]
    answers: list[httpx.Response] = []

    def ask() -> None:
        headers = {"Authorization": f"Bearer {server.token()}"}
        answers.append(httpx.post(f"{server.url}/predictions/wine", json=row, headers=headers, timeout=10))

    os.kill(worker, signal.SIGSTOP)
    thread = threading.Thread(target=ask)
    thread.start()
    time.sleep(0.5)
    threading.Timer(1.0, os.kill, (worker, signal.SIGCONT)).start()
    assert attach(server.url).stop()
    thread.join()
    assert answers[0].status_code == 503
    assert answers[0].headers["Retry-After"] == "1"
    assert answers[0].json()["type"] == "urn:maas:problem:draining"
    assert server.wait() == 0
    assert not any(map(lives, [server.pid, worker]))
    server.stop()
    assert not server.folder.exists()


def test_attach_says_what_is_there(running: Server) -> None:
    assert attach(running.url).pid == running.pid
    with pytest.raises(ServingError, match=r"no server runs here that serves 'beer', or has that url; .*wine on http"):
        attach("beer")


def test_an_old_version_that_does_not_finish_stays_until_the_next_release(running: Server, releases: Path) -> None:
    stuck = [worker["pid"] for worker in running.manage("/models/wine")[0]["workers"]]
    for pid in stuck:
        os.kill(pid, signal.SIGSTOP)
    with pytest.raises(
        ServingError, match=r"wine 1\.0 serves, but 2\.0 still has work in flight after 0\.5 s: it stays"
    ):
        running.deploy("wine", "1.0", store=releases, drain_seconds=0.5)
    assert served(running) == ["1.0", "2.0"]
    for pid in stuck:
        os.kill(pid, signal.SIGCONT)
    running.deploy("wine", "2.0", store=releases)
    assert served(running) == ["2.0"]
    assert not any(map(lives, stuck))


def test_a_stop_does_not_wait_for_ever(running: Server) -> None:
    """The last of this file: the server that the others share is stopped here."""
    pids = [worker["pid"] for worker in running.manage("/models/wine")[0]["workers"]]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    begun = time.monotonic()
    assert not running.stop(drain_seconds=0.5)
    assert time.monotonic() - begun < 20
    assert not any(map(lives, [running.pid, *pids]))
