"""Ports that are bound, folders that cannot be written or are full, limits that are low."""

import os
import resource
import socket
from pathlib import Path

import pytest

from maas.doctor import _machine, examine_machine
from maas.serving._ports import free_ports

from .spoiling import only


def test_a_port_that_is_bound() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        found = only(_machine.ports(port), "error")
    assert f"is taken, and `maas serve --port {port}` refuses it" in found.detail
    assert f"ss -ltnp 'sport = :{port}'" in found.remedy


def test_a_port_that_is_free() -> None:
    (port,) = free_ports(1)
    assert {one.level for one in _machine.ports(port)} == {"ok"}


def test_a_store_that_is_still_to_be_made(tmp_path: Path) -> None:
    (found,) = _machine.disk("model store", tmp_path / "a" / "b")
    assert (found.level, list(tmp_path.iterdir())) == ("ok", [])


def test_a_folder_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    # root may write anywhere but where the kernel takes no files
    folder = Path("/proc/self") if os.getuid() == 0 else tmp_path / "closed"
    found = only(_machine.disk("model store", folder / "store"), "error")
    assert f"nothing can be written in {folder}" in found.detail


def test_a_file_in_the_place_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "store").touch()
    assert "Not a directory" in only(_machine.disk("model store", tmp_path / "store"), "error").detail


def test_a_disk_that_is_full_or_nearly(tmp_path: Path) -> None:
    (error,) = _machine.disk("model store", tmp_path, least=1 << 62)
    (warning,) = _machine.disk("model store", tmp_path, little=1 << 62)
    assert (error.level, warning.level) == ("error", "warning")
    assert f"df -h {tmp_path}" in error.remedy


def test_a_temporary_folder_that_others_can_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/tmp/d" + tmp_path.name[:10])
    short = Path("/tmp/d" + tmp_path.name[:10])
    (short / f"maas-{os.getuid()}").mkdir(parents=True)
    try:
        (short / f"maas-{os.getuid()}").chmod(0o755)
        found = only(_machine.temporary(), "error")
    finally:
        (short / f"maas-{os.getuid()}").rmdir()
        short.rmdir()
    assert "is not a folder of this user alone" in found.detail
    assert found.remedy.startswith("export TMPDIR=")


def test_little_shared_memory(tmp_path: Path) -> None:
    assert only(_machine.shared_memory(tmp_path, least=1 << 62), "warning").remedy.startswith("docker run --shm-size")
    assert only(_machine.shared_memory(tmp_path / "none"), "not checked").detail == f"there is no {tmp_path / 'none'}"


def test_few_open_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(500, soft), hard))
    try:
        found = only(_machine.open_files(), "warning")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert "a process may open 500" in found.detail
    assert found.remedy.startswith("ulimit -n ")


def test_every_check_reports(tmp_path: Path) -> None:
    subjects = {one.subject for one in examine_machine(tmp_path, free_ports(1)[0])}
    assert subjects >= {"temporary folder", "model store", "open files", "servers", "further ports"}
