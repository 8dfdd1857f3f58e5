"""Files that are whole or not there, seen from other processes too."""

from __future__ import annotations

import errno
import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from maas.storage import atomic_folder, create_whole, locked, sha256, write_atomic

FILES = ("a", "b", "c")
HEAD = "import sys, time; from pathlib import Path; from maas.storage import *; path = Path(sys.argv[1])\n"
WRITE_FOLDERS = """
for turn in range(int(sys.argv[3])):
    with atomic_folder(path) as fresh:
        for name in "abc":
            (fresh / name).write_text(f"{sys.argv[2]} {turn}")
"""
WRITE_LARGE_FOLDERS = """
for turn in range(20):
    with atomic_folder(path) as fresh:
        (fresh / "a").write_text(str(turn))
        (fresh / "more").mkdir()
        for number in range(300):
            (fresh / "more" / str(number)).touch()
"""
HOLD_FOLDER = """
with atomic_folder(path) as fresh:
    (fresh / "a").write_text("half")
    print("in", flush=True)
    sys.stdin.readline()
"""
HOLD_LOCK = """
with locked(path):
    print("in", flush=True)
    sys.stdin.readline()
    Path(sys.argv[2]).write_text("first")
"""
CREATE_WHOLE = """
print(*(number for number in range(200) if create_whole(path / str(number), sys.argv[2].encode() * 100)))
"""
TAKE_LOCK = """
print("trying", flush=True)
with locked(path):
    print(Path(sys.argv[2]).exists(), flush=True)
"""


