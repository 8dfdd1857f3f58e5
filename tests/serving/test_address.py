"""Beyond loopback only with TLS; a dry run shows all and starts nothing."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

import maas
from maas.client import folder_of_servers
from maas.errors import ArchiveError, ServingError
from maas.serving._serve import plan

OPENSSL = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="the openssl command makes the certificate")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run([*OPENSSL.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return certificate, key


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.7"])
def test_clear_text_stays_on_loopback(host: str, store: Path) -> None:
    with pytest.raises(ServingError, match=r"is reached from other machines, .*give `certificate` and `key` \(PEM\)"):
        maas.serve(store, ["wine"], host=host)


def test_an_address_that_is_none(store: Path) -> None:
    with pytest.raises(ServingError, match=r"`host` must be an IP address, .* got 'example.com'"):
        maas.serve(store, ["wine"], host="example.com")


@needs_openssl
def test_files_that_do_not_fit_together(pair: tuple[Path, Path], store: Path, tmp_path: Path) -> None:
    certificate, _ = pair
    with pytest.raises(ServingError, match="`certificate` and `key` go together; give both, or neither"):
        maas.serve(store, ["wine"], certificate=certificate)
    with pytest.raises(ServingError, match=r"`key` .*certificate\.pem is not a PKCS #8 key without a password"):
        maas.serve(store, ["wine"], certificate=certificate, key=certificate)
    with pytest.raises(ServingError, match=r"cannot be used together: .*No such file"):
        maas.serve(store, ["wine"], certificate=certificate, key=tmp_path / "none.pem")
    other = tmp_path / "other.pem"
    subprocess.run([*OPENSSL.split(), "-keyout", other, "-out", tmp_path / "x"], check=True, capture_output=True)
    with pytest.raises(ServingError, match=r"cannot be used together: .*(?i:mismatch)"):
        maas.serve(store, ["wine"], certificate=certificate, key=other)


@pytest.mark.parametrize("minutes", [0, -1, 1.5, 10**8])
def test_a_life_of_tokens_that_is_none(minutes: int, store: Path) -> None:
    with pytest.raises(ServingError, match="`token_minutes` is an integer from 1 to"):
        maas.serve(store, ["wine"], token_minutes=minutes)


def test_workers_that_are_none(store: Path) -> None:
    with pytest.raises(ArchiveError, match="minWorkers must be a positive integer, got 0"):
        maas.serve(store, ["wine"], workers=0)


def test_a_name_for_loopback(store: Path) -> None:
    planned = plan(
        store, ["wine"], port=None, imports=[], deployment={}, logs=None, host="localhost", certificate=None, key=None,
        token_minutes=90,
    )  # fmt: skip
    assert planned.instance.url == f"http://127.0.0.1:{planned.instance.port}"


def test_a_plan_shows_every_file_and_writes_none(store: Path, tmp_path: Path) -> None:
    before = set(folder_of_servers().iterdir())
    text = plan(
        store, ["wine"], port=None, imports=["mine"], deployment={"minWorkers": 3, "maxWorkers": 3},
        logs=tmp_path / "a & b", host="127.0.0.1", certificate=None, key=None, token_minutes=90,
    ).text()  # fmt: skip
    assert "\nmanagement_address=unix:" in text
    assert "\ntoken_expiration_min=90\n" in text
    assert "\nallowed_urls=file://none\n" in text
    assert 'fileName="' + str(tmp_path / "a &amp; b" / "ts_log.log") in text
    assert "org.pytorch.serve.ModelServer" in text
    assert "\n  wine=wine@1.0.mar\n" in text
    assert "\nMAAS_IMPORT=mine\n" in text
    assert "\nMAAS_DRAIN=" in text
    assert "\nminWorkers: 3\n" in text
    assert set(folder_of_servers().iterdir()) == before
    assert not (tmp_path / "a & b").exists()


@needs_openssl
def test_a_second_server_beside_the_first_with_tls_and_its_own_settings(
    pair: tuple[Path, Path], server: maas.serving.Server, store: Path, tmp_path: Path
) -> None:
    """Two instances share no port, folder or socket, and stopping one leaves the other alone."""
    with maas.serve(
        store, ["wine"], host="0.0.0.0", certificate=pair[0], key=pair[1], logs=tmp_path / "logs <1>", workers=2,
        batch_size=3, max_batch_delay_ms=5,
    ) as second:  # fmt: skip
        assert second.url.startswith("https://127.0.0.1:")
        row = second.client("wine").describe()["example"]["row"]
        assert second.client("wine").predict(row)["label"] in (0, 1, 2)
        (model,) = second.status()["models"]
        assert (len(model["workers"]), model["batch_size"], model["max_batch_delay_ms"]) == (2, 3, 5)
        assert second.folder != server.folder
        assert second.url.rpartition(":")[2] != server.url.rpartition(":")[2]
    assert not second.folder.exists()
    assert sorted(file.name for file in (tmp_path / "logs <1>").iterdir()) == [
        "console.log",
        "model_log.log",
        "ts_log.log",
    ]
    assert server.client("wine").ready()
