"""`maas serve --front` with two TorchServes behind it: what happens to one of them, no client sees."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

import maas
from maas.cli import main
from maas.serving._registered import FILE, Source
from maas.serving.front._start import serve_front
from maas.signing import keygen

MAAS = [sys.executable, "-m", "maas.cli"]


@pytest.fixture(scope="module")
def public_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its other half signs what is released here."""
    return keygen(tmp_path_factory.mktemp("front-keys") / "key")[1]


@pytest.fixture(scope="module")
def releases(wine_artifact: Path, public_key: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("front-store")
    wine_artifact = shutil.copytree(wine_artifact, store / "signed" / "wine")
    maas.sign(wine_artifact, public_key.with_name("key.private.pem"))
    for version in ("1.0", "2.0"):
        maas.package(wine_artifact, store=store, name="wine", version=version)
    return store


@pytest.fixture(scope="module")
def own() -> Iterator[dict[str, str]]:
    """An environment in which no other front is seen."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="maas-t") as folder:
        yield {**os.environ, "TMPDIR": folder}


@pytest.fixture(scope="module")
def running(releases: Path, public_key: Path, own: dict[str, str]) -> Iterator[dict[str, Any]]:
    """What `maas serve --front` says of itself. At the end SIGTERM stops it and all behind it in order."""
    command = [*MAAS, "serve", "wine@1.0", "--store", str(releases), "--front", "--json"]
    command += ["--public-key", str(public_key)]
    process = subprocess.Popen(command, env=own, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stderr is not None
    line = process.stdout.readline()
    try:
        assert line, process.stderr.read()
        said = json.loads(line)
        public_key.unlink()  # the front remembers
        yield said
        family = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert not psutil.wait_procs(family, timeout=10)[1]
        assert not Path(said["folder"]).exists()
        assert not list(Path(own["TMPDIR"]).glob("maas-*/*"))
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def http(running: dict[str, Any]) -> Iterator[httpx.Client]:
    """A client that never tries again."""
    headers = {"Authorization": f"Bearer {Path(running['keys']).read_text().strip()}"}
    with httpx.Client(base_url=running["url"], headers=headers, timeout=60, trust_env=False) as client:
        yield client


def run(own: dict[str, str], *command: str) -> tuple[int, str, str]:
    """A command, in this process: one of its own would load all that the command needs each time."""
    out, error = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as there, contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        there.setattr(tempfile, "tempdir", own["TMPDIR"])
        return main(command), out.getvalue(), error.getvalue()


def said_by(own: dict[str, str], *command: str) -> dict[str, Any]:
    code, out, error = run(own, *command)
    assert code == 0, error
    said: dict[str, Any] = json.loads(out)
    return said


def front(own: dict[str, str], *arguments: str) -> dict[str, Any]:
    return said_by(own, "front", *arguments, "--json")


def test_it_answers_as_the_model_does(http: httpx.Client, wine_model: maas.Model) -> None:
    row = wine_model.preprocess.examples(1)[0]
    answer = http.post("/predictions/wine", json=row, headers={"X-Request-Id": "mine-1"})
    assert answer.headers["x-request-id"] == "mine-1"
    assert answer.json()["probabilities"] == pytest.approx(wine_model.predict(row)["probabilities"], abs=1e-6)
    key = http.headers["Authorization"].removeprefix("Bearer ")
    with maas.Client("wine", url=str(http.base_url), token=key) as client:
        assert client.predict(row)["label"] == answer.json()["label"]
        assert client.ready()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2/health/ready", 200),
        ("GET", "/v2/models/wine/ready", 200),
        ("GET", "/v2/models/wine/versions/1.0/ready", 200),
        ("GET", "/v2/models/wine/versions/9.0/ready", 404),
        ("GET", "/v2/models/beer/ready", 404),
        ("POST", "/predictions/beer", 404),
        ("GET", "/models", 404),
        ("POST", "/models?url=wine.mar", 404),
        ("DELETE", "/models/wine", 404),
        ("OPTIONS", "/", 404),
    ],
)
def test_what_is_routed(method: str, path: str, status: int, http: httpx.Client) -> None:
    answer = http.request(method, path)
    assert answer.status_code == status
    if status == 404:
        assert answer.json()["type"] == "urn:maas:problem:not-found"


def test_a_client_without_an_address_finds_the_front_and_its_key(
    running: dict[str, Any], own: dict[str, str], wine_model: maas.Model
) -> None:
    log = Path(running["logs"]) / "access.log"
    before = log.read_text().count("/predictions/wine")
    code = "import maas, sys, json; client = maas.Client('wine'); print(client.predict(json.load(sys.stdin))['label'])"
    row = json.dumps(wine_model.preprocess.examples(1)[0])
    done = subprocess.run([sys.executable, "-c", code], env=own, input=row, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(wine_model.predict(json.loads(row))["label"])
    assert log.read_text().count("/predictions/wine") > before
    assert said_by(own, "openapi", "wine")["servers"] == [{"url": running["url"]}]


def test_no_client_loses_a_request_to_a_dead_worker_a_canary_or_a_release(
    running: dict[str, Any], own: dict[str, str], http: httpx.Client, wine_model: maas.Model
) -> None:
    row = wine_model.preprocess.examples(1)[0]
    counts: Counter[str] = Counter()
    over = threading.Event()

    def ask() -> None:
        with httpx.Client(base_url=http.base_url, headers=http.headers, timeout=60, trust_env=False) as own_client:
            while not over.wait(0.02):  # what starts beside needs a core, too
                try:
                    answer = own_client.post("/predictions/wine", json=row)
                    counts[answer.json()["model"]["version"] if answer.status_code == 200 else answer.text] += 1
                except httpx.HTTPError as error:
                    counts[repr(error)] += 1

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        java = psutil.Process(front(own, "status")["instances"][0]["pid"])
        os.kill(java.children()[0].pid, signal.SIGKILL)
        status = front(own, "canary", "wine=2.0:20%")
        assert [(one["models"], one["percent"]) for one in status["instances"]] == [
            (["wine@1.0"], 40),
            (["wine@1.0"], 40),
            (["wine@2.0"], 20),
        ]
        counts.clear()
        time.sleep(2)
        shared = Counter(counts)
        status = front(own, "deploy", "wine", "--version", "2.0")
        assert [(one["models"], one["percent"]) for one in status["instances"]] == [(["wine@2.0"], 50)] * 2
        counts["lost before"] = 0
        time.sleep(0.5)
        assert http.post("/predictions/wine", json=row).json()["model"]["version"] == "2.0"
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert set(+counts) == {"1.0", "2.0"}
    assert 0.05 < shared["2.0"] / shared.total() < 0.4


def test_a_release_is_taken_back(running: dict[str, Any], own: dict[str, str]) -> None:
    assert [one["models"] for one in front(own, "rollback", "wine")["instances"]] == [["wine@1.0"]] * 2
    done = subprocess.run([*MAAS, "front", "rollback", "wine"], env=own, capture_output=True, text=True, timeout=60)
    assert done.returncode == 4
    assert "no other version of 'wine' was served here before" in done.stderr


def test_a_release_that_fails_leaves_what_was(
    running: dict[str, Any], own: dict[str, str], releases: Path, wine_artifact: Path, http: httpx.Client
) -> None:
    """One that is damaged, and one that nobody signed."""
    before = front(own, "status")
    damaged = releases / "wine@3.0.mar"
    damaged.write_bytes((releases / "wine@2.0.mar").read_bytes()[:-100])
    unsigned = maas.package(wine_artifact, store=releases, name="wine", version="4.0")
    try:
        for version, said in (("3.0", "not a whole archive"), ("4.0", "is not trusted: it is not signed")):
            command = [*MAAS, "front", "deploy", "wine", "--version", version]
            done = subprocess.run(command, env=own, capture_output=True, text=True)
            assert done.returncode == 4
            assert said in done.stderr
            damaged.unlink(missing_ok=True)
    finally:
        damaged.unlink(missing_ok=True)
        unsigned.unlink()
    assert front(own, "status") == before
    assert http.get("/v2/health/ready").status_code == 200


def test_an_instance_that_died_is_started_again(
    running: dict[str, Any], own: dict[str, str], http: httpx.Client, releases: Path
) -> None:
    """Where that cannot be at first, as without its archive, the other one answers."""
    pid = front(own, "status")["instances"][1]["pid"]
    hidden = [file.rename(file.with_suffix(".hidden")) for file in releases.glob("*.mar")]
    os.killpg(pid, signal.SIGKILL)
    assert http.get("/v2/models/wine/ready").status_code == 200
    deadline = time.monotonic() + 60
    while [one["percent"] for one in front(own, "status")["instances"]] != [100, 0] and time.monotonic() < deadline:
        time.sleep(0.2)
    for place, why in (("0", "while another answers, and there is none"), ("2", "there is no instance 2, they are")):
        code, _, error = run(own, "front", "restart", place)
        assert (code, why in error) == (4, True)
    for file in hidden:
        file.rename(file.with_suffix(".mar"))
    while (status := front(own, "status"))["instances"][1]["pid"] == pid and time.monotonic() < deadline:
        time.sleep(0.2)
    assert [one["percent"] for one in status["instances"]] == [50, 50]
    assert psutil.pid_exists(status["instances"][1]["pid"])


def test_a_promotion_in_a_registry_loses_no_request(
    running: dict[str, Any],
    own: dict[str, str],
    releases: Path,
    public_key: Path,
    http: httpx.Client,
    wine_model: maas.Model,
) -> None:
    """As `maas serve --registry --front` would have begun: with its registry beside it."""
    folder = Path(own["TMPDIR"])
    registry = maas.Registry.create(folder / "registry")
    for count, version in enumerate(("1.8", "1.9"), 2):
        artifact = wine_model.save(folder / "artifact", examples=wine_model.preprocess.examples(count))
        maas.sign(artifact, public_key.with_name("key.private.pem"))
        registry.push(artifact, "wine", version)
    registry.promote("wine", "1.8")
    Source(str(registry.path), str(releases), {"wine": "production"}).write(Path(running["folder"]))
    (before,) = {one["models"][0].removeprefix("wine@") for one in front(own, "status")["instances"]}
    counts: Counter[str] = Counter()
    over = threading.Event()

    def ask() -> None:
        row = wine_model.preprocess.examples(1)[0]
        while not over.wait(0.02):
            answer = http.post("/predictions/wine", json=row)
            counts[answer.json()["model"]["version"] if answer.is_success else answer.text] += 1

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        command = [*MAAS, "promote", "wine@1.9", "--registry", str(registry.path), "--json"]
        refused = subprocess.run(command, env=own, capture_output=True, text=True)
        assert (refused.returncode, registry.show("wine").version) == (2, "1.8")
        assert "was saved without an evaluation" in refused.stderr
        done = subprocess.run([*command, "--force", "to try"], env=own, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["released"] == ["the front"]
        time.sleep(0.5)
    finally:
        over.set()
        thread.join()
        (Path(running["folder"]) / FILE).unlink()
    assert set(counts) == {before, "1.9"}
    assert [one["models"] for one in front(own, "status")["instances"]] == [["wine@1.9"]] * 2


def test_a_dry_run_shows_the_configuration_without_keys(
    releases: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = tmp_path / "keys"
    keys.write_text("never-to-be-seen\n")
    keys.chmod(0o600)
    assert main(["serve", "wine", "--store", str(releases), "--front", "--keys", str(keys), "--dry-run"]) == 0
    text = capsys.readouterr().out
    assert "never-to-be-seen" not in text
    assert f"with the keys of {keys} in place of KEY-1" in text
    assert '"Bearer KEY-1"' in text
    assert "2 of wine@2.0" in text


def test_what_cannot_be_started(releases: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(maas.errors.ServingError, match="`instances` is at least 2, got 1"):
        serve_front(releases, instances=1)
    with pytest.raises(maas.errors.ServingError, match="is reached from other machines"):
        serve_front(releases, host="0.0.0.0")
    with pytest.raises(SystemExit):
        main(["serve", "--front", "--canary", "wine@2.0"])
    assert "is not NAME=VERSION:PERCENT, such as wine=2.0:10%" in capsys.readouterr().err


def test_no_front_to_ask(tmp_path: Path) -> None:
    done = subprocess.run(
        [*MAAS, "front", "status"], env={**os.environ, "TMPDIR": str(tmp_path)}, capture_output=True, text=True
    )
    assert done.returncode == 4
    assert "no fronts run here, one is wanted; start one with maas serve --front" in done.stderr