def child(code: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HEAD + code, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def write(path: Path, text: str) -> None:
    with atomic_folder(path) as fresh:
        for name in FILES:
            (fresh / name).write_text(text)


def content(path: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in path.iterdir()}


def test_sha256_of_the_standards_own_example() -> None:
    """FIPS 180-4: the message "abc"."""
    wanted = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256(b"abc") == wanted
    assert sha256(io.BytesIO(b"abc")) == wanted


def test_sha256_of_a_file_of_several_chunks_equals_that_of_its_bytes() -> None:
    data = bytes(range(256)) * 10_000  # 2.56 MB
    assert sha256(io.BytesIO(data)) == sha256(data) != sha256(data[:-1])


def test_a_folder_is_created_with_its_parents(tmp_path: Path) -> None:
    write(tmp_path / "deep" / "er" / "model", "new")
    assert content(tmp_path / "deep" / "er" / "model") == dict.fromkeys(FILES, "new")
    assert os.listdir(tmp_path / "deep" / "er") == ["model"]


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    write(tmp_path / "model", "old")
    with atomic_folder(tmp_path / "model") as fresh:
        (fresh / "other").write_text("new")
        assert content(tmp_path / "model") == dict.fromkeys(FILES, "old")
    assert content(tmp_path / "model") == {"other": "new"}
    assert os.listdir(tmp_path) == ["model"]


@pytest.mark.parametrize("exists", [True, False])
def test_a_block_that_raises_leaves_all_as_it_was(tmp_path: Path, exists: bool) -> None:
    if exists:
        write(tmp_path / "model", "old")
    before = os.listdir(tmp_path)

    def half() -> None:
        with atomic_folder(tmp_path / "model") as fresh:
            (fresh / "a").write_text("half")
            raise KeyboardInterrupt("stopped")

    with pytest.raises(KeyboardInterrupt, match="stopped"):
        half()
    assert os.listdir(tmp_path) == before
    assert not exists or content(tmp_path / "model") == dict.fromkeys(FILES, "old")


@pytest.mark.parametrize("kind", ["file", "link to a folder", "dangling link"])
def test_what_is_no_folder_leaves_no_orphan(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "model"
    (tmp_path / "real").mkdir()
    if kind == "file":
        path.write_text("text")
    else:
        path.symlink_to("real" if kind == "link to a folder" else "nowhere")
    try:
        write(path, "new")
    except OSError:
        assert os.path.lexists(path)
    assert sorted(os.listdir(tmp_path)) == ["model", "real"]


@pytest.mark.parametrize("name", ["model", "model[1]"])
def test_what_a_killed_process_left_is_removed_by_the_next_call(tmp_path: Path, name: str) -> None:
    with child(HOLD_FOLDER, tmp_path / name) as process:
        assert line(process) == "in"
        process.send_signal(signal.SIGKILL)
    assert any(".tmp-" in left for left in os.listdir(tmp_path))
    write(tmp_path / name, "new")
    assert os.listdir(tmp_path) == [name]
    assert content(tmp_path / name) == dict.fromkeys(FILES, "new")


def test_the_half_written_folder_of_another_name_is_let_be(tmp_path: Path) -> None:
    busy = tmp_path / ".model2.tmp-0123"
    busy.mkdir()
    write(tmp_path / "model", "new")
    write(tmp_path / "model*", "new")
    assert busy.exists()


def test_two_processes_writing_one_folder_end_with_one_whole_version(tmp_path: Path) -> None:
    path = tmp_path / "model"
    with child(WRITE_FOLDERS, path, "one", 25) as one, child(WRITE_FOLDERS, path, "other", 25) as other:
        assert (one.wait(), other.wait()) == (0, 0)
    written = content(path)
    assert written.keys() == set(FILES)
    assert set(written.values()) in ({"one 24"}, {"other 24"})
    assert os.listdir(tmp_path) == ["model"]


def test_a_reader_never_misses_the_folder_while_it_is_replaced(tmp_path: Path) -> None:
    """The folder is large, so that removing it and then renaming the new one would leave a gap to be seen."""
    path = tmp_path / "model"
    write(path, "first")
    seen = set()
    with child(WRITE_LARGE_FOLDERS, path) as process:
        while process.poll() is None:
            seen.add((path / "a").read_text())
    assert process.returncode == 0
    assert len(seen) > 1


def test_a_file_is_written_with_its_folder_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    write_atomic(path, b"old")
    write_atomic(path, b"new")
    assert path.read_bytes() == b"new"
    assert os.listdir(path.parent) == ["file"]


def test_a_file_that_cannot_be_written_leaves_no_orphan(tmp_path: Path) -> None:
    (tmp_path / "file").mkdir()
    with pytest.raises(OSError, match="file"):
        write_atomic(tmp_path / "file", b"new")
    assert os.listdir(tmp_path) == ["file"]


def test_a_reader_of_a_file_never_sees_a_part(tmp_path: Path) -> None:
    path = tmp_path / "file"
    code = "for turn in range(60): write_atomic(path, b'%d' % (turn % 10) * 1_000_000)"
    write_atomic(path, b"0" * 1_000_000)
    seen = set()
    with child(code, path) as process:
        while process.poll() is None:
            data = path.read_bytes()
            assert data == data[:1] * 1_000_000
            seen.add(data[:1])
    assert process.returncode == 0
    assert len(seen) > 1


def test_a_lock_keeps_another_process_out(tmp_path: Path) -> None:
    lock, mark = tmp_path / "lock", tmp_path / "mark"
    with child(HOLD_LOCK, lock, mark) as holder:
        assert line(holder) == "in"
        with child(TAKE_LOCK, lock, mark) as taker:
            assert line(taker) == "trying"
            time.sleep(0.3)
            assert taker.poll() is None
            assert holder.stdin is not None
            holder.stdin.write("go\n")
            holder.stdin.close()
            assert line(taker) == "True"  # the holder's last deed was done when the taker came in
        holder.stdin = None


def test_a_lock_is_gone_after_its_block(tmp_path: Path) -> None:
    for _ in range(2):
        with locked(tmp_path / "lock"):
            assert os.listdir(tmp_path) == ["lock"]
    assert os.listdir(tmp_path) == []


def test_each_file_is_created_by_one_process_whole(tmp_path: Path) -> None:
    children = {mark: child(CREATE_WHOLE, tmp_path / "claims", mark) for mark in "abc"}
    made = {mark: process.communicate()[0].split() for mark, process in children.items()}
    assert sorted(name for names in made.values() for name in names) == sorted(map(str, range(200)))
    for mark, names in made.items():
        assert all((tmp_path / "claims" / name).read_text() == mark * 100 for name in names)
    assert len(list((tmp_path / "claims").iterdir())) == 200


def test_a_file_is_created_where_there_are_no_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: object) -> None:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    monkeypatch.setattr(os, "link", link)
    assert create_whole(tmp_path / "one", b"first")
    assert not create_whole(tmp_path / "one", b"second")
    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("one", b"first")]


def test_a_link_that_the_share_made_and_denies_was_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NFS asks again when an answer is lost, and then hears that there is one: its own."""
    real = os.link

    def link(source: Path, target: Path) -> None:
        real(source, target)
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))

    monkeypatch.setattr(os, "link", link)
    assert create_whole(tmp_path / "one", b"first")


def test_a_full_disk_creates_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "link", link)
    with pytest.raises(OSError, match="No space left"):
        create_whole(tmp_path / "one", b"first")
    assert list(tmp_path.iterdir()) == []
